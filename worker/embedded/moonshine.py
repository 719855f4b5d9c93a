"""Moonshine tiny (English): samples in, token ids out; the weights come inside the moonshine-voice wheel.

The two ONNX graphs are run here and not through the wheel's own library: one thread does what that needs two for, a
pass can be abandoned between tokens, and a draft (the words heard half a second ago) is checked in one decoder step
instead of being written again. 4 s of speech: 84 ms, with a draft 47 ms; the library 119 ms (2 cores, both idle).
Knows nothing of streams, queues or sockets. The graphs may be run from several threads at once.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

SAMPLE_RATE_HZ = 16_000
MIN_SAMPLES = 1_600  # the encoder's convolutions need 0.1 s to give a frame or two
TOKENS_PER_S = 6.5  # no one speaks faster; what is more is the model repeating itself
SPARE_TOKENS = 4
_START, _END = 1, 2  # token ids of Moonshine's tokenizer
_HEADS, _HEAD_SIZE = 8, 36
_SPACE = "\u2581"

Samples = npt.NDArray[np.float32]


class MoonshineError(RuntimeError):
    """The recogniser cannot be loaded; says what is missing."""


class Abandoned(Exception):
    """`abandoned` said that nobody wants the result any more."""


class Moonshine:
    def __init__(self, folder: Path | None = None) -> None:
        """`folder` holds encoder_model.ort, decoder_model_merged.ort and tokenizer.bin; None: the wheel's own."""
        folder = folder or _packaged_folder()
        for name in ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"):
            if not (folder / name).is_file():
                raise MoonshineError(f"the recogniser's {name} is missing")
        self._encoder = _session(folder / "encoder_model.ort")
        self._decoder = _session(folder / "decoder_model_merged.ort")
        self._words = _read_tokenizer(folder / "tokenizer.bin")
        self._cache_names = [i.name for i in self._decoder.get_inputs() if i.name.startswith("past_key_values")]
        self._growing = [name for name in self._cache_names if ".decoder." in name]
        self._step_outputs = ["logits", *(name.replace("past_key_values", "present") for name in self._growing)]
        self._no_cache = {name: np.zeros((1, _HEADS, 1, _HEAD_SIZE), np.float32) for name in self._cache_names}

    def transcribe(
        self, samples: Samples, draft: Sequence[int] = (), abandoned: Callable[[], bool] = lambda: False
    ) -> list[int]:
        """Token ids of what is said in `samples` (mono, 16 kHz, -1 to 1). A wrong `draft` costs time, never words."""
        if len(samples) < MIN_SAMPLES:
            return []
        mask = np.ones((1, len(samples)), np.int64)
        hidden = self._encoder.run(None, {"input_values": samples[None], "attention_mask": mask})[0]
        if abandoned():
            raise Abandoned
        most = int(len(samples) / SAMPLE_RATE_HZ * TOKENS_PER_S) + SPARE_TOKENS
        feed: dict[str, Any] = {"encoder_hidden_states": hidden, "encoder_attention_mask": mask}
        tokens = self._check_draft(feed, list(draft[: most - 1]))
        while tokens[-1] != _END and len(tokens) < most:
            if abandoned():
                raise Abandoned
            tokens.append(self._next(feed, tokens[-1]))
        return tokens[:-1] if tokens[-1] == _END else tokens

    def text(self, tokens: Sequence[int]) -> str:
        spoken = b"".join(self._words[t] for t in tokens if not _is_special(self._words[t]))
        return spoken.decode("utf-8", "replace").replace(_SPACE, " ").strip()

    def _check_draft(self, feed: dict[str, Any], draft: list[int]) -> list[int]:
        """One pass over the whole draft: keeps what the model would have written itself, adds its next token."""
        feed |= self._no_cache
        feed["use_cache_branch"] = np.array([False])
        feed["input_ids"] = np.array([[_START, *draft]], np.int64)
        logits, *caches = self._decoder.run(None, feed)
        own = logits[0].argmax(axis=-1).tolist()
        kept = next((i for i, token in enumerate(draft) if own[i] != token), len(draft))
        for name, cache in zip(self._cache_names, caches, strict=True):
            feed[name] = np.ascontiguousarray(cache[:, :, : kept + 1]) if ".decoder." in name else cache
        feed["use_cache_branch"] = np.array([True])
        return draft[:kept] + [own[kept]]

    def _next(self, feed: dict[str, Any], token: int) -> int:
        feed["input_ids"] = np.array([[token]], np.int64)
        logits, *caches = self._decoder.run(self._step_outputs, feed)
        feed.update(zip(self._growing, caches, strict=True))
        return int(logits[0, -1].argmax())


def _packaged_folder() -> Path:
    """Found without importing the package, whose library would cost 60 MB and is not used."""
    spec = importlib.util.find_spec("moonshine_voice")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "assets" / "tiny-en"
        if folder.is_dir():
            return folder
    raise MoonshineError("the recogniser's weights are missing: install moonshine-voice==0.0.73 (extra `embedded`)")


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # two threads gain 10 ms on an idle machine and lose 50 on a busy one
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _read_tokenizer(path: Path) -> list[bytes]:
    """Each token: its length in one byte (two from 128 on: low seven bits first), then its bytes."""
    raw, at, words = path.read_bytes(), 0, []
    while at < len(raw):
        size, at = raw[at], at + 1
        if size >= 128:
            size, at = raw[at] * 128 + size - 128, at + 1
        words.append(raw[at : at + size])
        at += size
    return words


def _is_special(word: bytes) -> bool:
    return len(word) > 2 and word.startswith(b"<") and word.endswith(b">")
