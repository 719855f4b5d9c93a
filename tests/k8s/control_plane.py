"""A real Kubernetes control plane as plain processes: etcd, kube-apiserver, kube-controller-manager, kube-scheduler.

Knows nothing of our product. The autoscaler looks every two seconds instead of every fifteen.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import secrets
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

MERGE = "application/merge-patch+json"
HPA_SYNC_S = 2
OFF = "node-lifecycle-controller,node-ipam-controller"  # the nodes send no heartbeats


class Refused(Exception):
    """The API server did not do it: status and its own words."""

    def __init__(self, what: str, answer: httpx2.Response) -> None:
        super().__init__(f"{what}: {answer.status_code} {answer.text[:600]}")
        self.status = answer.status_code


class Api:
    """What a test asks of the API server, with all rights. Safe from any thread."""

    def __init__(self, url: str, token: str, ca: Path) -> None:
        context = ssl.create_default_context(cafile=str(ca))
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx2.Client(base_url=url, headers=headers, verify=context, timeout=10.0, trust_env=False)

    def get(self, path: str, **query: str) -> dict[str, Any]:
        return self._ask("GET", path, params=query)

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._ask("POST", path, json=body)

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._ask("PATCH", path, content=json.dumps(body), headers={"Content-Type": MERGE})

    def delete(self, path: str, **options: Any) -> dict[str, Any]:
        return self._ask("DELETE", path, json={"apiVersion": "v1", "kind": "DeleteOptions", **options})

    def is_ready(self) -> bool:
        try:
            return self._http.get("/readyz").status_code == 200
        except httpx2.HTTPError:
            return False

    def close(self) -> None:
        self._http.close()

    def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        answer = self._http.request(method, path, **more)
        if answer.is_error:
            raise Refused(f"{method} {path}", answer)
        return dict(answer.json())


@dataclass(frozen=True, slots=True)
class Papers:
    """Keys and certificates of one cluster, as files."""

    folder: Path
    token: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)

    def write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        ca_key, ca = self._certificate("ca", "k8s-test-ca", None)
        self._certificate("server", "kube-apiserver", (ca_key, ca))
        self._certificate("front-proxy", "front-proxy", (ca_key, ca))
        self._key("accounts")
        (self.folder / "tokens.csv").write_text(f'{self.token},admin,admin,"system:masters"\n')
        (self.folder / "token").write_text(self.token)

    def write_kubeconfig(self, url: str) -> Path:
        path = self.folder / "kubeconfig"
        cluster = {"name": "test", "cluster": {"server": url, "certificate-authority": self["ca.crt"]}}
        context = {"name": "test", "context": {"cluster": "test", "user": "admin"}}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [cluster],
            "users": [{"name": "admin", "user": {"token": self.token}}],
            "contexts": [context],
            "current-context": "test",
        }
        path.write_text(json.dumps(config))
        path.chmod(0o600)
        return path

    def _key(self, name: str) -> rsa.RSAPrivateKey:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form = serialization.PrivateFormat.TraditionalOpenSSL
        pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        (self.folder / f"{name}.key").write_bytes(pem)
        return key

    def _certificate(
        self, name: str, common: str, signer: tuple[rsa.RSAPrivateKey, x509.Certificate] | None
    ) -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
        key = self._key(name)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
        now = datetime.datetime.now(datetime.UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(signer[1].subject if signer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        )
        if signer:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
            builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        made = builder.sign(signer[0] if signer else key, hashes.SHA256())
        (self.folder / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return key, made


def etcd_command(data: Path, client: int, peer: int) -> tuple[str, ...]:
    at, peers = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    return (
        *("etcd", "--data-dir", str(data), "--listen-client-urls", at, "--advertise-client-urls", at),
        *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers),
        *("--initial-cluster", f"default={peers}", "--unsafe-no-fsync"),
    )


def apiserver_command(binaries: Path, papers: Papers, *, port: int, etcd: int, address: str) -> tuple[str, ...]:
    flags = {
        "etcd-servers": f"http://127.0.0.1:{etcd}",
        "bind-address": "127.0.0.1",
        "secure-port": str(port),
        "advertise-address": address,
        "endpoint-reconciler-type": "none",
        "tls-cert-file": papers["server.crt"],
        "tls-private-key-file": papers["server.key"],
        "client-ca-file": papers["ca.crt"],
        "token-auth-file": papers["tokens.csv"],
        "service-account-key-file": papers["accounts.key"],
        "service-account-signing-key-file": papers["accounts.key"],
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-cluster-ip-range": "10.96.0.0/24",
        "authorization-mode": "RBAC",
        # The aggregation layer, through which the autoscaler asks for our metric.
        "requestheader-client-ca-file": papers["ca.crt"],
        "requestheader-allowed-names": "front-proxy",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": papers["front-proxy.crt"],
        "proxy-client-key-file": papers["front-proxy.key"],
        "disable-admission-plugins": "TaintNodesByCondition",  # nobody here would take the taint away
    }
    return (str(binaries / "kube-apiserver"), *(f"--{name}={value}" for name, value in flags.items()))


def controllers_command(binaries: Path, papers: Papers, kubeconfig: Path) -> tuple[str, ...]:
    return (
        *(str(binaries / "kube-controller-manager"), f"--kubeconfig={kubeconfig}", "--leader-elect=false"),
        *("--secure-port=0", f"--controllers=*,-{OFF.replace(',', ',-')}"),
        *(f"--service-account-private-key-file={papers['accounts.key']}", f"--root-ca-file={papers['ca.crt']}"),
        f"--horizontal-pod-autoscaler-sync-period={HPA_SYNC_S}s",
        "--horizontal-pod-autoscaler-initial-readiness-delay=2s",
    )


def scheduler_command(binaries: Path, kubeconfig: Path) -> tuple[str, ...]:
    return (
        *(str(binaries / "kube-scheduler"), f"--kubeconfig={kubeconfig}", "--leader-elect=false"),
        "--secure-port=0",
    )


def until(is_so: Any, what: str, deadline_s: float) -> float:
    """Seconds until `is_so()`; AssertionError after the deadline."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < deadline_s, f"within {deadline_s:.0f} s it was not so that {what}"
        time.sleep(0.1)
    return time.monotonic() - began
