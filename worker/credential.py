"""The key and certificates that sign files: given in one PEM file, or made for this installation when there is none.

A credential that was made here is vouched for by nobody: a reader says that the file is as it was signed, not by whom.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from worker.settings import SettingsError

VALID = datetime.timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Credential:
    """PEM: the key (P-256), and the certificates, the signer's first."""

    key: bytes
    certificates: bytes


def load_or_make(path: Path) -> Credential:
    """SettingsError when the file cannot be read, or written, or holds no P-256 key with its certificate."""
    path = path.expanduser()
    try:
        if not path.exists():
            _write(path, _made())
        return _parse(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"C2PA_KEY_FILE is {str(path)!r}: {error.strerror}") from None
    except (ValueError, TypeError):
        raise SettingsError(
            f"C2PA_KEY_FILE is {str(path)!r}: not a PEM file of a P-256 private key and its certificates"
        ) from None


def _parse(pem: bytes) -> Credential:
    key = serialization.load_pem_private_key(pem, None)
    certificates = x509.load_pem_x509_certificates(pem)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TypeError("another kind of key")
    if certificates[0].public_key() != key.public_key():
        raise ValueError("the first certificate is another key's")
    return Credential(_private(key), b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates))


def _made() -> Credential:
    """C2PA takes no certificate that signs itself, so there are two. The issuer's key is thrown away."""
    issuer_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = _certificate("tts-ops, made on this machine", issuer_key, issuer_key, None)
    signer = _certificate("tts-ops", key, issuer_key, issuer.subject)
    return Credential(_private(key), b"".join(c.public_bytes(serialization.Encoding.PEM) for c in (signer, issuer)))


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, issuer: x509.Name | None
) -> x509.Certificate:
    """`issuer`: None for the one that issues."""
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "tts-ops")]
    )
    now, issues = datetime.datetime.now(datetime.UTC), issuer is None
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
    ) | dict.fromkeys(("encipher_only", "decipher_only"), False)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.BasicConstraints(ca=issues, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not issues, key_cert_sign=issues, crl_sign=issues, **usage), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )
    if not issues:
        made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return made.sign(by, hashes.SHA256())


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, made: Credential) -> None:
    """Whole and for its owner alone; who comes second takes the first one's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(made.key + made.certificates)
    with contextlib.suppress(FileExistsError):
        os.link(part, path)
    part.unlink()
