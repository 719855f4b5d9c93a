"""The settings of the phone, a part of worker/settings.py's Settings: the SIP bridge, trunks and calls out."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class PhoneSettings(BaseSettings):
    sip_port: int = Field(
        5060, ge=1, le=65535, description="Port of the livekit-sip that `tts-ops dev --phone` starts."
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
