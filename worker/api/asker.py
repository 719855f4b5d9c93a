"""Who asks: an API key, somebody an issuer vouches for, this machine itself, or anybody from an address."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Literal

from starlette.types import Scope

from worker.api.security import is_loopback

Kind = Literal["key", "oidc", "local", "anybody"]
# A proxy that adds one of these speaks for somebody else, even from this machine.
_FORWARDED = {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via"}


@dataclass(frozen=True, slots=True)
class Asker:
    """`id` may be logged: a key's id, or a hash of the subject."""

    kind: Kind
    id: str


def network(address: str) -> str:
    """What one address, or one IPv6 subscriber (a /64), counts as."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if not isinstance(ip, IPv6Address):
        return str(ip)
    return str(ip.ipv4_mapped) if ip.ipv4_mapped else f"{IPv6Address(int(ip) >> 64 << 64)}/64"


def address_of(scope: Scope) -> str:
    client = scope.get("client")
    return network(client[0]) if client else "unknown"


def is_this_machine(scope: Scope, host: str) -> bool:
    """Whether a program here asks, by a name of this machine, on nobody else's behalf. `host`: the one in Host."""
    client = scope.get("client")
    forwarded = any(name in _FORWARDED for name, _ in scope["headers"])
    return client is not None and is_loopback(client[0]) and is_loopback(host) and not forwarded
