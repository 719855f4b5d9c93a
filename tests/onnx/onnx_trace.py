"""The language models fed with what the reference fed them, call by call."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from golden_cases import Case
from numpy.typing import NDArray

from tts_plugin.engine.onnx.language_model import BASE_GROUPS, TTS_GROUPS
from tts_plugin.engine.onnx.network import OnnxNetwork
from tts_plugin.engine.onnx.page_store import PageStore
from tts_plugin.engine.onnx.voice import load_voice
from tts_plugin.engine.tracks import Span, Track

Floats = NDArray[np.float32]
NAMES = {"lm": "lm_hidden", "tts_text": "tts_text_hidden", "tts_pos": "tts_pos_hidden", "tts_neg": "tts_neg_hidden"}


def follow_trace(case: Case, network: OnnxNetwork) -> Mapping[str, Floats]:
    """Everything that the recording has of the language models, under its names there."""
    follower = _Follower(case, network)
    for call in case.inputs["trace"]:
        if call["op"] != "diffuse":
            follower.call(call["op"], call["positions"], call.get("tokens", []))
    return {name: np.array(values) for name, values in follower.heard.items()}


class _Follower:
    def __init__(self, case: Case, network: OnnxNetwork) -> None:
        config = network.config
        voice = load_voice(case.path.parent / case.inputs["voice"], config)
        self.network, self.recorded = network, {name: part.numpy() for name, part in case.recorded.items()}
        self.base = PageStore(config.language, config.base_layers, 60)
        self.tts = PageStore(config.language, config.tts_layers, 60)
        self.tracks = {
            "lm": self.base.open(0, self.base.store(voice.base)),
            "tts_text": self.tts.open(0, self.tts.store(voice.tts)),
            "tts_neg": self.tts.open(0, self.tts.store(voice.negative)),
        }
        self.tracks["tts_pos"] = self.tracks["tts_text"]
        self.heard: dict[str, list[Floats]] = {name: [] for name in (*NAMES.values(), "eos_logits")}

    def call(self, op: str, positions: list[int], tokens: list[int]) -> None:
        heard = self.heard[NAMES[op]]
        span = self._span(self.tracks[op], positions, self.base if op == "lm" else self.tts)
        if op == "lm":
            heard += list(self._read(span, tokens))
            return
        latents = self.recorded["latents"][len(heard) : len(heard) + 1]
        text = self.recorded["lm_hidden"][len(heard) : len(heard) + span.count]
        is_text = op == "tts_text"
        groups = {"tts_text": [[], [], [span]], "tts_pos": [[span], [], []], "tts_neg": [[], [span], []]}[op]
        feed = self.tts.feed(groups, TTS_GROUPS)
        feed |= {"latents": latents[:0] if is_text else latents, "text": text if is_text else text[:0]}
        feed["order"] = np.arange(span.count)
        hidden, logits, keys, values = self.network.tts.run(("hidden", "eos", "new_keys", "new_values"), feed)
        self.tts.write(groups, keys, values)
        heard += list(hidden)
        if op == "tts_pos":
            self.heard["eos_logits"] += list(logits)

    def _read(self, span: Span, tokens: list[int]) -> Floats:
        feed = self.base.feed([[span]], BASE_GROUPS) | {"embeddings": self.network.embed(tokens)}
        hidden, keys, values = self.network.base.run(("hidden", "new_keys", "new_values"), feed)
        self.base.write([[span]], keys, values)
        return hidden

    def _span(self, track: Track, positions: list[int], store: PageStore) -> Span:
        store.grow(track, positions[-1] + 1)
        return Span(track, positions[0], len(positions))
