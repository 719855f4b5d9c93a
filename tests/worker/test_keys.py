"""API keys in a file: shown once, hashed, taken away at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from worker.keys import KeyFile
from worker.settings import Settings, SettingsError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deeper" / "api-keys.json"


def test_a_key_is_found_by_its_text_alone(path: Path) -> None:
    file = KeyFile(path)
    key, text = file.add("shop")
    assert file.find(text) == key
    wrong = [text[:-1] + ("A" if text[-1] != "A" else "B"), text + "A", text.upper(), key.sha256, key.id, "", "é" * 70]
    assert [file.find(t) for t in wrong] == [None] * len(wrong)


def test_the_file_holds_no_key_and_is_for_its_owner_alone(path: Path) -> None:
    _, text = KeyFile(path).add("shop")
    assert path.stat().st_mode & 0o777 == 0o600
    assert text.split("_", 2)[2] not in path.read_text()


def test_a_revoked_key_is_not_taken_by_one_who_read_it_before(path: Path) -> None:
    now_s = [100.0]
    reader = KeyFile(path, clock=lambda: now_s[0])
    _, text = KeyFile(path).add("shop")
    assert reader.find(text)
    KeyFile(path).revoke("shop")
    now_s[0] += 0.6
    assert reader.find(text) is None


def test_two_who_add_at_once_lose_no_key(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda n: KeyFile(path).add(f"k{n}")[1], range(16)))
    file = KeyFile(path)
    assert all(file.find(text) for text in texts)


@pytest.mark.parametrize("name", ["", " a", "a" * 65, "a\nb", "é", "<b>"])
def test_a_name_that_is_no_name_is_refused(path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="name"):
        KeyFile(path).add(name)


def test_a_name_is_given_once(path: Path) -> None:
    KeyFile(path).add("shop")
    with pytest.raises(SettingsError, match="already"):
        KeyFile(path).add("shop")


def test_a_file_that_others_can_write_is_not_believed(path: Path) -> None:
    KeyFile(path).add("shop")
    path.chmod(0o666)
    with pytest.raises(SettingsError, match="chmod 600"):
        KeyFile(path).all()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": [{"id": 1}]}', "\x00"])
def test_a_file_that_is_none_of_keys_is_named(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SettingsError, match="API_KEYS_FILE"):
        KeyFile(path).all()


def test_the_commands_add_list_and_revoke(path: Path) -> None:
    def keys(*words: str) -> subprocess.CompletedProcess[str]:
        env = os.environ | {"API_KEYS_FILE": str(path)}
        command = [sys.executable, "-m", "worker.cli", "keys", *words]
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=50)

    text = keys("add", "shop").stdout.strip()
    assert KeyFile(path).find(text)
    listed = keys("list").stdout
    assert re.fullmatch(r"[0-9a-f]{12}  \S+Z  shop\n", listed)
    assert text not in listed
    assert keys("revoke", "shop").returncode == 0
    assert keys("list").stdout == ""
    again = keys("revoke", "shop")
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "http://2852039166/",
        "http://0xA9FEA9FE/",
        "http://169.254.43518/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "http://metadata.google.internal/",
        "http://user:word@169.254.169.254/",
        "http://[::1",
        "http:///v1",
    ],
)
@pytest.mark.parametrize("name", ["openai_base_url", "stt_base_url", "engine_url", "models_url", "oidc_jwks_url"])
def test_no_url_setting_leads_to_a_metadata_service(name: str, url: str) -> None:
    with pytest.raises(SettingsError, match=name.upper()):
        Settings(_env_file=None, **{name: url})


@pytest.mark.parametrize("name", ["engine_urls", "worker_urls"])
def test_nor_does_one_of_a_list(name: str) -> None:
    with pytest.raises(SettingsError, match=name.upper()):
        Settings(_env_file=None, **{name: "http://a.test,http://169.254.169.254"})


def test_this_machine_and_private_networks_may_be_asked() -> None:
    Settings(_env_file=None, openai_base_url="http://10.0.0.7:8000/v1", engine_url="http://[::1]:8001")
