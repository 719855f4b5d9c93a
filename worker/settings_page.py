"""docs/settings.md and .env.example, written from the settings: `python -m worker.settings_page` renews both."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from worker.settings import Settings
from worker.settings_http import HttpSettings
from worker.settings_phone import PhoneSettings

ROOT = Path(__file__).resolve().parent.parent
_PARTS: tuple[type[BaseSettings], ...] = (HttpSettings, PhoneSettings)
_HIDDEN = {"fleet_socket"}  # set by the worker for its own jobs

_HEAD = """# Settings

Every setting is an environment variable, or a line of `.env` in the folder where `tts-ops` is started. A wrong value
stops the process at start with the variable's name, the value and what is allowed. `tts-ops doctor` shows what they
come to.
This page is written by `python -m worker.settings_page` from `worker/settings.py`.

| variable | default | allowed | meaning |
|---|---|---|---|
"""
_ENV_HEAD = """# Copy to .env and take the # off the lines you need; docs/settings.md says what is allowed.
# Written by `python -m worker.settings_page`.
"""


def markdown() -> str:
    rows = [
        f"| `{name.upper()}` | {_default(field) or '–'} | {_allowed(field)} | {field.description} |"
        for name, field in _fields()
    ]
    return _HEAD + "\n".join(rows) + "\n"


def env_example() -> str:
    blocks = [f"\n# {field.description}\n#{name.upper()}={_plain_default(field)}" for name, field in _fields()]
    return _ENV_HEAD + "\n".join(blocks) + "\n"


def _fields() -> list[tuple[str, FieldInfo]]:
    """Those of the HTTP service, and the phone last."""
    fields = [(name, field) for name, field in Settings.model_fields.items() if name not in _HIDDEN]
    return sorted(
        fields, key=lambda item: next((i for i, part in enumerate(_PARTS, 1) if item[0] in part.model_fields), 0)
    )


def _default(field: FieldInfo) -> str:
    plain = _plain_default(field)
    return f"`{plain}`" if plain else ""


def _plain_default(field: FieldInfo) -> str:
    return "" if field.default in (None, ()) else str(field.default)


def _allowed(field: FieldInfo) -> str:
    literal = next((a for a in (field.annotation, *get_args(field.annotation)) if get_origin(a) is Literal), None)
    if literal is not None:
        return ", ".join(f"`{value}`" for value in get_args(literal))
    if SecretStr in get_args(field.annotation):
        return "secret"
    bounds = [_bound(m) for m in _metadata(field)]
    return " ".join(b for b in bounds if b) or "text"


def _metadata(field: FieldInfo) -> list[Any]:
    nested = [m for a in get_args(field.annotation) for m in getattr(a, "__metadata__", ())]
    return [*field.metadata, *(x for m in nested for x in getattr(m, "metadata", ()))]


def _bound(mark: Any) -> str:
    for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤")):
        if getattr(mark, name, None) is not None:
            return f"{sign} {getattr(mark, name):g}"
    pattern = getattr(mark, "pattern", None)
    return f"`{pattern}`".replace("|", "\\|") if pattern else ""


def main() -> None:
    (ROOT / "docs" / "settings.md").write_text(markdown(), encoding="utf-8")
    (ROOT / ".env.example").write_text(env_example(), encoding="utf-8")
    print("wrote docs/settings.md and .env.example")


if __name__ == "__main__":
    main()
