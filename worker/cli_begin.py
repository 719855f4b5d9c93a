"""What every command of `tts-ops` begins with: its settings, and its log."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.settings import Settings


def begin(process: str) -> Settings:
    """Settings of this process, and its log set up. Raises SettingsError. Imports them only now: --help is quick."""
    from worker import logs
    from worker.settings import Settings

    settings = Settings()
    logs.configure(process, settings.log_level, settings.log_format)
    return settings
