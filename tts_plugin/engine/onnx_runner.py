"""Computes steps with ONNX Runtime on a CPU, without torch. The same steps as torch_runner.py, in arrays.

One step is one pass through the TTS model: every row's last latent, both branches, and the text windows that are due go
in as tokens of one batch. Then a latent is solved and decoded for every row that is not done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from tts_plugin.engine.noise import normal
from tts_plugin.engine.onnx.decoder import Decoder
from tts_plugin.engine.onnx.language_model import BASE_GROUPS, TTS_GROUPS
from tts_plugin.engine.onnx.network import OnnxNetwork
from tts_plugin.engine.onnx.page_store import PageStore
from tts_plugin.engine.onnx.voice import Voice
from tts_plugin.engine.paged_runner import PagedRunner
from tts_plugin.engine.plan import Plan, Seat, StoredVoice
from tts_plugin.engine.runner import Made, Opening, OutOfMemory, Row, Samples
from tts_plugin.engine.sizes import Sizes

Floats = NDArray[np.float32]


class OnnxRunner(PagedRunner[PageStore]):
    device, mode = "cpu", ""

    def __init__(self, network: OnnxNetwork, voices: Mapping[str, Voice], sizes: Sizes) -> None:
        config = network.config
        self.slots, self.sizes = sizes.slots, sizes
        self.dtype: str = network.precision
        self.samples_per_latent, self.max_positions = config.samples_per_latent, config.language.max_positions
        self._network = network
        self._noise_rows = 1 + len(network.schedule.steps) * network.schedule.needs_noise
        self._base = PageStore(config.language, config.base_layers, sizes.base_pages)
        self._tts = PageStore(config.language, config.tts_layers, sizes.tts_pages)
        self._decoder = Decoder(network.decoder, config, sizes.slots)
        self._latents = np.zeros((sizes.slots, config.latent), np.float32)
        self._voices = {name: self._store(voice) for name, voice in voices.items()}
        self._negative_hidden = {name: voice.negative_hidden for name, voice in voices.items()}  # [hidden]
        self._seats: dict[int, Seat] = {}

    def open(self, slot: int, opening: Opening) -> None:
        super().open(slot, opening)
        self._decoder.open(slot)

    def step(self, rows: Sequence[Row]) -> list[Made]:
        with _runtime_errors():
            plan = Plan(rows, [self._seats[row.slot] for row in rows])
            conditions, ended = self._hear(plan)
            speakers = [n for n, row in enumerate(rows) if row.work.speak and not ended[n]]
            audio = self._speak([rows[n] for n in speakers], conditions[speakers]) if speakers else ()
        made = [Made(None, end) for end in ended]
        for n, samples in zip(speakers, audio, strict=True):
            made[n] = Made(samples, False)
        for row, seat in zip(rows, plan.seats, strict=True):
            seat.advance(row)
        return made

    def _hear(self, plan: Plan) -> tuple[Floats, list[bool]]:
        """Latents and text windows go through the TTS model: conditions [rows, 2, hidden], and which rows are done."""
        rows = len(plan.rows)
        hidden, logits = self._pass(plan)
        silent = np.stack([self._negative_hidden[seat.opening.voice] for seat in plan.seats])  # [rows, hidden]
        unheard, hidden = len(hidden), np.concatenate((hidden, silent))
        last = [plan.last.get(n, unheard + n) for n in range(rows)]
        negative = [plan.negative.get(n, unheard + n) for n in range(rows)]
        ended = [n in plan.heard and bool(logits[plan.heard[n]] > 0) for n in range(rows)]
        return hidden[np.array([last, negative]).T], ended

    def _pass(self, plan: Plan) -> tuple[Floats, Floats]:
        """Every token of the step through the TTS model: hidden [tokens, hidden], EOS logits [tokens]."""
        if not any(plan.groups):  # a text without ids: the voice alone is the condition
            return np.zeros((0, self._network.config.language.hidden), np.float32), np.zeros(0, np.float32)
        feed = self._tts.feed(plan.groups, TTS_GROUPS)
        feed["latents"] = self._latents[[plan.rows[n].slot for n in plan.backs]]
        feed["text"] = self._read(plan)
        feed["order"] = np.array(_order(plan), np.int64)
        hidden, logits, keys, values = self._network.tts.run(("hidden", "eos", "new_keys", "new_values"), feed)
        self._tts.write(plan.groups, keys, values)
        return hidden, logits

    def _read(self, plan: Plan) -> Floats:
        """The base model reads the text windows: [ids of all windows, hidden]."""
        embeddings = self._network.embed([id for n in plan.reads for id in plan.rows[n].work.text])
        if not plan.reads:
            return embeddings
        spans = [[plan.base_span(n) for n in plan.reads]]
        feed = self._base.feed(spans, BASE_GROUPS) | {"embeddings": embeddings}
        hidden, keys, values = self._network.base.run(("hidden", "new_keys", "new_values"), feed)
        self._base.write(spans, keys, values)
        return hidden  # type: ignore[no-any-return]

    def _speak(self, rows: Sequence[Row], conditions: Floats) -> Samples:
        """Makes one latent per row and decodes it: [rows, samples]."""
        network, slots = self._network, [row.slot for row in rows]
        scales = np.array([self._seats[slot].opening.cfg_scale for slot in slots], np.float32)
        latents = network.sampler.sample(conditions, scales, self._noise(rows))
        samples = self._decoder.decode(network.unscaled(latents), slots)
        self._latents[slots] = latents
        return samples

    def _noise(self, rows: Sequence[Row]) -> Floats:
        openings = [self._seats[row.slot].opening for row in rows]
        latents = [row.work.latent for row in rows]
        drawn = normal([opening.seed for opening in openings], latents, self._noise_rows, self._latents.shape[1])
        for place, (opening, latent) in enumerate(zip(openings, latents, strict=True)):
            if opening.noise is not None:
                drawn[place] = opening.noise(latent)
        return drawn

    def _store(self, voice: Voice) -> StoredVoice:
        return StoredVoice(self._base.store(voice.base), self._tts.store(voice.tts), self._tts.store(voice.negative))


def _order(plan: Plan) -> list[int]:
    """Which of (latents, text ids) each token of the plan's groups is."""
    places = {n: place for place, n in enumerate(plan.backs)}
    order = [places[n] for n in plan.alone] + [places[n] for n in plan.backs]
    read_at = len(plan.backs)
    for n in plan.reads:
        order += [places[n]] if n in places else []
        order += range(read_at, read_at + len(plan.rows[n].work.text))
        read_at += len(plan.rows[n].work.text)
    return order


@contextmanager
def _runtime_errors() -> Iterator[None]:
    """Says which of ONNX Runtime's errors are about memory."""
    try:
        yield
    except MemoryError as error:
        raise OutOfMemory(str(error)) from error
    except Exception as error:
        if "alloc" in str(error) and type(error).__module__.startswith("onnxruntime"):
            raise OutOfMemory(str(error).splitlines()[0]) from error
        raise
