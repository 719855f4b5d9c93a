"""Tensors of a .safetensors file as float32 arrays, by their names in the file, read one at a time. No torch.

Plain reads instead of a mapping: a file that shrinks meanwhile is an error and not a crash. The table of token
embeddings stays in the file: of 272 MB, five rows are read per text window.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tts_plugin.engine.model.config import WrongCheckpoint
from tts_plugin.weights import TensorEntry, read_header

_DTYPES: dict[str, np.dtype[Any]] = {"BF16": np.dtype("<u2"), "F16": np.dtype("<f2"), "F32": np.dtype("<f4")}


class Checkpoint(Mapping[str, NDArray[np.float32]]):
    """Tensors by their names in a VibeVoice checkpoint."""

    @abstractmethod
    def rows(self, name: str, numbers: Sequence[int]) -> NDArray[np.float32]:
        """Some rows of a matrix [rows, columns]. Raises IndexError for a row that there is not."""


class Tensors(Checkpoint):
    """Every access reads the file. Raises WrongCheckpoint when it has become shorter."""

    def __init__(self, path: Path, entries: Mapping[str, TensorEntry]) -> None:
        self._path, self._entries = path, entries
        self._file = path.open("rb", buffering=0)

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        entry = self._entries[name]
        return self._read(entry, entry.begin, entry.end).reshape(entry.shape)

    def rows(self, name: str, numbers: Sequence[int]) -> NDArray[np.float32]:
        entry = self._entries[name]
        rows, columns = entry.shape
        size = columns * _DTYPES[entry.dtype].itemsize
        if not all(0 <= number < rows for number in numbers):
            raise IndexError(f"{name} has {rows} rows")
        starts = [entry.begin + number * size for number in numbers]
        read = [self._read(entry, start, start + size) for start in starts]
        return np.stack(read) if read else np.zeros((0, columns), np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def close(self) -> None:
        self._file.close()

    def _read(self, entry: TensorEntry, begin: int, end: int) -> NDArray[np.float32]:
        block = bytearray(end - begin)
        view, place = memoryview(block), 0
        while place < len(block):
            count = os.preadv(self._file.fileno(), [view[place:]], begin + place)
            if not count:
                raise WrongCheckpoint(f"{self._path} ended inside a tensor; it has changed while it was read")
            place += count
        return _as_float32(np.frombuffer(block, _DTYPES[entry.dtype]))


def _as_float32(numbers: NDArray[Any]) -> NDArray[np.float32]:
    if numbers.dtype == _DTYPES["BF16"]:  # the upper half of a float32
        return (numbers.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return numbers.astype(np.float32, copy=False)


@contextmanager
def open_tensors(path: Path, entries: Mapping[str, TensorEntry] | None = None) -> Iterator[Tensors]:
    """`entries` from read_header, if it was read already. Raises WrongCheckpoint when the file is broken."""
    tensors = Tensors(path, read_header(path) if entries is None else entries)
    try:
        yield tensors
    finally:
        tensors.close()
