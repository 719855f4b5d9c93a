"""What `tts-ops dev` starts and says, without starting it."""

import json
import re
from pathlib import Path

import pytest
import yaml

from worker import dev
from worker.dev import livekit as dev_livekit
from worker.dev import ports
from worker.dev.supervisor import Part
from worker.settings import Settings
from worker.setup import livekit_server


@pytest.fixture
def with_livekit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livekit_server, "find", lambda: Path("/opt/livekit-server"))


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)


def by_name(parts: list[Part]) -> dict[str, Part]:
    return {part.name: part for part in parts}


@pytest.mark.usefixtures("with_livekit")
def test_no_secret_stands_on_a_command_line() -> None:
    parts = dev.parts(settings())
    secret = by_name(parts)["worker"].env["LIVEKIT_API_SECRET"]
    assert len(secret) >= 32
    assert secret in by_name(parts)["livekit"].env["LIVEKIT_KEYS"]
    assert not [part for part in parts if secret in " ".join(part.command)]
    assert secret not in repr(parts)


@pytest.mark.usefixtures("with_livekit")
def test_each_start_has_a_new_secret() -> None:
    first, second = (by_name(dev.parts(settings()))["worker"].env["LIVEKIT_API_SECRET"] for _ in range(2))
    assert first != second


@pytest.mark.usefixtures("with_livekit")
def test_the_worker_reaches_the_server_at_its_port() -> None:
    parts = by_name(dev.parts(settings(livekit_port=17880, livekit_udp_port=17882)))
    config = yaml.safe_load(parts["livekit"].env["LIVEKIT_CONFIG"])
    assert parts["worker"].env["LIVEKIT_URL"] == "ws://127.0.0.1:17880"
    assert (config["port"], config["rtc"]["udp_port"]) == (17880, 17882)


def test_a_livekit_server_of_the_users_own_is_not_started_twice() -> None:
    parts = dev.parts(settings(livekit_url="wss://livekit.example", livekit_api_secret="x" * 32))
    assert [part.name for part in parts] == ["engine", "models", "worker", "serve"]
    assert "LIVEKIT_API_SECRET" not in parts[0].env


def test_the_parts_are_quiet_unless_a_log_level_is_set() -> None:
    remote = {"livekit_url": "wss://livekit.example", "livekit_api_secret": "x" * 32}
    assert {part.env["LOG_LEVEL"] for part in dev.parts(settings(**remote))} == {"WARNING"}
    assert not [part for part in dev.parts(settings(log_level="INFO", **remote)) if "LOG_LEVEL" in part.env]


@pytest.mark.usefixtures("with_livekit")
def test_the_engine_is_told_that_the_rest_of_a_call_runs_beside_it() -> None:
    def share(**given: float) -> str | None:
        return by_name(dev.parts(settings(**given)))["engine"].env.get("TTS_CPU_SHARE")

    assert 0.25 <= float(share() or 0) < 1
    assert share(tts_cpu_share=0.9) is None  # the child reads it where we did


def test_a_missing_livekit_server_is_one_line_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livekit_server, "find", lambda: None)
    with pytest.raises(dev.DevError, match="livekit-server is not installed: `make setup` builds it"):
        dev.parts(settings())


@pytest.mark.usefixtures("with_livekit")
def test_a_short_secret_is_refused_without_showing_it() -> None:
    with pytest.raises(dev.DevError, match="shorter than 32") as error:
        dev.parts(settings(livekit_api_secret="hunter2hunter2"))
    assert "hunter2" not in str(error.value)


def test_the_welcome_says_where_to_go_what_is_in_use_and_what_is_weak() -> None:
    said = {"stt": "Ear", "llm": "Brain", "voice": "Mouth", "device": "cpu", "notes": ["Brain is tiny: set KEY."]}
    text = dev.welcome("http://127.0.0.1:8080", said, 7.04)
    for part in ("7.0 s", "http://127.0.0.1:8080", "Ear", "Brain", "Mouth", "cpu", "Brain is tiny: set KEY."):
        assert part in text


def test_the_config_keeps_to_this_machine_and_asks_nobody_outside() -> None:
    config = json.loads(dev_livekit.config_body(port=1, udp_port=2))
    assert config["bind_addresses"] == ["127.0.0.1"]
    assert config["rtc"]["tcp_port"] == 0
    assert config["rtc"]["use_external_ip"] is False
    addresses = re.findall(r"[\w.]+(?=:\d+)", " ".join(config["rtc"]["stun_servers"]))
    assert addresses == ["127.0.0.1"]
    assert config["agents"]["target_load"] == 1.0


def test_an_engine_that_is_named_is_not_started_again() -> None:
    for given in ({"engine_url": "http://127.0.0.1:8001"}, {"engine_urls": "http://127.0.0.1:1,http://127.0.0.1:2"}):
        assert "engine" not in by_name(dev.parts(settings(**given)))
        assert "ENGINE_PORT" not in {
            port.variable for port in ports.all_ports(settings(**given), livekit=True, engine=False)
        }
