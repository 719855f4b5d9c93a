"""One utterance alone, in the plainest way: the oracle that the batched engine is held to. Not used when serving.

Follows the order of VibeVoice's own generate(), its waste included: after the end is predicted the rest of the speech
window is still computed, and only not emitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from tts_plugin.engine.model.dense_cache import DenseCache
from tts_plugin.engine.model.dpm_solver import Schedule, sample
from tts_plugin.engine.model.network import SPEECH_WINDOW, TEXT_WINDOW, Network
from tts_plugin.engine.model.voice import Voice


class Noise(Protocol):
    def start(self, index: int) -> Tensor:
        """[latent]: where latent `index` begins."""
        ...

    def steps(self, index: int) -> Tensor | None:
        """[steps, latent]: what the SDE solver adds on the way; None for the deterministic one."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """What is to be said, and how long it may get."""

    text_ids: Sequence[int]
    cfg_scale: float
    max_new_positions: int | None = None  # text and speech together; None: what the model can hold
    stop_after_windows: int | None = None  # an external stop, seen between windows


class Call(NamedTuple):
    """One call of a model: lm, tts_text, diffuse, tts_pos or tts_neg, at these positions (or of this latent)."""

    model: str
    at: tuple[int, ...]


@dataclass(slots=True)
class Spoken:
    calls: list[Call] = field(default_factory=list)
    base_hidden: list[Tensor] = field(default_factory=list)  # [hidden] per token id
    text_hidden: list[Tensor] = field(default_factory=list)  # [hidden] per token id
    conditions: list[Tensor] = field(default_factory=list)  # [2, hidden] per latent: positive, negative
    latents: list[Tensor] = field(default_factory=list)  # [latent] per latent
    decoder_inputs: list[Tensor] = field(default_factory=list)  # [latent] per latent
    audio: list[Tensor] = field(default_factory=list)  # [samples] per latent, emitted or not
    embeddings: list[Tensor] = field(default_factory=list)  # [hidden] per latent, without type
    speech_hidden: list[Tensor] = field(default_factory=list)  # [2, hidden] per latent fed back
    eos_logits: list[float] = field(default_factory=list)  # per latent fed back
    emitted: int = 0
    eos_latent: int | None = None
    final_length: int = 0
    reached_max: bool = False


@torch.inference_mode()
def speak(network: Network, voice: Voice, line: Line, schedule: Schedule, noise: Noise) -> Spoken:
    speaker = _Speaker(network, voice, line, schedule, noise)
    window = 0
    while line.stop_after_windows is None or window < line.stop_after_windows:
        if speaker.spoken.eos_latent is not None:
            break
        text = line.text_ids[window * TEXT_WINDOW : (window + 1) * TEXT_WINDOW]
        window += 1
        if not (speaker.read(text) and speaker.speak_window()):
            speaker.spoken.reached_max = speaker.spoken.eos_latent is None
            break
    return speaker.spoken


class _Speaker:
    def __init__(self, network: Network, voice: Voice, line: Line, schedule: Schedule, noise: Noise) -> None:
        self.network, self.line, self.schedule, self.noise = network, line, schedule, noise
        config, like = network.config, network.embed_tokens.weight
        longest = config.language.max_positions
        new = line.max_new_positions
        self.max_length = longest if new is None else voice.tts.positions + new
        self.base = DenseCache(config.language, config.base_layers, 1, min(self.max_length, longest), like)
        self.tts = DenseCache(config.language, config.tts_layers, 2, min(self.max_length, longest), like)
        self.base.store(0, voice.base)
        self.tts.store(0, voice.tts)
        self.tts.store(1, voice.negative)
        self.base_length, self.negative_length = voice.base.positions, voice.negative.positions
        self.conditions = torch.stack((voice.hidden, voice.negative_hidden))  # [2, hidden]
        self.times = network.diffusion_head.embed_times(torch.tensor(schedule.timesteps, device=like.device))
        self.decoder_state = network.decoder.initial_state(1)
        self.spoken = Spoken(final_length=voice.tts.positions)

    def read(self, text: Sequence[int]) -> bool:
        """Reads one text window; False when it does not fit."""
        if not text:
            return True
        start, device = self.spoken.final_length, self.conditions.device
        self.spoken.final_length += len(text)
        if self.spoken.final_length > self.max_length:
            return False
        row = torch.zeros(1, dtype=torch.long, device=device)
        steps = torch.arange(len(text), device=device)[None]
        tokens = self.network.embed_tokens(torch.tensor([list(text)], device=device))
        base_at, tts_at = steps + self.base_length, steps + start
        base = self.network.base_model(tokens, base_at, self.base.at(row, base_at))
        hidden = self.network.tts_model(self.network.text_embedding(base), tts_at, self.tts.at(row, tts_at))
        self.base_length += len(text)
        self.conditions = torch.stack((hidden[0, -1], self.conditions[1]))
        self.spoken.base_hidden += base[0]
        self.spoken.text_hidden += hidden[0]
        self.spoken.calls += [_call("lm", base_at), _call("tts_text", tts_at)]
        return True

    def speak_window(self) -> bool:
        """Makes the latents of one speech window; False when the last of them did not fit."""
        for _ in range(SPEECH_WINDOW):
            latent = self.make_latent()
            self.spoken.final_length += 1
            if self.spoken.final_length > self.max_length:
                return False
            self.feed_back(latent)
        return True

    def make_latent(self) -> Tensor:
        spoken, index = self.spoken, len(self.spoken.latents)
        start, steps = self.noise.start(index)[None], self.noise.steps(index)
        latent = sample(
            self.network.diffusion_head,
            self.schedule,
            self.times,
            self.conditions[:1],
            self.conditions[1:],
            self.line.cfg_scale,
            start,
            None if steps is None else steps[None],
        )
        unscaled = self.network.unscaled(latent)
        audio, self.decoder_state = self.network.decoder(unscaled[:, None], self.decoder_state)
        spoken.emitted += spoken.eos_latent is None
        spoken.calls.append(Call("diffuse", (index,)))
        spoken.conditions.append(self.conditions)
        spoken.latents.append(latent[0])
        spoken.decoder_inputs.append(unscaled[0])
        spoken.audio.append(audio[0])
        spoken.embeddings.append(self.network.connector(latent.to(self.network.dtype))[0])
        return latent

    def feed_back(self, latent: Tensor) -> None:
        """The TTS model hears its own latent: both branches as two rows of one batch."""
        spoken, device = self.spoken, self.conditions.device
        positions = torch.tensor([[spoken.final_length - 1], [self.negative_length]], device=device)
        embedding = self.network.speech_embedding(latent).expand(2, -1)[:, None]  # [2, 1, hidden]
        attention = self.tts.at(torch.arange(2, device=device), positions)
        self.conditions = self.network.tts_model(embedding, positions, attention)[:, 0]
        self.negative_length += 1
        logit = float(self.network.eos(self.conditions[:1]))
        if logit > 0 and spoken.eos_latent is None:
            spoken.eos_latent = len(spoken.latents) - 1
        spoken.eos_logits.append(logit)
        spoken.speech_hidden.append(self.conditions)
        spoken.calls += [_call("tts_pos", positions[:1]), _call("tts_neg", positions[1:])]


def _call(model: str, positions: Tensor) -> Call:
    return Call(model, tuple(positions.flatten().tolist()))
