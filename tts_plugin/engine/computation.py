"""The two halves of a step as functions of tensors: hear (text and latents go in) and speak (latents come out).

Every size is a shape's, every index is a tensor's, nothing asks the device for a number: so a call can be captured as
it is. All state lives here, a row per slot and one more for padding. Nothing of it changes before a half is computed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tts_plugin.engine.kv_cache import PagedCache, Spans
from tts_plugin.engine.layout import Shape
from tts_plugin.engine.model.dpm_solver import Schedule, sample
from tts_plugin.engine.model.network import Network


class Computation:
    """`silences` [voices, hidden]: the negative branch's hidden state before anything is said."""

    def __init__(
        self, network: Network, schedule: Schedule, slots: int, base: PagedCache, tts: PagedCache, silences: Tensor
    ) -> None:
        config, device = network.config, network.device
        self.network, self.schedule, self.scratch_slot = network, schedule, slots
        self.noise_rows = 1 + (len(schedule.steps) if schedule.needs_noise else 0)
        self._base, self._tts, self._silences = base, tts, silences
        self._times = network.diffusion_head.embed_times(torch.tensor(schedule.timesteps).to(device))
        self._latents = torch.zeros(slots + 1, config.latent, device=device)  # float32
        self._decoder_state = network.decoder.initial_state(slots + 1)

    def open(self, slot: int) -> None:
        for part in self._decoder_state:
            part[slot] = 0

    def hear(self, shape: Shape, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """numbers from layout.lay_out: conditions [rows, 2, hidden], and logits [rows] of the end, where heard."""
        pieces = zip(torch.split(numbers, shape.lengths), shape.fields.items(), strict=True)
        at = {name: piece.view(dimensions) for piece, (name, dimensions) in pieces}
        hidden = self._silences[at["voice"]]
        if shape.tokens:
            attention = self._tts.at(
                at["positions"],
                at["places"],
                [Spans(group.tokens, at[name]) for name, group in zip(_GROUPS, shape.groups, strict=True)],
            )
            heard = self._inputs(shape, at)[at["order"]][:, None]
            hidden = torch.cat((self.network.tts_model(heard, attention.positions, attention)[:, 0], hidden))
        conditions = hidden[torch.stack((at["last"], at["unguided"]), 1)]
        return conditions, self.network.eos(hidden[at["heard"]]).float()

    def speak(self, conditions: Tensor, logits: Tensor, slots: Tensor, drawn: Tensor) -> Tensor:
        """Makes one latent per row and decodes it.

        drawn [rows, 1 + noise rows * latent]: guidance scale and noise. Returns [rows, 1 + samples] float32: the
        logits, which only pass through so that one copy brings all, and audio.
        """
        network = self.network
        noise = drawn[:, 1:].view(len(drawn), self.noise_rows, -1)
        latents = sample(
            network.diffusion_head,
            self.schedule,
            self._times,
            conditions[:, 0],
            conditions[:, 1],
            drawn[:, :1],
            noise[:, 0],
            noise[:, 1:] if self.schedule.needs_noise else None,
        )
        state = tuple(part[slots] for part in self._decoder_state)
        audio, state = network.decoder(network.unscaled(latents)[:, None], state)
        told = torch.cat((logits[:, None], audio.float()), dim=1)
        self._latents.index_copy_(0, slots, latents)
        for part, new in zip(self._decoder_state, state, strict=True):
            part.index_copy_(0, slots, new)
        return told

    def _inputs(self, shape: Shape, at: dict[str, Tensor]) -> Tensor:
        """What the TTS model may hear: [heard latents + ids, hidden]."""
        pieces = []
        if shape.negative.size:
            pieces.append(self.network.speech_embedding(self._latents[at["slots"]]))
        if shape.base.size:
            pieces.append(self.network.text_embedding(self._read(shape, at)))
        return torch.cat(pieces)

    def _read(self, shape: Shape, at: dict[str, Tensor]) -> Tensor:
        """The base model reads the text windows: [ids, hidden]."""
        attention = self._base.at(at["base_positions"], at["base_places"], [Spans(shape.base.tokens, at["base"])])
        tokens = self.network.embed_tokens(at["ids"])[:, None]
        hidden: Tensor = self.network.base_model(tokens, attention.positions, attention)[:, 0]
        return hidden


_GROUPS = ("alone", "negative", "reads")
