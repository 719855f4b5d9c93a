"""Which URLs the product never asks, whoever names them: a cloud's metadata service and its kin."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

_METADATA = {ip_address("169.254.169.254"), ip_address("fd00:ec2::254"), ip_address("100.100.100.200")}


def wrong_url(url: str) -> str | None:
    """Why a setting may not be this URL; None: it may. Names are judged where they are resolved: `wrong_address`."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "it is no URL"
    if not host:
        return "it names no host"
    address = _numeric(host)
    if host == "metadata.google.internal" or (address is not None and wrong_address(address)):
        return f"{host} is a link-local, multicast or metadata address"
    return None


def wrong_address(address: IPv4Address | IPv6Address) -> bool:
    """Loopback and private addresses are right: that is where engines and models run."""
    plain = getattr(address, "ipv4_mapped", None) or address
    return plain.is_link_local or plain.is_multicast or plain in _METADATA


def wrong_addresses(addresses: Iterable[str]) -> bool:
    return any(wrong_address(ip_address(address.partition("%")[0])) for address in addresses)


def _numeric(host: str) -> IPv4Address | IPv6Address | None:
    """Also 2852039166, 0xA9FEA9FE and 169.254.43518, which the system takes for addresses."""
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError, UnicodeEncodeError):
        return None
