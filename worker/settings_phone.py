"""The settings of the phone, a part of worker/settings.py's Settings: numbers, the provider, the bridge."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

E164 = re.compile(r"\+[1-9]\d{6,14}")
Listed = Annotated[tuple[str, ...], NoDecode]


class PhoneSettings(BaseSettings):
    phone_numbers: Listed = Field(
        (),
        description="Numbers that callers dial, as +15550100, separated by commas; `tts-ops phone setup` opens them.",
    )
    phone_show_number: bool = Field(
        False, description="Whether the caller's number reaches the agent; it is never in a log either way."
    )
    sip_provider: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9.-]+(:\d{1,5})?$",
        description="Host of the SIP provider that `tts-ops phone call` dials through: example.pstn.twilio.com.",
    )
    sip_user: str | None = Field(
        None, max_length=128, description="Name that callers log in with, and that we log in with to SIP_PROVIDER."
    )
    sip_password: SecretStr | None = Field(None, description="Password of SIP_USER.")
    sip_allowed_addresses: Listed = Field(
        (),
        description="Addresses that calls may come from without a login, separated by commas; empty: all log in.",
    )
    sip_outbound_trunk: str | None = Field(
        None,
        pattern=r"^ST_\w{1,60}$",
        description="Id of the trunk for warm transfers, as `tts-ops phone list` tells it.",
    )
    phone_ring_s: float = Field(
        30.0,
        ge=1,
        le=170,
        description="How long a telephone rings while no worker is there, before it is told busy, seconds.",
    )
    sip_port: int = Field(
        5060, ge=1, le=65535, description="Port of the livekit-sip that `tts-ops dev --phone` starts."
    )
    sip_rtp_ports: str = Field(
        "40000-40199", pattern=r"^\d{4,5}-\d{4,5}$", description="UDP ports for the sound of its calls."
    )
    phone_listen: str = Field(
        "127.0.0.1", description="Address that it listens on; softphones that refuse loopback need this machine's own."
    )
    redis_port: int = Field(6379, ge=1, le=65535, description="Port of the redis that `tts-ops dev --phone` starts.")

    @field_validator("phone_numbers", "sip_allowed_addresses", mode="before")
    @classmethod
    def _list(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("phone_numbers")
    @classmethod
    def _numbers(cls, numbers: tuple[str, ...]) -> tuple[str, ...]:
        for number in numbers:
            if not E164.fullmatch(number):
                raise ValueError(f"{number!r} is no number; one is like +15550100: + and 7 to 15 digits")
        return numbers
