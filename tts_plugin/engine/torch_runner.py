"""Computes steps with torch: lays a step out, runs the network once over all its rows, and hands the audio out.

One step is one pass through the TTS model: every row's last latent, both branches, and the text windows that are due go
in as tokens of one batch. Then a latent is solved and decoded for every row that is not done. On a CPU the rows that
are done are known before that; elsewhere asking would make the device wait, so theirs is computed and not taken.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

import numpy as np
import torch
from torch import Tensor

from tts_plugin.engine.computation import Computation
from tts_plugin.engine.graphs import Caller, Captured, CudaGraphs, Direct
from tts_plugin.engine.kv_cache import PagedCache
from tts_plugin.engine.layout import Buckets, Scratch, Shape, empty, exact, lay_out
from tts_plugin.engine.model.dpm_solver import Schedule
from tts_plugin.engine.model.network import Network
from tts_plugin.engine.model.packed import pack
from tts_plugin.engine.model.voice import Voice
from tts_plugin.engine.mps import Fallbacks
from tts_plugin.engine.noise import normal
from tts_plugin.engine.paged_runner import PagedRunner
from tts_plugin.engine.plan import Plan, Seat, StoredVoice
from tts_plugin.engine.runner import DeviceLost, Made, Opening, OutOfMemory, Row, Samples
from tts_plugin.engine.sizes import Sizes

logger = logging.getLogger(__name__)


class TorchRunner(PagedRunner[PagedCache]):
    """`buckets`: shapes that steps are padded to; None: those of CUDA graphs on CUDA, none elsewhere."""

    def __init__(
        self,
        network: Network,
        voices: Mapping[str, Voice],
        schedule: Schedule,
        sizes: Sizes,
        *,
        buckets: Buckets | None = None,
        one_wait: bool | None = None,
    ) -> None:
        pack(network)
        config, like = network.config, network.embed_tokens.weight
        self.slots, self.sizes = sizes.slots, sizes
        self.device, self.dtype = str(network.device), str(network.dtype).removeprefix("torch.")
        self.samples_per_latent, self.max_positions = config.samples_per_latent, config.language.max_positions
        on_cpu, on_cuda = network.device.type == "cpu", network.device.type == "cuda"
        self._one_wait = not on_cpu if one_wait is None else one_wait
        self._buckets = Buckets.of(sizes.slots, self.max_positions) if on_cuda and buckets is None else buckets
        with torch.inference_mode():
            self._base = PagedCache(config.language, config.base_layers, sizes.base_pages, like)
            self._tts = PagedCache(config.language, config.tts_layers, sizes.tts_pages, like)
            self._voices = self._store(voices)
            self._numbers = {name: number for number, name in enumerate(voices)}
            silences = torch.stack([voice.negative_hidden for voice in voices.values()])
            self._compute = Computation(network, schedule, sizes.slots, self._base, self._tts, silences)
            self._caller: Caller = self._captured(network.device) if on_cuda else Direct(network.device)
        self._fallbacks = Fallbacks() if network.device.type == "mps" else None
        self._seats: dict[int, Seat] = {}

    @property
    def mode(self) -> str:
        """graphs, or eager and why."""
        return self._caller.mode

    @torch.inference_mode()
    def open(self, slot: int, opening: Opening) -> None:
        super().open(slot, opening)
        self._compute.open(slot)

    @torch.inference_mode()
    def step(self, rows: Sequence[Row]) -> list[Made]:
        plan = Plan(rows, [self._seats[row.slot] for row in rows])
        shape = (self._buckets and self._buckets.shape(plan)) or exact(plan)
        with _torch_errors(), self._fallbacks.watch() if self._fallbacks else nullcontext():
            conditions, logits = self._hear(plan, shape)
            if self._one_wait:
                made = self._speak_all(plan, shape, conditions, logits)
            else:
                made = self._speak_on(plan, shape, conditions, logits)
        for row, seat in zip(rows, plan.seats, strict=True):
            seat.advance(row)
        return made

    def _hear(self, plan: Plan, shape: Shape) -> tuple[Tensor, Tensor]:
        voices = [self._numbers[seat.opening.voice] for seat in plan.seats]
        numbers = torch.from_numpy(lay_out(plan, shape, self._scratch, voices))
        conditions, logits = self._caller.call(shape, partial(self._compute.hear, shape), numbers)
        return conditions, logits

    def _speak_on(self, plan: Plan, shape: Shape, conditions: Tensor, logits: Tensor) -> list[Made]:
        """Who is done is asked first: nothing is computed for them."""
        ended = _ended(plan, logits.tolist())
        speakers = [n for n, row in enumerate(plan.rows) if row.work.speak and not ended[n]]
        made = [Made(None, end) for end in ended]
        if speakers:
            told = self._speak(plan, speakers, self._rows(shape, len(speakers)), conditions[speakers], logits[speakers])
            for n, one in zip(speakers, told, strict=False):
                made[n] = Made(one[1:], False)
        return made

    def _speak_all(self, plan: Plan, shape: Shape, conditions: Tensor, logits: Tensor) -> list[Made]:
        """Who is done comes with the audio, which of those is not taken."""
        speakers = [n for n, row in enumerate(plan.rows) if row.work.speak]
        if not speakers:
            return [Made(None, end) for end in _ended(plan, logits.tolist())]
        told = self._speak(plan, range(len(plan.rows)), shape.rows, conditions, logits)
        ended = _ended(plan, told[:, 0].tolist())
        return [
            Made(told[n, 1:] if row.work.speak and not ended[n] else None, ended[n]) for n, row in enumerate(plan.rows)
        ]

    def _speak(self, plan: Plan, who: Sequence[int], size: int, conditions: Tensor, logits: Tensor) -> Samples:
        """One latent for each of who, in a shape of `size` rows: [size, logit and samples]."""
        rows = [plan.rows[n] for n in who]
        slots = torch.full((size,), self._compute.scratch_slot)
        slots[: len(rows)] = torch.tensor([row.slot if row.work.speak else self._compute.scratch_slot for row in rows])
        drawn = torch.from_numpy(self._draw(rows, size))
        if len(conditions) < size:
            conditions = torch.cat((conditions, conditions[:1].expand(size - len(conditions), -1, -1)))
            logits = torch.cat((logits, logits[:1].expand(size - len(logits))))
        (told,) = self._caller.call(size, self._told, conditions, logits, slots, drawn)
        heard: Samples = told.cpu().numpy()  # waits for the device: from here on nothing fails
        return heard

    def _told(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return (self._compute.speak(*inputs),)

    def _rows(self, shape: Shape, speakers: int) -> int:
        return shape.rows if self._buckets else speakers

    @property
    def _scratch(self) -> Scratch:
        return Scratch(self._compute.scratch_slot, self._base.scratch_page, self._tts.scratch_page)

    def _draw(self, rows: Sequence[Row], size: int) -> Samples:
        """[size, 1 + noise rows * latent]: guidance scale, then noise."""
        openings = [self._seats[row.slot].opening for row in rows]
        latents, width = [row.work.latent for row in rows], self._compute.network.config.latent
        noise = normal([opening.seed for opening in openings], latents, self._compute.noise_rows, width)
        for place, (opening, latent) in enumerate(zip(openings, latents, strict=True)):
            if opening.noise is not None:
                noise[place] = opening.noise(latent)
        drawn = np.zeros((size, 1 + self._compute.noise_rows * width), np.float32)
        drawn[: len(rows), 0] = [opening.cfg_scale for opening in openings]
        drawn[: len(rows), 1:] = noise.reshape(len(rows), -1)
        return drawn

    def _captured(self, device: torch.device) -> Caller:
        """CUDA graphs of all buckets, or none where that fails."""
        torch.backends.cudnn.allow_tf32 = False  # float32 is float32; nothing else is touched by it
        graphs = CudaGraphs(device)
        try:
            graphs.capture(self._to_capture())
        except RuntimeError as error:
            why = str(error).splitlines()[0][:120]
            logger.warning("no CUDA graphs, so steps take longer: %s", why)
            return Direct(device, why)
        return graphs

    def _to_capture(self) -> Iterator[Captured]:
        assert self._buckets is not None
        hidden, rows_of_noise = self._compute.network.config.language.hidden, self._compute.noise_rows
        width, like = 1 + rows_of_noise * self._compute.network.config.latent, self._compute.network.embed_tokens.weight
        for shape in self._buckets.shapes():
            numbers = torch.from_numpy(empty(shape, self._scratch))
            yield Captured(shape, partial(self._compute.hear, shape), [numbers])
        for rows in reversed(self._buckets.rows):
            slots = torch.full((rows,), self._compute.scratch_slot)
            conditions, logits = like.new_zeros(rows, 2, hidden), torch.zeros(rows)
            yield Captured(rows, self._told, [conditions, logits, slots, torch.zeros(rows, width)])

    def _store(self, voices: Mapping[str, Voice]) -> dict[str, StoredVoice]:
        return {
            name: StoredVoice(self._base.store(voice.base), self._tts.store(voice.tts), self._tts.store(voice.negative))
            for name, voice in voices.items()
        }


def _ended(plan: Plan, logits: Sequence[float]) -> list[bool]:
    """Rows whose last latent was the last, as the model says on hearing it."""
    return [row.work.feed_back and logits[n] > 0 for n, row in enumerate(plan.rows)]


@contextmanager
def _torch_errors() -> Iterator[None]:
    """Says which of torch's errors are about memory, and which leave a device that nothing more can be done with."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(str(error)) from error
    except RuntimeError as error:
        if isinstance(error, getattr(torch, "AcceleratorError", ())) or "CUDA error" in str(error):
            raise DeviceLost(str(error).splitlines()[0]) from error
        if "can't allocate memory" in str(error) or "out of memory" in str(error):
            raise OutOfMemory(str(error)) from error
        raise
