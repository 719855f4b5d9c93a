"""Voice files made by hand, so that a test can bend any part of them.

The pickle is put together from its opcodes as torch.save writes it: its own classes need not exist to be named.
"""

from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import dataclass, field

import numpy as np
import pytest

from tts_plugin.preset import MODELS, WrongPreset, parse_preset

LAYERS, POSITIONS, HEADS, HEAD_DIM, HIDDEN = 2, 3, 2, 4, 8


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    body = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(body)]) + body


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def tuple_(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def list_(*parts: bytes) -> bytes:
    return b"](" + b"".join(parts) + b"e"


def dict_(**parts: bytes) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in parts.items()) + b"u"


@dataclass
class Preset:
    """A small voice file; a test bends one part of it."""

    storages: list[bytes] = field(default_factory=list)
    kind: bytes = name("torch", "BFloat16Storage")
    models: dict[str, bytes] = field(default_factory=dict)
    entries: dict[str, bytes] = field(default_factory=dict)

    def tensor(
        self, *shape: int, strides: tuple[int, ...] | None = None, offset: int = 0, count: int | None = None
    ) -> bytes:
        size = int(np.prod(shape))
        self.storages.append((np.arange(size, dtype="<u2") + len(self.storages)).tobytes())
        steps = strides or tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
        storage = tuple_(
            text("storage"), self.kind, text(str(len(self.storages) - 1)), text("cuda:0"), number(count or size)
        )
        sizes, steps_ = tuple_(*map(number, shape)), tuple_(*map(number, steps))
        hooks = name("collections", "OrderedDict") + b")R"
        rebuild = name("torch._utils", "_rebuild_tensor_v2")
        return rebuild + tuple_(storage + b"Q", number(offset), sizes, steps_, b"\x89", hooks) + b"R"

    def model(self, positions: int = POSITIONS, layers: int = LAYERS, **changed: bytes) -> bytes:
        def cache() -> bytes:
            return list_(*(self.tensor(1, HEADS, positions, HEAD_DIM) for _ in range(layers)))

        hidden = changed.get("hidden") or self.tensor(1, positions, HIDDEN)
        state = dict_(key_cache=changed.get("keys") or cache(), value_cache=changed.get("values") or cache())
        memory = name("transformers.cache_utils", "DynamicCache") + b")\x81" + state + b"b"
        output = name("transformers.modeling_outputs", "BaseModelOutputWithPast") + b")R"
        return output + b"(" + text("last_hidden_state") + hidden + text("past_key_values") + memory + b"u"

    def pickled(self) -> bytes:
        parts = {model: self.models.get(model) or self.model() for model in MODELS}
        return b"\x80\x02" + dict_(**parts) + b"."

    def packed(self, pickled: bytes | None = None, compression: int = zipfile.ZIP_STORED) -> bytes:
        entries = {"a/data.pkl": pickled or self.pickled(), "a/byteorder": b"little"}
        entries |= {f"a/data/{key}": block for key, block in enumerate(self.storages)} | self.entries
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", compression) as archive:
            for entry, block in entries.items():
                archive.writestr(entry, block)
        return file.getvalue()


def refused(data: bytes, says: str) -> None:
    with pytest.raises(WrongPreset, match=says):
        parse_preset(data, "voice.pt")
