"""Ports that are taken, by real sockets."""

import os
import socket
from collections.abc import Iterator

import pytest

from worker.dev.ports import Port, all_ports, complaint, holder
from worker.settings import Settings


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        yield s.getsockname()[1]


@pytest.fixture
def taken_udp() -> Iterator[int]:
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        yield s.getsockname()[1]


def test_a_taken_port_is_named_with_its_holder_and_the_variable_that_changes_it(taken: int) -> None:
    line = complaint((Port("ENGINE_PORT", taken),))
    assert line is not None
    assert line.startswith(f"port {taken} is in use by ")
    assert f"(process {os.getpid()})" in line
    assert f"(process {os.getpid()})" in line
    assert line.endswith("set ENGINE_PORT to another number")
    assert "\n" not in line


def test_a_taken_udp_port_is_found(taken_udp: int) -> None:
    assert f"port {taken_udp} is in use" in (complaint((Port("LIVEKIT_UDP_PORT", taken_udp, kind="udp"),)) or "")


def test_a_port_taken_on_every_address_is_taken_on_loopback_too() -> None:
    with socket.socket() as s:
        s.bind(("0.0.0.0", 0))
        s.listen()
        assert not Port("HTTP_PORT", s.getsockname()[1]).is_free


def test_a_free_port_has_no_complaint_and_no_holder() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        number = s.getsockname()[1]
    assert complaint((Port("HTTP_PORT", number),)) is None
    assert holder(Port("HTTP_PORT", number)) is None


def test_two_settings_with_one_number_are_both_named() -> None:
    line = complaint((Port("ENGINE_PORT", 8001), Port("MODELS_PORT", 8001)))
    assert line == "MODELS_PORT and ENGINE_PORT are both 8001: give one of them another number"


def test_the_holders_arguments_are_not_shown(taken: int) -> None:
    """Somebody else's command line may hold a key."""
    shown = holder(Port("HTTP_PORT", taken)) or ""
    assert "tests/" not in shown


def test_livekits_ports_count_only_where_we_start_it() -> None:
    ours = {port.variable for port in all_ports(Settings(_env_file=None), livekit=False)}
    both = {port.variable for port in all_ports(Settings(_env_file=None), livekit=True)}
    assert both - ours == {"LIVEKIT_PORT", "LIVEKIT_UDP_PORT"}
