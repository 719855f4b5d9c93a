"""Proxies and certificates, with a real proxy's request line and a real TLS handshake."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import Body, FileServer, serving

from tts_plugin.pull.line import Line
from tts_plugin.pull.problem import PullProblem


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory, missing) -> Path:
    if not shutil.which("openssl"):
        missing("the program openssl, which makes a certificate")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(
        [*command.split(), "-keyout", path, "-out", path.with_suffix(".crt")], check=True, capture_output=True
    )
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


@pytest.fixture
def secure(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(certificate) as server:
        server.files["/file"] = b"content"
        yield server


def read(line: Line, url: str) -> bytes:
    with line.get("file", url, 0) as answer:
        return answer.read()


def test_certificate_of_a_stranger_is_refused_with_the_setting_that_trusts_it(secure, patience) -> None:
    with pytest.raises(PullProblem, match="the certificate of .* is not trusted .*: set SSL_CERT_FILE"):
        read(Line(patience), f"{secure.url}/file")


def test_certificate_named_by_ssl_cert_file_is_trusted(secure, patience, certificate, monkeypatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
    assert read(Line(patience), f"{secure.url}/file") == b"content"


def test_redirect_from_https_to_http_is_refused(secure, server, patience, certificate, monkeypatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
    server.files["/file"] = b"changed on the way"
    secure.always["/file"] = Body(status=302, headers={"Location": f"{server.url}/file"})
    with pytest.raises(PullProblem, match="redirects to where it may not"):
        read(Line(patience), f"{secure.url}/file")
    assert not server.requests


def test_proxy_of_the_environment_is_used(server, patience, monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("NO_PROXY", "")
    server.files["http://vibevoice.invalid/file"] = b"through the proxy"
    assert read(Line(patience), "http://vibevoice.invalid/file") == b"through the proxy"
