"""What is kept of a call, a part of worker/settings.py's Settings: records, their webhook, traces."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class RecordSettings(BaseSettings):
    calls_kept_days: int = Field(30, ge=0, le=36_500, description="Days that the record of a call is kept.")
