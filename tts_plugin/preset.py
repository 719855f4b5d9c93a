"""Voice presets: the published .pt files (a pickle in a zip) turned into safetensors and a manifest.

The conversion needs neither torch nor transformers and runs nothing of the file. The tensors keep their bytes and get
the names `<model>.key_cache.<layer>`, `.value_cache.<layer>` and `.last_hidden_state`. Knows nothing of networks.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tts_plugin.pickle_reader import BFLOAT16, CACHE, MODEL_OUTPUT, TENSOR, Record, Storage, UnsafePickle
from tts_plugin.torch_archive import BrokenArchive, TorchArchive

MAX_FILE_BYTES = 32 << 20
MODELS = ("lm", "tts_lm", "neg_lm", "neg_tts_lm")
VOICE_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
EXPONENT_BITS = 0x7F80  # of bfloat16: all set means infinite or not a number
BFloat16s = NDArray[np.uint16]  # bfloat16 as it lies in memory; numpy has no such type


class WrongPreset(ValueError):
    """This file is not a voice preset that can be used: what was found. Nothing of it was run."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was made of what; lies beside the converted file."""

    voice: str
    source_file: str
    source_bytes: int
    source_sha256: str
    source_git_blob: str
    published: bool  # the source is, byte for byte, the file of that name that the model's authors publish
    sha256: str  # of the converted file
    bytes: int
    positions: dict[str, int]  # per model
    layers: dict[str, int]
    hidden: int


def convert(source: Path, folder: Path) -> Manifest:
    """Writes `<voice id>.safetensors` and `<voice id>.json` into folder, each whole or not at all.

    Raises WrongPreset when the file is not a voice, is hostile, or has a published name but other bytes.
    """
    data = _read(source)
    blob, published = git_blob(data), published_blobs().get(source.name)
    if published not in (None, blob):
        raise WrongPreset(f"{source}: git blob id {blob}; the published {source.name} has {published}")
    tensors = parse_preset(data, str(source))
    packed = pack(tensors)
    manifest = Manifest(
        voice=voice_id(source),
        source_file=source.name,
        source_bytes=len(data),
        source_sha256=hashlib.sha256(data).hexdigest(),
        source_git_blob=blob,
        published=published is not None,
        sha256=hashlib.sha256(packed).hexdigest(),
        bytes=len(packed),
        positions={model: tensors[f"{model}.last_hidden_state"].shape[1] for model in MODELS},
        layers={model: sum(name.startswith(f"{model}.key_cache.") for name in tensors) for model in MODELS},
        hidden=tensors["lm.last_hidden_state"].shape[2],
    )
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / f"{manifest.voice}.safetensors", packed)
    _write(folder / f"{manifest.voice}.json", json.dumps(asdict(manifest), indent=1).encode())
    return manifest


