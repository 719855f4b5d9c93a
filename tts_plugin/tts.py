"""VibeVoice as a streaming TTS of LiveKit Agents: deltas go up to the engine as they come, audio and words come down.

Knows engines by their clients only. Making text speakable, voices and batching are the engine's; retries, spans and
metrics are LiveKit's base classes'; who speaks when an engine fails is relay.py's.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
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
from livekit.agents.types import NOT_GIVEN, NotGivenOr

from tts_plugin.breakers import Breakers, BreakerState
from tts_plugin.client import EngineClient, EngineFailed, EngineUnreachable, Utterance
from tts_plugin.decisions import Open, SwapReason
from tts_plugin.doubt import FIRST_AUDIO_S, RelayLimits
from tts_plugin.engines import Engine, Engines
from tts_plugin.exchange import SAMPLE_RATE_HZ, as_api_error, traceparent
from tts_plugin.log import logger
from tts_plugin.options import Options, voice_and_language
from tts_plugin.protocol import Pace, UtteranceClass
from tts_plugin.relay import Relay
from tts_plugin.speech import Speech
from tts_plugin.streams import ChunkedStream, SynthesizeStream

DEFAULT_BASE_URL = "http://127.0.0.1:8001"
DEFAULT_STALL_TIMEOUT_S = 3.0
_CONNECT_S = 2.0


@dataclass(slots=True)
class _Desk:
    """What one event loop holds of a TTS."""

    engines: Engines
    streams: weakref.WeakSet[SynthesizeStream | ChunkedStream] = field(default_factory=weakref.WeakSet)
    warming: asyncio.Task[None] | None = None


class TTS(tts.TTS[Never]):
    """A voice served by a tts-ops engine, or by several that stand in for each other.

    `base_url`: the engine, http(s):// or ws(s)://. `engines`, instead: several, the preferred one first, the standby
    voice last; when one fails, the next goes on where it stopped, and an error is raised only when none is left.
    `voice`: an id or alias of GET /voices. `klass`: "call" is served before "interactive" before "file".
    `first_audio_timeout_s`: from text to the first audio, None = 1.5 s with `engines`, else the `timeout` of the
    connect options (10 s). `stall_timeout_s`: silence at the listener, with text still to speak, before the only (or
    last) engine counts as stuck. `on_swap` is told why another engine took over. May be shared by streams and by event
    loops. Raises ValueError for a wrong address or timeout.
    """

    def __init__(
        self,
        *,
        base_url: str = DEFAULT_BASE_URL,
        engines: Sequence[str | Engine] | None = None,
        voice: str = "default",
        klass: UtteranceClass = "call",
        seed: int | None = None,
        language: str | None = None,
        first_audio_timeout_s: float | None = None,
        stall_timeout_s: float = DEFAULT_STALL_TIMEOUT_S,
        on_swap: Callable[[SwapReason], None] | None = None,
    ) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True, aligned_transcript=True),
            sample_rate=SAMPLE_RATE_HZ,
            num_channels=1,
        )
        if engines is not None and not engines:
            raise ValueError("engines is empty; allowed: one address or more, the standby voice last")
        self.resumes = engines is not None  # else an engine's failure is an error, as LiveKit's contract says
        self._engines = [_engine(engine) for engine in (engines or [base_url])]
        self._breakers = Breakers(len(self._engines))
        self._on_swap = on_swap
        self._connect_s = min(_CONNECT_S, first_audio_timeout_s or FIRST_AUDIO_S) if engines else _CONNECT_S
        self._options = Options(voice, klass, seed, language, first_audio_timeout_s, stall_timeout_s)
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

    def breakers(self) -> dict[str, BreakerState]:
        """By address: whether the engine is used ("closed"), left alone after a failure ("open") or to be probed."""
        now_s = time.monotonic()
        return {engine.base_url: self._breakers.state(n, now_s) for n, engine in enumerate(self._engines)}

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
            warm = desk.engines.warm() if self.resumes else _warm(desk.engines.clients[0])
            desk.warming = loop.create_task(warm, name="vibevoice prewarm")

    async def aclose(self) -> None:
        """Close the streams and the sockets of this event loop."""
        desk = self._desks.pop(asyncio.get_running_loop(), None)
        if desk is None:
            return
        if desk.warming is not None:
            await utils.aio.cancel_and_wait(desk.warming)
        for stream in list(desk.streams):
            await stream.aclose()
        await desk.engines.aclose()

    def _desk(self) -> _Desk:
        loop = asyncio.get_running_loop()
        if loop not in self._desks:
            for dead in [other for other in list(self._desks) if other.is_closed()]:
                del self._desks[dead]
            self._desks[loop] = _Desk(Engines(self._engines, self._breakers, self._connect_s))
        return self._desks[loop]

    @asynccontextmanager
    async def _say(
        self, stream: SynthesizeStream | ChunkedStream, options: Options, timeout_s: float, pace: Pace
    ) -> AsyncIterator[Utterance]:
        """An utterance that is over, at the engine too, when the block is left, however it is left."""
        client, start_s = self._desk().engines.clients[0], time.perf_counter()
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

    @asynccontextmanager
    async def _relay(
        self,
        stream: SynthesizeStream | ChunkedStream,
        options: Options,
        emitter: tts.AudioEmitter,
        begin: Callable[[str], None],
        pace: Pace,
    ) -> AsyncIterator[Speech]:
        """A speech that whichever engine can carries on; nothing of it is left when the block is left."""
        engines = self._desk().engines

        async def say(order: Open) -> tuple[Utterance, str]:
            return await self._open(stream, options, engines.clients[order.engine], order, pace)

        def swapped(engine: int, reason: SwapReason) -> None:
            logger.warning("another engine goes on for the one at %s (%s)", self._engines[engine].base_url, reason)
            engines.probe()
            if self._on_swap is not None:
                try:
                    self._on_swap(reason)
                except Exception:  # whoever counts must not silence who speaks
                    logger.exception("on_swap failed")

        first_audio_s = options.first_audio_timeout_s or FIRST_AUDIO_S
        limits = RelayLimits(first_audio_s=first_audio_s, last_s=options.stall_timeout_s)
        speech = Speech(Relay(self._breakers, limits, SAMPLE_RATE_HZ), emitter, say=say, begin=begin, on_swap=swapped)
        try:
            yield speech
        finally:
            speech.close()
            engines.probe()

    async def _open(
        self,
        stream: SynthesizeStream | ChunkedStream,
        options: Options,
        client: EngineClient,
        order: Open,
        pace: Pace,
    ) -> tuple[Utterance, str]:
        start_s, reused = time.perf_counter(), client.connected
        await client.connect()  # before it is known which voices it has
        voice, language = voice_and_language(
            self._engines[order.engine].voice or options.voice, options.language, client.voice_names, plain=order.plain
        )
        utterance = await client.say(
            voice=voice, klass=options.klass, pace=pace, seed=options.seed, language=language, traceparent=traceparent()
        )
        stream._connection_reused, stream._acquire_time = reused, time.perf_counter() - start_s
        self._engine = client.engine or self._engine
        return utterance, client.engine


async def _warm(client: EngineClient) -> None:
    try:
        await client.connect()
    except EngineUnreachable as error:
        logger.warning("the engine could not be reached ahead of the first turn: %s", error)


def _engine(given: str | Engine) -> Engine:
    engine = given if isinstance(given, Engine) else Engine(given)
    return replace(engine, base_url=EngineClient(engine.base_url).base_url)
