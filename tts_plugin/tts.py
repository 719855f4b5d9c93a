"""VibeVoice as a streaming TTS of LiveKit Agents: deltas go up to the engine as they come, audio and words come down.

Knows the engine by its client only. Making text speakable, voices and batching are the engine's; retries, spans and
metrics are LiveKit's base classes'.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Never

from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    APIConnectOptions,
    APITimeoutError,
    tts,
    utils,
)
from livekit.agents.types import NOT_GIVEN, NotGivenOr, TimedString

from tts_plugin.client import EngineClient, EngineFailed, EngineUnreachable, Utterance
from tts_plugin.exchange import SAMPLE_RATE_HZ, Exchange, as_api_error, traceparent
from tts_plugin.log import logger
from tts_plugin.patience import Patience
from tts_plugin.protocol import Pace, UtteranceClass

DEFAULT_BASE_URL = "http://127.0.0.1:8001"
DEFAULT_STALL_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class _Options:
    """What an utterance is said with; every stream keeps those it was opened with."""

    voice: str
    klass: UtteranceClass
    seed: int | None
    language: str | None
    first_audio_timeout_s: float | None
    stall_timeout_s: float

    def __post_init__(self) -> None:
        for name in ("first_audio_timeout_s", "stall_timeout_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} is {value!r}; allowed: a number of seconds above 0")


@dataclass(slots=True)
class _Desk:
    """What one event loop holds of a TTS."""

    client: EngineClient
    streams: weakref.WeakSet[SynthesizeStream | ChunkedStream] = field(default_factory=weakref.WeakSet)
    warming: asyncio.Task[None] | None = None


class TTS(tts.TTS[Never]):
    """A voice served by a tts-ops engine.

    `base_url`: the engine, http(s):// or ws(s)://. `voice`: an id or alias of GET /voices. `klass`: "call" is served
    before "interactive" before "file". `first_audio_timeout_s`: from text to the first audio, None = the `timeout` of
    the connect options (10 s). `stall_timeout_s`: silence at the listener, with text still to speak, before the engine
    counts as stuck. May be shared by streams and by event loops. Raises ValueError for a wrong base_url or timeout.
    """

    def __init__(
        self,
        *,
        base_url: str = DEFAULT_BASE_URL,
        voice: str = "default",
        klass: UtteranceClass = "call",
        seed: int | None = None,
        language: str | None = None,
        first_audio_timeout_s: float | None = None,
        stall_timeout_s: float = DEFAULT_STALL_TIMEOUT_S,
    ) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True, aligned_transcript=True),
            sample_rate=SAMPLE_RATE_HZ,
            num_channels=1,
        )
        self._base_url = EngineClient(base_url).base_url
        self._options = _Options(voice, klass, seed, language, first_audio_timeout_s, stall_timeout_s)
        self._engine = ""
        # A client and a stream belong to their loop; a TTS may be shared by the jobs of a thread executor.
        self._desks: dict[asyncio.AbstractEventLoop, _Desk] = {}

    @property
    def model(self) -> str:
        """What the engine calls its back-end, once it was reached."""
        return self._engine or "vibevoice"

    @property
    def provider(self) -> str:
        return "vibevoice"

    def update_options(
        self,
        *,
        voice: NotGivenOr[str] = NOT_GIVEN,
        seed: NotGivenOr[int | None] = NOT_GIVEN,
        language: NotGivenOr[str | None] = NOT_GIVEN,
    ) -> None:
        """For the streams opened from now on."""
        given = {"voice": voice, "seed": seed, "language": language}
        changes = {name: value for name, value in given.items() if utils.is_given(value)}
        self._options = replace(self._options, **changes)  # type: ignore[arg-type]

    def stream(self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS) -> SynthesizeStream:
        stream = SynthesizeStream(tts=self, options=self._options, conn_options=conn_options)
        self._desk().streams.add(stream)
        return stream

    def synthesize(self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS) -> ChunkedStream:
        stream = ChunkedStream(tts=self, text=text, options=self._options, conn_options=conn_options)
        self._desk().streams.add(stream)
        return stream

    def prewarm(self) -> None:
        """Open the socket in the background. Without a running loop, or without an engine, nothing happens."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        desk = self._desk()
        if desk.warming is None or desk.warming.done():
            desk.warming = loop.create_task(_warm(desk.client), name="vibevoice prewarm")

    async def aclose(self) -> None:
        """Close the streams and the socket of this event loop."""
        desk = self._desks.pop(asyncio.get_running_loop(), None)
        if desk is None:
            return
        if desk.warming is not None:
            await utils.aio.cancel_and_wait(desk.warming)
        for stream in list(desk.streams):
            await stream.aclose()
        await desk.client.aclose()

    def _desk(self) -> _Desk:
        loop = asyncio.get_running_loop()
        if loop not in self._desks:
            for dead in [other for other in list(self._desks) if other.is_closed()]:
                del self._desks[dead]
            self._desks[loop] = _Desk(EngineClient(self._base_url))
        return self._desks[loop]

    @asynccontextmanager
    async def _say(
        self, stream: SynthesizeStream | ChunkedStream, options: _Options, timeout_s: float, pace: Pace
    ) -> AsyncIterator[Utterance]:
        """An utterance that is over, at the engine too, when the block is left, however it is left."""
        client, start_s = self._desk().client, time.perf_counter()
        stream._connection_reused = client.connected
        try:
            async with asyncio.timeout(timeout_s):
                utterance = await client.say(
                    voice=options.voice,
                    klass=options.klass,
                    pace=pace,
                    seed=options.seed,
                    language=options.language,
                    traceparent=traceparent(),
                )
        except TimeoutError as error:
            raise APITimeoutError(f"no connection to the engine within {timeout_s:g} s") from error
        except (EngineFailed, EngineUnreachable) as error:
            raise as_api_error(error) from error
        stream._acquire_time = time.perf_counter() - start_s
        self._engine = client.engine or self._engine
        try:
            yield utterance
        finally:
            utterance.cancel()


