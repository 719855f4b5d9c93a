"""A torch.save file as a zip in memory: its pickle's bytes and its storages. Nothing is written or unpacked to disk."""

from __future__ import annotations

import io
import struct
import zipfile

from tts_plugin.pickle_reader import read_pickle

MAX_ENTRIES = 1_000  # a published voice has about 100
CENTRAL_RECORD = b"PK\x01\x02"


class BrokenArchive(ValueError):
    """Not a torch.save file, or one that is made to cost more than it weighs."""


class TorchArchive:
    """Raises BrokenArchive when opened on anything but a plain, uncompressed torch.save file."""

    def __init__(self, data: bytes) -> None:
        # counted before zipfile makes an object of each: a directory of a million entries costs a gigabyte
        if data.count(CENTRAL_RECORD) > MAX_ENTRIES:
            raise BrokenArchive(f"more than {MAX_ENTRIES} entries")
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error) as error:
            raise BrokenArchive(f"not the zip file that torch.save writes, or cut short ({error})") from error
        entries = self._zip.infolist()
        self._entries = {entry.filename: entry for entry in entries}
        _check(entries, len(data))
        self._prefix = _prefix(self._entries)
        if "byteorder" in self and self._read("byteorder") != b"little":
            raise BrokenArchive("its numbers are not little-endian")

    def __contains__(self, name: str) -> bool:
        return f"{self._prefix}/{name}" in self._entries

    def pickled(self) -> object:
        """The object tree, read without running anything. Raises UnsafePickle."""
        return read_pickle(self._read("data.pkl"))

    def storage(self, key: str) -> bytes:
        if not key.isascii() or not key.isdigit() or f"data/{key}" not in self:
            raise BrokenArchive(f"no storage {key!r:.40}")
        return self._read(f"data/{key}")

    def _read(self, name: str) -> bytes:
        try:
            return self._zip.read(self._entries[f"{self._prefix}/{name}"])
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, OSError) as error:
            raise BrokenArchive(f"its entry {name} cannot be read ({error})") from error


def _check(entries: list[zipfile.ZipInfo], size: int) -> None:
    if len({entry.filename for entry in entries}) != len(entries):
        raise BrokenArchive("two entries of the same name")
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size or entry.flag_bits & 1:
            raise BrokenArchive(f"entry {entry.filename!r:.80} is compressed or encrypted; torch.save does neither")
    total = sum(entry.file_size for entry in entries)
    if total > size:
        raise BrokenArchive(f"entries of {total} bytes in a file of {size}")


def _prefix(names: dict[str, zipfile.ZipInfo]) -> str:
    """The one folder that all entries lie in."""
    prefixes = {name.partition("/")[0] for name in names}
    if len(prefixes) != 1 or f"{min(prefixes)}/data.pkl" not in names:
        raise BrokenArchive("its entries do not lie in one folder with a data.pkl")
    return min(prefixes)
