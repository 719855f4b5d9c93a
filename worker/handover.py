"""What a call's new agent is told of the one before it: the last turns and why it is gone. Travels as job metadata.

The words go to nobody but the new job: never to logs, metrics or errors.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

Role = Literal["user", "assistant"]
Reason = Literal["job_lost", "worker_lost", "no_agent", "drain"]

MAX_BYTES = 60 * 1024  # LiveKit takes 64,000 bytes of metadata
MAX_TURNS = 20
MAX_TURN_CHARS = 4_000  # one endless turn must not push the others out
_FORMAT = "tts-ops.handover.1"


@dataclass(frozen=True, slots=True)
class Turn:
    """One committed turn of the conversation."""

    role: Role
    text: str
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Handover:
    """`turns` in their order, the newest last; empty when nothing had been said, or nothing is known."""

    turns: tuple[Turn, ...]
    reason: Reason


def encode(last_turns: Iterable[Turn], reason: Reason) -> str:
    """As job metadata of at most MAX_BYTES: the newest turns that fit."""
    head, tail = f'{{"format":"{_FORMAT}","reason":"{reason}","turns":[', "]}"
    kept: list[str] = []
    free_bytes = MAX_BYTES - len(head) - len(tail)
    for turn in list(last_turns)[: -MAX_TURNS - 1 : -1]:
        item = _json({"role": turn.role, "text": turn.text[:MAX_TURN_CHARS], "interrupted": turn.interrupted})
        free_bytes -= len(item.encode()) + 1
        if free_bytes < 0:
            break
        kept.append(item)
    return head + ",".join(reversed(kept)) + tail


def decode(metadata: str) -> Handover | None:
    """None when the metadata is not ours: a first agent's job, or one that somebody else dispatched."""
    if len(metadata) > MAX_BYTES:
        return None
    try:
        said = json.loads(metadata)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or said.get("format") != _FORMAT or said.get("reason") not in get_args(Reason):
        return None
    return Handover(read_turns(said.get("turns")), said["reason"])


def read_turns(said: object) -> tuple[Turn, ...]:
    """Turns as /fleet and the metadata carry them; what is not a turn is left out."""
    items = said[-MAX_TURNS:] if isinstance(said, list) else []
    return tuple(turn for turn in map(_turn, items) if turn is not None)


def _turn(item: object) -> Turn | None:
    if not isinstance(item, Mapping):
        return None
    role, text = item.get("role"), item.get("text")
    if role not in get_args(Role) or not isinstance(text, str):
        return None
    return Turn(cast(Role, role), text[:MAX_TURN_CHARS], interrupted=item.get("interrupted") is True)


def _json(value: object) -> str:
    # A lone half of a surrogate pair has no UTF-8: escaped, it passes.
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if text.isprintable() else json.dumps(value, separators=(",", ":"))
