"""Messages of protocol.py as bytes, and back. Every byte string gives a message or a ProtocolError, no other error.

An audio message is: 1 byte length of the id, the id (UTF-8), 8 bytes sample offset (little endian), then pcm_s16le.
"""

from __future__ import annotations

import json
import struct
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from tts_plugin.protocol import (
    BYTES_PER_SAMPLE,
    MAX_ID_CHARS,
    MAX_MESSAGE_BYTES,
    Audio,
    Cancel,
    Credit,
    Done,
    Down,
    End,
    Failed,
    Hello,
    Played,
    ProtocolError,
    Say,
    Started,
    Text,
    Up,
    Words,
)

_OFFSET = struct.Struct("<Q")
_UP: dict[str, type[Any]] = {m.type: m for m in (Hello, Say, Text, End, Cancel, Credit, Played)}
_DOWN: dict[str, type[Any]] = {m.type: m for m in (Hello, Started, Words, Done, Failed)}
_WIRE_NAME = {"klass": "class"}


def encode(message: Up | Down) -> str:
    """The JSON text of one message."""
    return json.dumps({"type": message.type, **_as_dict(message)}, ensure_ascii=False, separators=(",", ":"))


def decode_up(raw: str | bytes) -> Up:
    """The message a client sent; ProtocolError says what was wrong with it."""
    return cast(Up, _decode(raw, _UP))


def decode_down(raw: str | bytes) -> Down:
    """The message a server sent."""
    return cast(Down, _decode(raw, _DOWN))


def encode_audio(audio: Audio) -> bytes:
    name = audio.id.encode()
    return bytes([len(name)]) + name + _OFFSET.pack(audio.offset) + audio.pcm


def decode_audio(raw: bytes) -> Audio:
    start = 1 + (raw[0] if raw else 0)
    body = start + _OFFSET.size
    if len(raw) < body or (len(raw) - body) % BYTES_PER_SAMPLE:
        raise ProtocolError(f"an audio message of {len(raw)} bytes is cut short")
    try:
        name = raw[1:start].decode()
    except UnicodeDecodeError as error:
        raise ProtocolError("the id of an audio message is not UTF-8") from error
    return Audio(name, _OFFSET.unpack_from(raw, start)[0], raw[body:])


def _as_dict(value: Any) -> dict[str, Any]:
    return {_WIRE_NAME.get(f.name, f.name): _plain(getattr(value, f.name)) for f in fields(value)}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return _as_dict(value)
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _decode(raw: str | bytes, kinds: dict[str, type[Any]]) -> Any:
    if len(raw) > MAX_MESSAGE_BYTES:
        raise ProtocolError(f"a message of {len(raw)} bytes was given; at most {MAX_MESSAGE_BYTES} are allowed")
    try:
        given = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {type(error).__name__}") from error
    if not isinstance(given, dict):
        raise ProtocolError(f"a message is a JSON object, got {type(given).__name__}")
    kind = given.pop("type", None)
    if not isinstance(kind, str) or kind not in kinds:
        raise ProtocolError(f"type {kind!r:.40} is unknown; allowed: {', '.join(kinds)}")
    return _build(kinds[kind], given, kind)


def _build(cls: Any, given: dict[str, Any], where: str) -> Any:
    hints = _hints(cls)
    values = {}
    for f in fields(cls):
        name = _WIRE_NAME.get(f.name, f.name)
        if name in given:
            values[f.name] = _check(given.pop(name), hints[f.name], f"{where}.{name}")
    if given:
        raise ProtocolError(f"{where} has no field {sorted(given)[0]!r:.40}")
    try:
        return cls(**values)
    except TypeError as error:
        raise ProtocolError(f"{where} lacks a field: {str(error).rsplit(':', 1)[-1].strip()}") from error


@cache
def _hints(cls: type[Any]) -> dict[str, Any]:
    return get_type_hints(cls)


def _check(value: Any, hint: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in get_args(hint):
            return None
        return _check(value, next(a for a in get_args(hint) if a is not NoneType), where)
    if origin is Literal:
        if value not in get_args(hint):
            raise ProtocolError(f"{where} is {value!r:.40}; allowed: {', '.join(get_args(hint))}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise ProtocolError(f"{where} must be a list, got {type(value).__name__}")
        return tuple(_check(v, get_args(hint)[0], where) for v in value)
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise ProtocolError(f"{where} must be an object, got {type(value).__name__}")
        return _build(hint, dict(value), where)
    return _check_scalar(value, hint, where)


def _check_scalar(value: Any, hint: type[Any], where: str) -> Any:
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise ProtocolError(f"{where} must be {hint.__name__}, got {type(value).__name__}")
    if where.endswith(".id") and len(value.encode("utf-8", "surrogatepass")) > MAX_ID_CHARS:
        raise ProtocolError(f"{where} has {len(value)} characters; at most {MAX_ID_CHARS} bytes are allowed")
    if where.endswith(".id") and not value.isprintable():
        raise ProtocolError(f"{where} is {value!r:.40}; only printable characters are allowed")
    if hint is int and where.endswith(".samples") and value < 0:
        raise ProtocolError(f"{where} is {value}; it cannot be negative")
    return value
