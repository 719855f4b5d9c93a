"""How many utterances and pages fit into a device: arithmetic, done once at the start from the free memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tts_plugin.engine.model.config import ModelConfig
from tts_plugin.engine.pages import PAGE, pages_for

PROMISED_LATENTS = 450  # 60 s of speech
PROMISED_IDS = 240  # English speech takes 3 to 4 ids a second
_PADDING_PAGE = 1


class NotEnoughMemory(RuntimeError):
    """Not even one utterance fits: how much there is and how much it takes."""


class Promise(NamedTuple):
    """Pages that an utterance is sure to have."""

    base: int
    tts: int


@dataclass(frozen=True, slots=True)
class Sizes:
    slots: int
    base_pages: int
    tts_pages: int
    promise: Promise
    bytes: int


class VoiceLengths(NamedTuple):
    """Positions of a voice's prefixes."""

    base: int
    tts: int
    negative: int


def fit(config: ModelConfig, voices: Sequence[VoiceLengths], slots: int, number_bytes: int, free_bytes: int) -> Sizes:
    """As many of `slots` as free_bytes hold, each with the promised pages; what is left makes utterances longer.

    Raises NotEnoughMemory.
    """
    language = config.language
    position = 2 * language.kv_heads * language.head_dim * number_bytes  # keys and values of one layer
    base_page, tts_page = PAGE * position * config.base_layers, PAGE * position * config.tts_layers
    base_voices, tts_voices = _voice_pages(voices)
    promise, full = _promised(), _full(language.max_positions)
    fixed = (base_voices + _PADDING_PAGE) * base_page + (tts_voices + _PADDING_PAGE) * tts_page
    least = promise.base * base_page + promise.tts * tts_page
    most = full.base * base_page + full.tts * tts_page
    fitting = min(slots, (free_bytes - fixed) // least)
    if fitting < 1:
        raise NotEnoughMemory(
            f"{free_bytes >> 20} MiB of memory are free for utterances;"
            f" the voices take {fixed >> 20} and each utterance {least >> 20} MiB"
        )
    share = max(0.0, min(1.0, (free_bytes - fixed - fitting * least) / (fitting * max(1, most - least))))
    base = promise.base + int(share * max(0, full.base - promise.base))
    tts = promise.tts + int(share * max(0, full.tts - promise.tts))
    return Sizes(
        slots=fitting,
        base_pages=_PADDING_PAGE + base_voices + fitting * base,
        tts_pages=_PADDING_PAGE + tts_voices + fitting * tts,
        promise=promise,
        bytes=fixed + fitting * (base * base_page + tts * tts_page),
    )


def _voice_pages(voices: Sequence[VoiceLengths]) -> tuple[int, int]:
    return (
        sum(pages_for(voice.base) for voice in voices),
        sum(pages_for(voice.tts) + pages_for(voice.negative) for voice in voices),
    )


def _promised() -> Promise:
    """One page more each, for the copy of the voice's partial page."""
    positive = pages_for(PROMISED_IDS + PROMISED_LATENTS) + 1
    return Promise(pages_for(PROMISED_IDS) + 1, positive + pages_for(PROMISED_LATENTS) + 1)


def _full(max_positions: int) -> Promise:
    pages = pages_for(max_positions) + 1
    return Promise(pages, 2 * pages)
