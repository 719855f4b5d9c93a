"""Who the agent is: `agent.yaml`, strict, with errors that name the line. Knows nothing of LiveKit.

Read anew for each call, so an edit is heard in the next call without a restart.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from worker.agent_tools import Phone, Target, Tools
from worker.phrases import Phrases

MAX_FILE_BYTES = 256 * 1024

DEFAULT_INSTRUCTIONS = (
    "You are Vera, a friendly voice assistant on a phone call. Answer in one short, plain English sentence. "
    "No lists, no symbols, no emoji."
)
DEFAULT_GREETING = "Hello, this is Vera, an AI assistant. How can I help you?"


class AgentFileError(ValueError):
    """One line: file, line, what was given, what is allowed."""


class Limits(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    max_call_s: float | None = Field(None, ge=10, le=86_400)  # None: the MAX_CALL_S setting
    user_away_s: float = Field(30.0, ge=5, le=3600)
    history_turns: int = Field(40, ge=2, le=1000)


class AgentFile(BaseModel):
    """The agent of one call. `voice` empty: the TTS_VOICE setting."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("Vera", min_length=1, max_length=64)
    instructions: str = Field(DEFAULT_INSTRUCTIONS, min_length=1, max_length=20_000)
    greeting: str = Field(DEFAULT_GREETING, max_length=1000)
    voice: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    language: Annotated[str, Field(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")] = "en"
    limits: Limits = Limits()
    phrases: Phrases = Phrases()
    tools: Tools = Tools()
    phone: Phone = Phone()


_MODELS: dict[tuple[Any, ...], type[BaseModel]] = {
    ("limits",): Limits,
    ("phrases",): Phrases,
    ("tools",): Tools,
    ("phone",): Phone,
    ("tools", "transfer"): Target,
}


def load(path: Path, *, must_exist: bool = False) -> AgentFile:
    """The agent described by `path`; the built-in one when there is no such file and it need not exist.

    Raises AgentFileError for a file that cannot be read or is not right.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        if must_exist:
            raise AgentFileError(f"{path}: no such file; set AGENT_FILE or create it (docs/agent-file.md)") from None
        return AgentFile()
    except OSError as error:
        raise AgentFileError(f"{path}: {error.strerror}") from None
    if len(raw) > MAX_FILE_BYTES:
        raise AgentFileError(f"{path}: {len(raw)} bytes were given; at most {MAX_FILE_BYTES} are allowed")
    return parse(raw, str(path))


def parse(raw: bytes, name: str) -> AgentFile:
    """The agent that the YAML text `raw` describes; `name` stands in error messages."""
    try:
        node = yaml.compose(raw, Loader=yaml.SafeLoader)
        given = yaml.safe_load(raw)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        raise AgentFileError(f"{where}: not YAML: {getattr(error, 'problem', None) or type(error).__name__}") from None
    if given is None:
        return AgentFile()
    if not isinstance(given, dict):
        raise AgentFileError(f"{name}:1: a mapping of fields is expected, got {type(given).__name__}")
    _refuse_repeated_keys(node, name)
    try:
        return AgentFile.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(p) for p in first["loc"])
        allowed = f"; allowed: {', '.join(_fields_at(first['loc'][:-1]))}" if first["type"] == "extra_forbidden" else ""
        raise AgentFileError(f"{name}:{_line_of(node, first['loc'])}: {place}: {first['msg']}{allowed}") from None


def _refuse_repeated_keys(node: yaml.Node | None, name: str) -> None:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_keys(item, name)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        if key.value in seen:
            raise AgentFileError(f"{name}:{key.start_mark.line + 1}: {key.value}: given twice")
        seen.add(key.value)
        _refuse_repeated_keys(value, name)


def _fields_at(location: tuple[Any, ...]) -> list[str]:
    fields = tuple(part for part in location if not isinstance(part, int))
    return sorted(_MODELS.get(fields, AgentFile).model_fields)


def _line_of(node: yaml.Node | None, location: tuple[Any, ...]) -> int:
    """The line of the deepest key of `location` that the file has."""
    line = 1
    for part in location:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
            continue
        if not isinstance(node, yaml.MappingNode):
            break
        for key, value in node.value:
            if key.value == part:
                line, node = key.start_mark.line + 1, value
                break
        else:
            break
    return line