def verify(folder: Path, voice: str) -> Manifest:
    """Reads a converted voice's manifest and compares its file with it. Raises WrongPreset."""
    if not VOICE_ID.fullmatch(voice):
        raise WrongPreset(f"{voice!r:.80} is not a voice id; allowed: {VOICE_ID.pattern}")
    try:
        manifest = Manifest(**json.loads((folder / f"{voice}.json").read_text(encoding="utf-8")))
        found = hashlib.sha256((folder / f"{voice}.safetensors").read_bytes()).hexdigest()
    except OSError as error:
        raise WrongPreset(f"voice {voice} is not in {folder}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise WrongPreset(f"{folder / voice}.json is not a manifest ({type(error).__name__})") from error
    if found != manifest.sha256:
        raise WrongPreset(f"{folder / voice}.safetensors has sha256 {found}; its manifest says {manifest.sha256}")
    return manifest


def voice_id(source: Path) -> str:
    """en-Emma_woman.pt → en-emma_woman. Raises WrongPreset for a name that makes no id."""
    voice = source.stem.lower()
    if not VOICE_ID.fullmatch(voice):
        raise WrongPreset(f"{source.name!r:.80} makes no voice id; allowed: letters, digits, _ and -")
    return voice


def git_blob(data: bytes) -> str:
    """The id that git gives these bytes: how a published voice is recognised."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def published_blobs() -> Mapping[str, str]:
    """File name → git blob id of the voices that the model's authors publish."""
    lines = (files("tts_plugin") / "presets.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return {row[0]: row[1] for row in rows[1:]}


def parse_preset(data: bytes, source: str) -> dict[str, BFloat16s]:
    """The tensors of a .pt file by name. Raises WrongPreset; runs nothing."""
    try:
        archive = TorchArchive(data)
        models = archive.pickled()
        if not isinstance(models, dict) or set(models) != set(MODELS):
            raise WrongPreset(f"holds {_kind(models)}, expected a dict of {', '.join(MODELS)}")
        tensors: dict[str, BFloat16s] = {}
        for model in MODELS:
            tensors |= _model(archive, model, models[model])
    except (BrokenArchive, UnsafePickle, WrongPreset) as error:
        raise WrongPreset(f"{source} is not a usable voice preset: {error}") from error
    return tensors


def pack(tensors: Mapping[str, BFloat16s]) -> bytes:
    """A safetensors file; the same tensors always give the same bytes."""
    header: dict[str, object] = {}
    place = 0
    for name in sorted(tensors):
        end = place + tensors[name].nbytes
        header[name] = {"dtype": "BF16", "shape": tensors[name].shape, "data_offsets": [place, end]}
        place = end
    start = json.dumps(header, separators=(",", ":")).encode()
    start += b" " * (-len(start) % 8)
    blocks = (tensors[name].astype("<u2").tobytes() for name in sorted(tensors))
    return b"".join((len(start).to_bytes(8, "little"), start, *blocks))


def _model(archive: TorchArchive, model: str, record: object) -> dict[str, BFloat16s]:
    """One model's memory of the prompt: hidden states, and a key and a value tensor per layer."""
    output = _expect(record, MODEL_OUTPUT, model)
    hidden = _tensor(archive, output.items.get("last_hidden_state"), f"{model}.last_hidden_state", rank=3)
    cache = _expect(output.items.get("past_key_values"), CACHE, f"{model}.past_key_values").state
    if not isinstance(cache, dict):
        raise WrongPreset(f"{model}: its cache holds {_kind(cache)}, expected a dict")
    tensors = {f"{model}.last_hidden_state": hidden}
    for kind in ("key_cache", "value_cache"):
        layers = cache.get(kind)
        if not isinstance(layers, list) or not layers:
            raise WrongPreset(f"{model}.{kind} is {_kind(layers)}, expected a list of tensors")
        for index, layer in enumerate(layers):
            tensors[f"{model}.{kind}.{index}"] = _tensor(archive, layer, f"{model}.{kind}.{index}", rank=4)
    _check_shapes(model, tensors, hidden.shape[1])
    return tensors


def _check_shapes(model: str, tensors: dict[str, BFloat16s], positions: int) -> None:
    shapes = {tensor.shape for name, tensor in tensors.items() if "_cache." in name}
    if len(shapes) != 1 or min(shapes)[0] != 1 or min(shapes)[2] != positions:
        raise WrongPreset(f"{model}: caches of shapes {sorted(shapes)[:4]}, expected one, of {positions} positions")
    keys = sum(".key_cache." in name for name in tensors)
    if 2 * keys + 1 != len(tensors):
        raise WrongPreset(f"{model}: {keys} layers of keys, {len(tensors) - 1 - keys} of values")


def _tensor(archive: TorchArchive, record: object, name: str, rank: int) -> BFloat16s:
    """Reads one tensor: (storage, offset, sizes, strides, …). Every number is checked before it is used."""
    match _expect(record, TENSOR, name).args:
        case (Storage() as storage, int(offset), tuple() as sizes, tuple() as strides, *_):
            pass
        case _:
            raise WrongPreset(f"{name}: malformed tensor")
    if len(sizes) != rank or len(strides) != rank or not all(type(n) is int and n > 0 for n in (*sizes, *strides)):
        raise WrongPreset(f"{name}: expected {rank} positive sizes and strides")
    numbers = _storage(archive, storage, name)
    reach = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if offset < 0 or reach >= len(numbers) or prod(sizes) > len(numbers):
        raise WrongPreset(f"{name}: a tensor of {prod(sizes)} reaches outside its storage of {len(numbers)}")
    # a dimension of one never steps, and its stride may be any number
    steps = [numbers.itemsize * (stride if size > 1 else 1) for size, stride in zip(sizes, strides, strict=True)]
    view = np.lib.stride_tricks.as_strided(numbers[offset:], sizes, steps, writeable=False)
    if np.any((view & EXPONENT_BITS) == EXPONENT_BITS):
        raise WrongPreset(f"{name} holds infinite numbers or NaN")
    return np.ascontiguousarray(view)


def _storage(archive: TorchArchive, storage: Storage, name: str) -> BFloat16s:
    match storage.reference:
        case ("storage", kind, str(key), str(), int(count)) if getattr(kind, "text", None) == BFLOAT16:
            block = archive.storage(key)
        case _:
            raise WrongPreset(f"{name}: malformed storage; expected one of bfloat16")
    if len(block) != 2 * count:
        raise WrongPreset(f"{name}: a storage of {len(block)} bytes for {count} numbers of bfloat16")
    return np.frombuffer(block, dtype="<u2")


def _expect(value: object, name: str, where: str) -> Record:
    if type(value) is not Record or value.name != name:
        raise WrongPreset(f"{where} is {_kind(value)}, expected {name.replace(' ', '.')}")
    return value


def _kind(value: object) -> str:
    return value.name.replace(" ", ".") if type(value) is Record else type(value).__name__


def _read(source: Path) -> bytes:
    try:
        with source.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise WrongPreset(f"cannot read {source}: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise WrongPreset(f"{source} is larger than {MAX_FILE_BYTES} bytes, which no voice preset is")
    return data


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(data)
    os.replace(partial, path)
