"""One utterance of the engine on its way to an HTTP client: text goes in, pcm comes out, every wait has a deadline.

Knows nothing of requests or formats. Failures come as ApiError.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, Self

from tts_plugin.client import EngineClient, EngineFailed, EngineUnreachable, Item, Utterance
from tts_plugin.protocol import Audio, FailureCode, Started, UtteranceClass, Words
from worker.api.errors import ApiError, Wrong, invalid

SOUND_TIMEOUT_S = 30.0  # files wait while calls speak


class Spoken(Protocol):
    """What an answer is made of: `start` waits for the first sound, `sounds` gives it and all that follows."""

    @property
    def sample_rate_hz(self) -> int: ...

    async def start(self) -> None: ...
    def sounds(self) -> AsyncIterator[Audio | Words]: ...
    def cancel(self) -> None: ...


class Speech:
    """Open it, `feed` it, then `start`; `cancel` it whatever happens, which frees the engine's slot."""

    def __init__(self, engine: EngineClient, utterance: Utterance, voice: str, language: str | None = None) -> None:
        self._engine = engine
        self._utterance = utterance
        self._voice, self._language = voice, language
        self._feeding: asyncio.Task[None] | None = None
        self._first: list[Audio | Words] = []  # what came up to the first sound: a piece's words and the piece
        self._sample_rate_hz = 0

    @classmethod
    async def open(
        cls,
        engine: EngineClient,
        voice: str,
        klass: UtteranceClass,
        language: str | None = None,
        seed: int | None = None,
    ) -> Self:
        try:
            utterance = await engine.say(voice=voice, klass=klass, pace="fast", seed=seed, language=language)
            return cls(engine, utterance, voice, language)
        except EngineUnreachable as error:
            raise await as_api_error(error, engine, voice) from error

    @property
    def sample_rate_hz(self) -> int:
        """Known after `start`."""
        return self._sample_rate_hz

    def feed(self, delta: str) -> None:
        self._utterance.feed(delta)

    def end(self) -> None:
        self._utterance.end()

    def feed_by(self, feeder: Callable[[], Awaitable[None]]) -> None:
        """`feeder` calls `feed`; its end is the text's end, its failure is the speech's failure."""
        self._feeding = asyncio.create_task(self._feed_by(feeder), name="speech-feeder")
        self._feeding.add_done_callback(lambda task: task.cancelled() or task.exception())  # taken note of

    def cancel(self) -> None:
        self._utterance.cancel()
        if self._feeding is not None:
            self._feeding.cancel()

    async def start(self) -> None:
        """Waits for the first sound, or for the end of a text that has none."""
        try:
            while item := await self._next():
                if isinstance(item, Started):
                    self._sample_rate_hz = item.sample_rate_hz
                    continue
                self._first.append(item)
                if isinstance(item, Audio):
                    break
            if not self._sample_rate_hz:
                raise ApiError(502, "no_speech", "The voice engine ended without a word.")
        except BaseException:
            self.cancel()
            raise

    async def sounds(self) -> AsyncIterator[Audio | Words]:
        """Mono pcm_s16le and when each word sounds, after `start`."""
        for first in self._first:
            yield first
        self._first.clear()
        while item := await self._next():
            if not isinstance(item, Started):
                yield item
                # What has arrived comes without a wait: others, and the news of a client that went, come between.
                await asyncio.sleep(0)

    async def _next(self) -> Item | None:
        try:
            async with asyncio.timeout(SOUND_TIMEOUT_S):
                item = await anext(self._utterance, None)
        except TimeoutError:
            self.cancel()
            raise ApiError(504, "engine_timeout", f"The voice engine was silent for {SOUND_TIMEOUT_S:g} s.") from None
        except (EngineFailed, EngineUnreachable) as error:
            self.cancel()
            raise await as_api_error(error, self._engine, self._voice, self._language) from error
        if item is None and self._feeding is not None:
            await self._feeding
        return item

    async def _feed_by(self, feeder: Callable[[], Awaitable[None]]) -> None:
        try:
            await feeder()
            self._utterance.end()
        except BaseException:
            self._utterance.cancel()
            raise


async def as_api_error(
    error: EngineFailed | EngineUnreachable, engine: EngineClient, voice: str, language: str | None = None
) -> ApiError:
    """What the engine said, in HTTP's words."""
    if isinstance(error, EngineUnreachable):
        return ApiError(503, "engine_unreachable", "The voice engine does not answer.", retry_after_s=2.0)
    if error.code == "unknown_voice":
        return invalid(Wrong("voice_id", voice, await _voice_ids(engine)))
    if error.code == "bad_message" and language is not None:
        return invalid(Wrong("language", language, error.message))
    if error.code == "too_long":
        return invalid(Wrong("text", None, error.message))
    status, retry_after_s = _STATUS[error.code]
    return ApiError(status, error.code, error.message, retry_after_s=error.retry_after_s or retry_after_s)


_STATUS: dict[FailureCode, tuple[int, float | None]] = {
    "at_capacity": (503, 1.0),
    "draining": (503, 5.0),
    "bad_message": (502, None),
    "engine_error": (502, None),
    "timed_out": (504, None),
}


async def _voice_ids(engine: EngineClient) -> str:
    try:
        return ", ".join(voice["id"] for voice in await engine.voices())
    except EngineUnreachable:
        return "one of GET /voices"
