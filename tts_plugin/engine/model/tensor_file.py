"""Tensors of a .safetensors file, read one at a time into memory of their own.

Plain reads instead of a mapping: what is not asked for costs nothing, a file that shrinks meanwhile is an error and not
a crash, and the peak of a load is what was placed plus one tensor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from tts_plugin.engine.model.config import WrongCheckpoint
from tts_plugin.weights import TensorEntry, read_header

DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


class TensorFile:
    def __init__(self, path: Path, entries: dict[str, TensorEntry]) -> None:
        self._path, self._entries = path, entries
        self._file = path.open("rb", buffering=0)

    def read(self, name: str) -> Tensor:
        """A tensor on the CPU, in the file's dtype. Raises WrongCheckpoint when the file has become shorter."""
        entry = self._entries[name]
        block = bytearray(entry.end - entry.begin)
        view, place = memoryview(block), 0
        self._file.seek(entry.begin)
        while place < len(block):
            count = self._file.readinto(view[place:])  # Linux reads at most 2 GB at once
            if not count:
                raise WrongCheckpoint(f"{self._path} ended inside {name}; it has changed while it was read")
            place += count
        return torch.frombuffer(block, dtype=DTYPES[entry.dtype]).reshape(entry.shape)

    def close(self) -> None:
        self._file.close()


@contextmanager
def open_tensors(path: Path, entries: dict[str, TensorEntry] | None = None) -> Iterator[TensorFile]:
    """`entries` from read_header, if it was read already. Raises WrongCheckpoint when the file is broken."""
    file = TensorFile(path, read_header(path) if entries is None else entries)
    try:
        yield file
    finally:
        file.close()
