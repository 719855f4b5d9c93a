"""Computes steps with torch: gathers the rows' state, runs the network once over all of them, puts the state back.

One step is one pass through the TTS model: every row's last latent, both branches, and the text windows that are due go
in as tokens of one batch. Then a latent is solved and decoded for every row that is not done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from tts_plugin.engine.kv_cache import PagedCache
from tts_plugin.engine.model.config import SAMPLE_RATE_HZ
from tts_plugin.engine.model.dpm_solver import Schedule, sample
from tts_plugin.engine.model.network import Network
from tts_plugin.engine.model.packed import pack
from tts_plugin.engine.model.voice import Voice
from tts_plugin.engine.noise import normal
from tts_plugin.engine.pages import OutOfPages
from tts_plugin.engine.plan import Plan, Seat, StoredVoice
from tts_plugin.engine.runner import DeviceLost, Made, Opening, OutOfMemory, Row, Samples
from tts_plugin.engine.sizes import Sizes


class TorchRunner:
    sample_rate_hz = SAMPLE_RATE_HZ

    def __init__(self, network: Network, voices: Mapping[str, Voice], schedule: Schedule, sizes: Sizes) -> None:
        pack(network)
        config, like = network.config, network.embed_tokens.weight
        self.slots, self.sizes = sizes.slots, sizes
        self.device, self.dtype = str(network.device), str(network.dtype).removeprefix("torch.")
        self.samples_per_latent, self.max_positions = config.samples_per_latent, config.language.max_positions
        self._network, self._schedule = network, schedule
        self._noise_rows = 1 + (len(schedule.steps) if schedule.needs_noise else 0)
        with torch.inference_mode():
            self._base = PagedCache(config.language, config.base_layers, sizes.base_pages, like)
            self._tts = PagedCache(config.language, config.tts_layers, sizes.tts_pages, like)
            self._times = network.diffusion_head.embed_times(torch.tensor(schedule.timesteps).to(network.device))
            self._latents = torch.zeros(sizes.slots, config.latent, device=network.device)  # [slots, latent] float32
            self._decoder_state = network.decoder.initial_state(sizes.slots)
            self._voices = self._store(voices)
            self._negative_hidden = {name: voice.negative_hidden for name, voice in voices.items()}  # [hidden]
        self._seats: dict[int, Seat] = {}

    @property
    def voices(self) -> tuple[str, ...]:
        return tuple(self._voices)

    @property
    def free_pages(self) -> int:
        return self._tts.pool.unpromised

    @property
    def total_pages(self) -> int:
        return self._tts.pool.count

    def prompt_positions(self, voice: str) -> int:
        return self._voices[voice].tts.positions

    def reserve(self, slot: int) -> None:
        promise = self.sizes.promise
        self._base.pool.promise(slot, promise.base)
        try:
            self._tts.pool.promise(slot, promise.tts)
        except OutOfPages:
            self._base.pool.give_back(slot, [])
            raise

    @torch.inference_mode()
    def open(self, slot: int, opening: Opening) -> None:
        voice = self._voices[opening.voice]
        base, tts = self._base.open(slot, voice.base), self._tts.open(slot, voice.tts)
        negative = self._tts.open(slot, voice.negative)
        self._seats[slot] = Seat(opening, voice, base, tts, negative, voice.base.positions, voice.tts.positions)
        for part in self._decoder_state:
            part[slot] = 0

    def close(self, slot: int) -> None:
        self._base.pool.give_back(slot, [])
        self._tts.pool.give_back(slot, [])
        if seat := self._seats.pop(slot, None):
            self._base.close(seat.base)
            self._tts.close(seat.tts)
            self._tts.close(seat.negative)

    def prepare(self, row: Row) -> None:
        seat, work = self._seats[row.slot], row.work
        self._base.grow(seat.base, seat.base_length + len(work.text))
        self._tts.grow(seat.tts, seat.length + work.feed_back + len(work.text))
        self._tts.grow(seat.negative, seat.voice.negative.positions + work.latent)

    @torch.inference_mode()
    def step(self, rows: Sequence[Row]) -> list[Made]:
        with _torch_errors():
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

    def _hear(self, plan: Plan) -> tuple[Tensor, list[bool]]:
        """Latents and text windows go through the TTS model: conditions [rows, 2, hidden], and which rows are done."""
        network, rows = self._network, len(plan.rows)
        silent = torch.stack([self._negative_hidden[seat.opening.voice] for seat in plan.seats])  # [rows, hidden]
        attention = self._tts.at(plan.groups)
        hidden = network.tts_model(self._embed(plan), attention.positions, attention)[:, 0]  # [tokens, hidden]
        hidden = torch.cat((hidden, silent))
        unheard = len(hidden) - rows
        last = [plan.last.get(n, unheard + n) for n in range(rows)]
        negative = [plan.negative.get(n, unheard + n) for n in range(rows)]
        conditions = hidden[torch.tensor([last, negative]).to(hidden.device)].transpose(0, 1)
        logits = network.eos(hidden[[plan.heard.get(n, 0) for n in range(rows)]]).tolist()
        return conditions, [n in plan.heard and logit > 0 for n, logit in enumerate(logits)]

    def _embed(self, plan: Plan) -> Tensor:
        """[tokens, 1, hidden]: what the TTS model hears, in the order of the plan's groups."""
        places, network = {n: place for place, n in enumerate(plan.backs)}, self._network
        pieces, order = [], list[int]()
        if plan.backs:
            pieces.append(network.speech_embedding(self._latents[[plan.rows[n].slot for n in plan.backs]]))
        if plan.reads:
            pieces.append(network.text_embedding(self._read(plan)))
        read_at = len(plan.backs)
        order += [places[n] for n in plan.alone] + [places[n] for n in plan.backs]
        for n in plan.reads:
            order += [places[n]] if n in places else []
            order += range(read_at, read_at + len(plan.rows[n].work.text))
            read_at += len(plan.rows[n].work.text)
        return torch.cat(pieces)[order][:, None]

    def _read(self, plan: Plan) -> Tensor:
        """The base model reads the text windows: [ids of all windows, hidden]."""
        ids = [id for n in plan.reads for id in plan.rows[n].work.text]
        attention = self._base.at([[plan.base_span(n) for n in plan.reads]])
        tokens = self._network.embed_tokens(torch.tensor(ids).to(self._latents.device))[:, None]
        hidden: Tensor = self._network.base_model(tokens, attention.positions, attention)[:, 0]
        return hidden

    def _speak(self, rows: Sequence[Row], conditions: Tensor) -> Samples:
        """Makes one latent per row and decodes it: [rows, samples]."""
        network, device = self._network, self._latents.device
        noise = torch.from_numpy(self._noise(rows)).to(device)  # [rows, 1 + steps, latent]
        scales = torch.tensor([[self._seats[row.slot].opening.cfg_scale] for row in rows]).to(device)
        latents = sample(
            network.diffusion_head,
            self._schedule,
            self._times,
            conditions[:, 0],
            conditions[:, 1],
            scales,
            noise[:, 0],
            noise[:, 1:] if self._schedule.needs_noise else None,
        )
        slots = torch.tensor([row.slot for row in rows]).to(device)
        state = tuple(part[slots] for part in self._decoder_state)
        audio, state = network.decoder(network.unscaled(latents)[:, None], state)
        samples: Samples = audio.float().cpu().numpy()  # waits for the device: from here on nothing fails
        self._latents[slots] = latents
        for part, new in zip(self._decoder_state, state, strict=True):
            part[slots] = new
        return samples

    def _noise(self, rows: Sequence[Row]) -> Samples:
        openings = [self._seats[row.slot].opening for row in rows]
        latents = [row.work.latent for row in rows]
        drawn = normal([opening.seed for opening in openings], latents, self._noise_rows, self._latents.shape[1])
        for place, (opening, latent) in enumerate(zip(openings, latents, strict=True)):
            if opening.noise is not None:
                drawn[place] = opening.noise(latent)
        return drawn

    def _store(self, voices: Mapping[str, Voice]) -> dict[str, StoredVoice]:
        return {
            name: StoredVoice(
                self._base.store(voice.base),
                self._tts.store(voice.tts),
                self._tts.store(voice.negative),
            )
            for name, voice in voices.items()
        }


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
