"""One utterance as LiveKit wants it: audio and timed words into an AudioEmitter, deadlines kept, errors translated.

Knows neither where the text comes from nor whether the stream is retried.
"""

from __future__ import annotations

import asyncio

from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError, tts
from livekit.agents.types import TimedString
from opentelemetry import trace

from tts_plugin.client import EngineFailed, EngineUnreachable, Item, Utterance
from tts_plugin.patience import Patience
from tts_plugin.protocol import Audio, FailureCode, Started, Words
from tts_plugin.transcript import Piece, Transcript

SAMPLE_RATE_HZ = 24_000

_STATUS: dict[FailureCode, int] = {
    "at_capacity": 503,  # not 429: a standby voice can take over at once
    "draining": 503,
    "bad_message": 400,
    "unknown_voice": 404,
    "too_long": 413,
}


class Exchange:
    """Text up by `feed` and `end`, everything down in `listen`; the deadlines follow both.

    `offset_s`: audio of the segment that came before this utterance.
    """

    def __init__(
        self, utterance: Utterance, emitter: tts.AudioEmitter, patience: Patience, offset_s: float = 0.0
    ) -> None:
        self._utterance = utterance
        self._emitter = emitter
        self._patience = patience
        self._transcript = Transcript()
        self._offset_s = offset_s
        self._samples = 0
        self._ended = False
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.timeout(None)
        self._listening = False

    @property
    def said_s(self) -> float:
        """Audio of the segment up to now, in seconds."""
        return self._offset_s + self._samples / SAMPLE_RATE_HZ

    def feed(self, delta: str) -> None:
        self._utterance.feed(delta)
        self._transcript.feed(delta)
        self._patience.text(self._transcript.unspoken_chars, self._loop.time())
        self._keep_deadline()

    def end(self) -> None:
        self._ended = True
        self._utterance.end()
        self._patience.end(self._loop.time())
        self._keep_deadline()

    async def listen(self) -> str | None:
        """Until all was said. When the engine gave up waiting for more text first: the text it had not said, maybe "".

        Raises APITimeoutError when the engine is stuck, else what `as_api_error` makes of its failure.
        """
        try:
            async with self._limit:
                self._listening = True
                self._keep_deadline()
                async for item in self._utterance:
                    self._take(item)
        except TimeoutError as error:
            raise APITimeoutError(f"the engine is stuck: {self._patience.complaint}") from error
        except (EngineFailed, EngineUnreachable) as error:
            if isinstance(error, EngineFailed) and error.code == "timed_out" and not self._ended:
                return self._transcript.unspoken
            raise as_api_error(error) from error
        finally:
            self._listening = False
        if not self._samples:  # said here, because the base class would put the text into its error
            raise APIError("the engine ended the utterance without any audio")
        self._push_words([self._transcript.rest(self._samples / SAMPLE_RATE_HZ)])
        return None

    def _take(self, item: Item) -> None:
        if isinstance(item, Audio):
            self._samples += item.samples
            self._emitter.push(item.pcm)
            self._patience.audio(item.samples / SAMPLE_RATE_HZ, self._loop.time())
        elif isinstance(item, Words):
            self._push_words(self._transcript.cut(item.words))
            self._patience.words(self._transcript.unspoken_chars, self._loop.time())
        elif isinstance(item, Started) and item.sample_rate_hz != SAMPLE_RATE_HZ:
            raise APIError(f"the engine speaks at {item.sample_rate_hz} Hz; allowed: {SAMPLE_RATE_HZ}", retryable=False)
        self._keep_deadline()

    def _push_words(self, pieces: list[Piece] | list[Piece | None]) -> None:
        for piece in pieces:
            if piece is not None:
                start_s, end_s = self._offset_s + piece.start_s, self._offset_s + piece.end_s
                self._emitter.push_timed_transcript(TimedString(piece.text, start_time=start_s, end_time=end_s))

    def _keep_deadline(self) -> None:
        if self._listening and not self._limit.expired():
            self._limit.reschedule(self._patience.deadline_s)


def as_api_error(error: EngineFailed | EngineUnreachable) -> APIError:
    """The error of LiveKit that makes its retries and the FallbackAdapter do the right thing."""
    if isinstance(error, EngineUnreachable):
        return APIConnectionError(str(error))
    if error.code == "timed_out":
        return APITimeoutError(str(error))
    body = {"code": error.code, "retry_after_s": error.retry_after_s}
    if error.code in _STATUS:
        return APIStatusError(str(error), status_code=_STATUS[error.code], body=body)
    return APIError(str(error), body=body, retryable=error.retryable)


def traceparent() -> str | None:
    """The current span as a W3C traceparent; None outside a recorded trace."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
