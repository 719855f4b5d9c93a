"""`tts-ops keys add|list|revoke`: what a person sees of the API keys."""

from __future__ import annotations

import sys

from worker.keys import KeyFile
from worker.settings import Settings


def add(settings: Settings, name: str) -> int:
    """The key alone on standard output, so that it can be piped; what it means on standard error."""
    file = KeyFile(settings.api_keys_file)
    key, text = file.add(name)
    print(f"key {key.id} ({key.name}) is in {file.path}; it is shown this once:", file=sys.stderr)  # noqa: T201
    print(text)  # noqa: T201
    return 0


def show(settings: Settings) -> int:
    for key in KeyFile(settings.api_keys_file).all():
        print(f"{key.id}  {key.made}  {key.name}")  # noqa: T201
    return 0


def revoke(settings: Settings, which: str) -> int:
    key = KeyFile(settings.api_keys_file).revoke(which)
    print(f"key {key.id} ({key.name}) is revoked", file=sys.stderr)  # noqa: T201
    return 0
