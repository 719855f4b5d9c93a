"""What `tts-ops dev --phone` starts besides: redis and the SIP bridge, and one line that a softphone may dial."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from dataclasses import dataclass, field

from pydantic import SecretStr

from worker.dev.livekit import LiveKitKey
from worker.dev.ports import Port
from worker.dev.supervisor import Part
from worker.phone import trunks
from worker.phone.bridge import Bridge
from worker.phone.registrar import PhoneError, Registrar
from worker.settings import Settings
from worker.setup import livekit_sip

USER = "softphone"
ANY = "agent"  # what is dialled does not matter: who knows the password may call
TRIES_S = 10.0


class NoPhone(Exception):
    """One line a person can act on."""


@dataclass(frozen=True, slots=True)
class Softphone:
    """The password is new at each start."""

    bridge: Bridge
    password: str = field(repr=False, default_factory=lambda: secrets.token_urlsafe(9))

    def told(self) -> str:
        address = f"{self.bridge.listen}:{self.bridge.sip_port}"
        return (
            f"  Or dial sip:{ANY}@{address} with a softphone (UDP, PCMU): account {USER}@{address}, "
            f"password {self.password}\n  docs/phone.md says how, and how a real number rings.\n"
        )


def ports(settings: Settings) -> tuple[Port, ...]:
    return (
        Port("REDIS_PORT", settings.redis_port),
        Port("SIP_PORT", settings.sip_port, settings.phone_listen, kind="udp"),
        Port("SIP_PORT", settings.sip_port, settings.phone_listen),
    )


def redis_address(settings: Settings) -> str:
    return f"127.0.0.1:{settings.redis_port}"


def parts(settings: Settings, key: LiveKitKey) -> list[Part]:
    """NoPhone where a program is missing. livekit-server is started after redis: give its Part after=("redis",)."""
    redis = shutil.which("redis-server")
    if redis is None:
        raise NoPhone("redis-server is not installed: apt install redis-server (macOS: brew install redis)")
    bridge = livekit_sip.PROGRAM.find()
    if bridge is None:
        raise NoPhone("livekit-sip is not installed: `make call PHONE=1` builds it")
    keep_nothing = ("--save", "", "--appendonly", "no", "--loglevel", "warning")
    return [
        Part(
            "redis",
            (redis, "--port", str(settings.redis_port), "--bind", "127.0.0.1", *keep_nothing),
            ready_url=f"tcp://{redis_address(settings)}",
            ready_within_s=15.0,
            ends=2,
        ),
        Part(
            "sip",
            (str(bridge),),
            Bridge.of(settings).environment(key.name, key.secret),
            ends=1,
            after=("redis", "livekit"),
        ),
    ]


async def open_line(settings: Settings, key: LiveKitKey, phone: Softphone) -> None:
    """Let the softphone in. Raises NoPhone."""
    ours = settings.model_copy(
        update={
            "livekit_url": f"ws://127.0.0.1:{settings.livekit_port}",
            "livekit_api_key": key.name,
            "livekit_api_secret": SecretStr(key.secret),
            "phone_numbers": ("+10000000",),
            "sip_user": USER,
            "sip_password": SecretStr(phone.password),
            "sip_provider": None,
        }
    )
    want = trunks.wanted(ours)
    assert want.inbound is not None
    del want.inbound.numbers[:]
    try:
        async with asyncio.timeout(TRIES_S), Registrar(ours) as registrar:
            steps = trunks.steps(want, await registrar.there())
            await registrar.apply(steps, want)
    except (PhoneError, TimeoutError) as error:
        raise NoPhone(f"no softphone can dial in: {error or 'LiveKit does not answer'}") from error
