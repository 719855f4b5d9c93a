"""The settings of the phone, a part of worker/settings.py's Settings: the SIP bridge, trunks and calls out."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class PhoneSettings(BaseSettings):
    sip_port: int = Field(
        5060, ge=1, le=65535, description="Port of the livekit-sip that `tts-ops dev --phone` starts."
    )