class SynthesizeStream(tts.SynthesizeStream):
    """One turn: text pushed as it is written, spoken as it comes. `flush` after text ends it, as `end_input` does."""

    def __init__(self, *, tts: TTS, options: _Options, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=tts, conn_options=conn_options)
        self._voice, self._options = tts, options
        self._flushed = False

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        self._flushed = False
        text, said_s = await self._text_after(None), 0.0
        if not text.strip():
            _nothing_to_say(output_emitter)
            return
        while text.strip():
            async with self._voice._say(self, self._options, self._conn_options.timeout, "realtime") as utterance:
                if not output_emitter.num_segments:
                    self._begin(output_emitter, utterance.id)
                exchange = Exchange(utterance, output_emitter, _patience(self._options, self._conn_options), said_s)
                exchange.feed(text)
                unsaid = await self._converse(exchange, utterance.id)
            # A writer may pause for longer than an engine keeps a slot: what follows is a new utterance, one segment.
            text, said_s = "" if unsaid is None else await self._text_after(unsaid), exchange.said_s
        if text:
            output_emitter.push_timed_transcript(TimedString(text, start_time=said_s, end_time=said_s))
        output_emitter.end_segment()

    def _begin(self, output_emitter: tts.AudioEmitter, utterance_id: str) -> None:
        output_emitter.initialize(
            request_id=utterance_id, sample_rate=SAMPLE_RATE_HZ, num_channels=1, mime_type="audio/pcm", stream=True
        )
        output_emitter.start_segment(segment_id=utterance_id)
        self._mark_started()

    async def _converse(self, exchange: Exchange, utterance_id: str) -> str | None:
        feeding = asyncio.create_task(self._feed(exchange), name=f"vibevoice feed {utterance_id}")
        try:
            return await exchange.listen()
        finally:
            await utils.aio.cancel_and_wait(feeding)

    async def _text_after(self, text: str | None) -> str:
        """`text` with what is written next, once that is more than white space: no slot is taken before."""
        async for delta in self._input_ch:
            if isinstance(delta, str):
                text = (text or "") + delta
                if text.strip():
                    break
            elif text is not None:
                self._flushed = True
                break
        return text or ""

    async def _feed(self, exchange: Exchange) -> None:
        try:
            while not self._flushed:
                delta = await self._input_ch.recv()
                if isinstance(delta, str):
                    exchange.feed(delta)
                else:
                    self._flushed = True  # the base class lets no text follow the flush of some
        except utils.aio.ChanClosed:
            pass
        finally:
            exchange.end()


class ChunkedStream(tts.ChunkedStream):
    """One text known whole, spoken as fast as the engine can."""

    def __init__(self, *, tts: TTS, text: str, options: _Options, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=tts, input_text=text, conn_options=conn_options)
        self._voice, self._options = tts, options

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        if not self.input_text.strip():
            _nothing_to_say(output_emitter)
            return
        async with self._voice._say(self, self._options, self._conn_options.timeout, "fast") as utterance:
            output_emitter.initialize(
                request_id=utterance.id, sample_rate=SAMPLE_RATE_HZ, num_channels=1, mime_type="audio/pcm"
            )
            output_emitter._note_provider_request_id(utterance.id)
            exchange = Exchange(utterance, output_emitter, _patience(self._options, self._conn_options))
            exchange.feed(self.input_text)
            exchange.end()
            await exchange.listen()
            output_emitter.flush()


async def _warm(client: EngineClient) -> None:
    try:
        await client.connect()
    except EngineUnreachable as error:
        logger.warning("the engine could not be reached ahead of the first turn: %s", error)


def _patience(options: _Options, conn_options: APIConnectOptions) -> Patience:
    return Patience(options.first_audio_timeout_s or conn_options.timeout, options.stall_timeout_s)


def _nothing_to_say(output_emitter: tts.AudioEmitter) -> None:
    output_emitter.initialize(
        request_id=utils.shortuuid(), sample_rate=SAMPLE_RATE_HZ, num_channels=1, mime_type="audio/pcm", stream=True
    )
