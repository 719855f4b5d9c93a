"""One utterance of the engine on its way to an HTTP client: text goes in, pcm comes out, every wait has a deadline.

Knows nothing of requests or formats. Failures come as ApiError.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Self

from tts_plugin.client import EngineClient, EngineFailed, EngineUnreachable, Item, Utterance
from tts_plugin.protocol import Audio, FailureCode, Started, UtteranceClass
from worker.api.errors import ApiError, Wrong, invalid

SOUND_TIMEOUT_S = 30.0  # files wait while calls speak


class Speech:
    """Open it, `feed` it, then `start`; `cancel` it whatever happens, which frees the engine's slot."""

    def __init__(self, engine: EngineClient, utterance: Utterance, voice: str, language: str | None = None) -> None:
        self._engine = engine
        self._utterance = utterance
        self._voice, self._language = voice, language
        self._feeding: asyncio.Task[None] | None = None
        self._first = b""
        self._sample_rate_hz = 0

    @classmethod
    async def open(cls, engine: EngineClient, voice: str, klass: UtteranceClass, language: str | None = None) -> Self:
        try:
            utterance = await engine.say(voice=voice, klass=klass, pace="fast", language=language)
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
                elif isinstance(item, Audio):
                    self._first = item.pcm
                    break
            if not self._sample_rate_hz:
                raise ApiError(502, "no_speech", "The voice engine ended without a word.")
        except BaseException:
            self.cancel()
            raise

    async def pcm(self) -> AsyncIterator[bytes]:
        """Mono pcm_s16le, after `start`."""
        if self._first:
            yield self._first
        while item := await self._next():
            if isinstance(item, Audio):
                yield item.pcm

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
