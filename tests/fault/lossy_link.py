"""A network that loses and delays packets: two TUN devices, one in a namespace, and a loop between them.

For kernels without netem; root only. Knows nothing of what is sent over it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
MTU = 1400
MAX_WAITING = 2_000  # packets under way, each direction together


@dataclass(slots=True)
class LossyLink:
    """`near` and `far` are its two ends' addresses; programs run at the far end with `command`."""

    name: str
    near: str
    far: str
    loss: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    cut: bool = False
    passed: int = 0
    lost: int = 0
    _random: random.Random = field(default_factory=lambda: random.Random(5))
    _waiting: int = 0

    def command(self, *words: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *words]

    def take(self, loop: asyncio.AbstractEventLoop, packet: bytes, there: int) -> None:
        if self.cut or self._random.random() < self.loss or self._waiting >= MAX_WAITING:
            self.lost += 1
            return
        self._waiting += 1
        delay_s = self.delay_s + self._random.uniform(-self.jitter_s, self.jitter_s)
        loop.call_later(max(0.0, delay_s), self._deliver, packet, there)

    def _deliver(self, packet: bytes, there: int) -> None:
        self._waiting -= 1
        if not self.cut:
            self.passed += 1
            with suppress(OSError):
                os.write(there, packet)


@contextmanager
def lossy_link() -> Iterator[LossyLink]:
    """OSError or CalledProcessError without the right to it."""
    number = os.getpid() % 250
    link = LossyLink(f"ttsops{os.getpid()}", f"10.213.{number}.1", f"10.213.{number}.2")
    near_name, far_name = f"ton{number}", f"tof{number}"
    _ip("netns", "add", link.name)
    try:
        near, far = _tun(near_name), _tun(far_name)
        try:
            _ip("link", "set", far_name, "netns", link.name)
            _up(near_name, link.near)
            _up(far_name, link.far, "-n", link.name)
            _ip("-n", link.name, "link", "set", "lo", "up")
            _ip("-n", link.name, "route", "add", "default", "dev", far_name)
            with _carrying(link, near, far):
                yield link
        finally:
            os.close(near)
            os.close(far)
    finally:
        _ip("netns", "del", link.name)


def interface(link: LossyLink) -> str:
    """The device of the near end."""
    return f"ton{os.getpid() % 250}"


@contextmanager
def _carrying(link: LossyLink, near: int, far: int) -> Iterator[None]:
    loop = asyncio.new_event_loop()

    def read(here: int, there: int) -> None:
        with suppress(BlockingIOError):
            link.take(loop, os.read(here, 65_536), there)

    loop.add_reader(near, read, near, far)
    loop.add_reader(far, read, far, near)
    thread = threading.Thread(target=loop.run_forever, name="lossy-link", daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def _tun(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return device


def _up(name: str, own: str, *where: str) -> None:
    _ip(*where, "addr", "add", f"{own}/30", "dev", name)
    _ip(*where, "link", "set", name, "mtu", str(MTU), "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)
