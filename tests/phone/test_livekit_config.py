"""livekit_config/ is taken by the real servers, and its trunks and rule are those that `tts-ops phone setup` makes."""

from __future__ import annotations

import datetime
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from livekit.protocol.sip import SIPDispatchRuleInfo, SIPInboundTrunkInfo, SIPOutboundTrunkInfo

from worker.phone import trunks
from worker.settings import Settings
from worker.setup.places import ROOT

FOLDER = ROOT / "livekit_config"
EXAMPLE = {
    "livekit_api_secret": "s" * 40,
    "phone_numbers": "+15550100",
    "sip_user": "tts-ops",
    "sip_password": "change-me",
    "sip_provider": "example.pstn.twilio.com",
}


def loaded(name: str) -> dict[str, Any]:
    whole: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return whole


@pytest.mark.parametrize(
    ("name", "kind", "which"),
    [
        ("inbound-trunk.yaml", SIPInboundTrunkInfo, 0),
        ("outbound-trunk.yaml", SIPOutboundTrunkInfo, 1),
        ("dispatch-rule.yaml", SIPDispatchRuleInfo, 2),
    ],
)
def test_the_files_say_what_setup_makes(name: str, kind: type[Message], which: int) -> None:
    _, made = trunks.wanted(Settings(_env_file=None, **EXAMPLE)).all()[which]  # type: ignore[arg-type]
    assert made is not None
    made.metadata = ""  # type: ignore[attr-defined]
    assert ParseDict(loaded(name), kind()) == made


def test_every_setting_of_a_server_is_explained() -> None:
    for name in ("livekit-server.yaml", "livekit-sip.yaml", "inbound-trunk.yaml", "dispatch-rule.yaml"):
        lines = [line for line in (FOLDER / name).read_text().splitlines() if line.strip()]
        assert sum("#" in line for line in lines) >= len(lines) / 3, name


def test_what_must_not_be_forgotten_is_there() -> None:
    server = loaded("livekit-server.yaml")
    assert server["agents"]["target_load"] == 1.0
    assert server["redis"]
    assert server["turn"]["enabled"]
    assert server["webhook"]["api_key"] == loaded("livekit-sip.yaml")["api_key"]


def free(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def redis(phone_programs: dict[str, Path]) -> Iterator[str]:
    port = free()
    command = [
        phone_programs["redis-server"],
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    process = subprocess.Popen(command, stdout=-3, stderr=-3)
    until(lambda: answers(port), process)
    yield f"127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "turn.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8
    (folder / "turn.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption())
    )
    return folder / "turn.crt", folder / "turn.key"


@pytest.mark.phone
@pytest.mark.timeout(120, method="signal")
def test_the_real_servers_start_with_them(phone_programs: dict[str, Path], redis: str, tmp_path: Path) -> None:
    """Only names, ports and files of this machine are put in: every other line stays, and a wrong one is refused."""
    secret = secrets.token_urlsafe(36)
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"tts-ops: {secret}\n")
    keys.chmod(0o600)
    server = loaded("livekit-server.yaml")
    port, crt_key = free(), certificate(tmp_path, server["turn"]["domain"])
    server |= {"port": port, "bind_addresses": ["127.0.0.1"], "key_file": str(keys), "prometheus_port": free()}
    server["redis"]["address"] = redis
    server["rtc"] |= {"use_external_ip": False, "node_ip": "127.0.0.1", "tcp_port": free()}
    server["turn"] |= {"cert_file": str(crt_key[0]), "key_file": str(crt_key[1])}
    server["turn"] |= {"tls_port": free(), "udp_port": free(socket.SOCK_DGRAM)}
    (tmp_path / "server.yaml").write_text(yaml.safe_dump(server))
    bridge = loaded("livekit-sip.yaml")
    health = free()
    bridge |= {"ws_url": f"ws://127.0.0.1:{port}", "redis": {"address": redis}, "health_port": health}
    bridge |= {"use_external_ip": False, "nat_1_to_1_ip": "127.0.0.1", "listen_ip": "127.0.0.1"}
    bridge |= {"sip_port": free(), "rtp_port": "48000-48100", "prometheus_port": free(), "api_secret": secret}
    (tmp_path / "sip.yaml").write_text(yaml.safe_dump(bridge))
    with started(
        [phone_programs["livekit-server"], "--config", tmp_path / "server.yaml"], tmp_path / "server.log"
    ) as one:
        until(lambda: answers(port), one, tmp_path / "server.log")
        with started([phone_programs["livekit-sip"], "--config", tmp_path / "sip.yaml"], tmp_path / "sip.log") as other:
            until(
                lambda: "sip signaling listening on" in (tmp_path / "sip.log").read_text(), other, tmp_path / "sip.log"
            )
            time.sleep(1)  # LiveKit and redis are asked after that
            assert other.poll() is None, (tmp_path / "sip.log").read_text()


@pytest.mark.phone
def test_a_misspelt_line_would_be_refused(phone_programs: dict[str, Path], tmp_path: Path) -> None:
    wrong = loaded("livekit-server.yaml")
    wrong["agents"] = {"target_laod": 1.0}
    (tmp_path / "server.yaml").write_text(yaml.safe_dump(wrong))
    command = [phone_programs["livekit-server"], "--config", tmp_path / "server.yaml"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=30, env=os.environ | {"LIVEKIT_KEYS": "a: b"}
    )
    assert "could not parse config" in done.stdout + done.stderr
    assert "target_laod" in done.stdout + done.stderr


class started:
    def __init__(self, command: list[Path | str], log: Path) -> None:
        self._command, self._log = command, log

    def __enter__(self) -> subprocess.Popen[bytes]:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self._log.parent)
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(8)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(8)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


def until(true: Any, process: subprocess.Popen[bytes], log: Path | None = None) -> None:
    deadline = time.monotonic() + 40
    while not true():
        told = log.read_text()[-3000:] if log else ""
        assert process.poll() is None, told
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
