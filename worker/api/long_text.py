"""A text of any length as one speech: cut at sentences into parts that a voice can hold, spoken one after another.

Whoever listens sees one utterance: the times and the characters of the words run on from part to part. A part that
finds the engine full of calls waits for its turn; only the first is refused at once.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace

import numpy as np

from tts_plugin.protocol import BYTES_PER_SAMPLE, Audio, Word, Words
from worker.api.errors import ApiError
from worker.api.speech import Speech

PART_CHARS = 2_000  # about two minutes: within the context of every model
WAIT_S = 60.0  # longest wait for a slot in the midst of a text
PAUSE_S = 0.25  # between two sentences: what the embedded voice makes within a part
_RETRY_S = 0.5
_QUIET = 104
_ENDS_SENTENCE = re.compile(r"(?:[.!?…。！？][\"'”’)\]]*\s*|\n\s*)$")
_BREAKS = (
    re.compile(r"\n\s*\n\s*"),  # of paragraphs
    re.compile(r"[.!?…][\"'”’)\]]*\s+|[。！？]\s*"),  # of sentences
    re.compile(r"[,;:]\s+"),
    re.compile(r"\s+"),
)


def parts(text: str, most: int = PART_CHARS) -> Iterator[str]:
    """The text in pieces of at most `most` characters, none lost; cut where a reader would pause."""
    start = 0
    while len(text) - start > most:
        end = _cut(text, start, start + most)
        yield text[start:end]
        start = end
    yield text[start:]


def _cut(text: str, start: int, most: int) -> int:
    """The last good place after half of the room; a word that fills it all is cut through."""
    half = start + (most - start) // 2
    for pattern in _BREAKS:
        ends = [match.end() for match in pattern.finditer(text, start, most)]
        if ends and (ends[-1] > half or pattern is _BREAKS[-1]):
            return ends[-1]
    return most


class LongText:
    """Speaks each part by a speech that `open_speech` opens. `start`, `sounds` and `cancel` as of one speech."""

    def __init__(self, text: str, open_speech: Callable[[], Awaitable[Speech]], *, most: int = PART_CHARS) -> None:
        self._parts = list(parts(text, most))
        self._open_speech = open_speech
        self._speech: Speech | None = None

    @property
    def sample_rate_hz(self) -> int:
        """Known after `start`."""
        return self._speech.sample_rate_hz if self._speech else 0

    async def start(self) -> None:
        """Waits for the first sound; ApiError when the engine has no place for it."""
        await self._begin(self._parts[0])

    async def sounds(self) -> AsyncIterator[Audio | Words]:
        """After `start`: mono pcm_s16le, and when each word sounds."""
        characters = samples = quiet = 0
        for n, part in enumerate(self._parts):
            if n:
                await self._begin_when_free(part)
            async for item in self._of_part(characters, samples, self._pause(n, quiet)):
                if isinstance(item, Audio):
                    samples = item.offset + item.samples
                    quiet = _quiet_at_end(item.pcm)
                yield item
            characters += len(part)

    def cancel(self) -> None:
        if self._speech is not None:
            self._speech.cancel()

    async def _of_part(self, characters: int, samples: int, pause: int) -> AsyncIterator[Audio | Words]:
        """What the part's speech gives, after `pause` samples of silence and at its place in the whole."""
        assert self._speech is not None, "start it first"
        rate_hz = self._speech.sample_rate_hz
        if pause:
            yield Audio("", samples, bytes(pause * BYTES_PER_SAMPLE))
        begins = samples + pause
        async for item in self._speech.sounds():
            if isinstance(item, Audio):
                yield replace(item, offset=item.offset + begins)
            else:
                yield Words(item.id, tuple(_moved(word, begins / rate_hz, characters) for word in item.words))

    def _pause(self, n: int, quiet: int) -> int:
        """Samples of silence before the n-th part, of which `quiet` are there already."""
        if n == 0 or not _ENDS_SENTENCE.search(self._parts[n - 1]):
            return 0
        return max(0, round(PAUSE_S * self.sample_rate_hz) - quiet)

    async def _begin(self, part: str) -> None:
        self._speech = await self._open_speech()
        self._speech.feed(part)
        self._speech.end()
        await self._speech.start()

    async def _begin_when_free(self, part: str) -> None:
        give_up_s = time.monotonic() + WAIT_S
        while True:
            try:
                return await self._begin(part)
            except ApiError as error:
                if error.code != "at_capacity" or time.monotonic() > give_up_s:
                    raise
            await asyncio.sleep(_RETRY_S)


def _moved(word: Word, seconds: float, characters: int) -> Word:
    return replace(
        word,
        start_s=word.start_s + seconds,
        end_s=word.end_s + seconds,
        source_start=word.source_start + characters,
        source_end=word.source_end + characters,
    )


def _quiet_at_end(pcm: bytes) -> int:
    """Samples at the end that nobody hears: 50 dB below the loudest there can be."""
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)) > _QUIET)
    return len(pcm) // BYTES_PER_SAMPLE - (int(loud[-1]) + 1 if loud.size else 0)
