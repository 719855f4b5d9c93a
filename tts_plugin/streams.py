"""The two kinds of stream that LiveKit asks for: a turn that is still being written, and a text that is known whole.

Each is said by one engine (exchange.py), or by whichever of several can (speech.py).
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Protocol

from livekit.agents import APIConnectOptions, tts, utils
from livekit.agents.types import TimedString

from tts_plugin.exchange import SAMPLE_RATE_HZ, Exchange
from tts_plugin.options import Options
from tts_plugin.patience import Patience

if TYPE_CHECKING:
    from tts_plugin.tts import TTS


class _Listener(Protocol):
    def feed(self, delta: str) -> None: ...
    def end(self) -> None: ...


class SynthesizeStream(tts.SynthesizeStream):
    """One turn: text pushed as it is written, spoken as it comes. `flush` after text ends it, as `end_input` does."""

    def __init__(self, *, tts: TTS, options: Options, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=tts, conn_options=conn_options)
        self._voice, self._options = tts, options
        self._flushed = False

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        self._flushed = False
        text = await self._text_after(None)
        if not text.strip():
            _nothing_to_say(output_emitter)
            return
        if self._voice.resumes:
            await self._relay(output_emitter, text)
        else:
            await self._say(output_emitter, text)
        output_emitter.end_segment()

    async def _relay(self, output_emitter: tts.AudioEmitter, text: str) -> None:
        self._mark_started()
        begin = partial(self._begin, output_emitter)
        async with self._voice._relay(self, self._options, output_emitter, begin, "realtime") as speech:
            speech.feed(text)
            feeding = asyncio.create_task(self._feed(speech), name="vibevoice feed")
            try:
                await speech.listen()
            finally:
                await utils.aio.cancel_and_wait(feeding)

    async def _say(self, output_emitter: tts.AudioEmitter, text: str) -> None:
        said_s = 0.0
        while text.strip():
            async with self._voice._say(self, self._options, self._conn_options.timeout, "realtime") as utterance:
                if not output_emitter.num_segments:
                    self._begin(output_emitter, utterance.id)
                    self._mark_started()
                exchange = Exchange(utterance, output_emitter, _patience(self._options, self._conn_options), said_s)
                exchange.feed(text)
                unsaid = await self._converse(exchange, utterance.id)
            # A writer may pause for longer than an engine keeps a slot: what follows is a new utterance, one segment.
            text, said_s = "" if unsaid is None else await self._text_after(unsaid), exchange.said_s
        if text:
            output_emitter.push_timed_transcript(TimedString(text, start_time=said_s, end_time=said_s))

    def _begin(self, output_emitter: tts.AudioEmitter, utterance_id: str) -> None:
        output_emitter.initialize(
            request_id=utterance_id, sample_rate=SAMPLE_RATE_HZ, num_channels=1, mime_type="audio/pcm", stream=True
        )
        output_emitter.start_segment(segment_id=utterance_id)

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

    async def _feed(self, exchange: _Listener) -> None:
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

    def __init__(self, *, tts: TTS, text: str, options: Options, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=tts, input_text=text, conn_options=conn_options)
        self._voice, self._options = tts, options

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        if not self.input_text.strip():
            _nothing_to_say(output_emitter)
            return
        if self._voice.resumes:
            await self._relay(output_emitter)
        else:
            await self._say(output_emitter)
        output_emitter.flush()

    async def _relay(self, output_emitter: tts.AudioEmitter) -> None:
        begin = partial(self._begin, output_emitter)
        async with self._voice._relay(self, self._options, output_emitter, begin, "fast") as speech:
            speech.feed(self.input_text)
            speech.end()
            await speech.listen()

    async def _say(self, output_emitter: tts.AudioEmitter) -> None:
        async with self._voice._say(self, self._options, self._conn_options.timeout, "fast") as utterance:
            self._begin(output_emitter, utterance.id)
            exchange = Exchange(utterance, output_emitter, _patience(self._options, self._conn_options))
            exchange.feed(self.input_text)
            exchange.end()
            await exchange.listen()

    def _begin(self, output_emitter: tts.AudioEmitter, utterance_id: str) -> None:
        output_emitter.initialize(
            request_id=utterance_id, sample_rate=SAMPLE_RATE_HZ, num_channels=1, mime_type="audio/pcm"
        )
        output_emitter._note_provider_request_id(utterance_id)


def _patience(options: Options, conn_options: APIConnectOptions) -> Patience:
    return Patience(options.first_audio_timeout_s or conn_options.timeout, options.stall_timeout_s)


def _nothing_to_say(output_emitter: tts.AudioEmitter) -> None:
    output_emitter.initialize(
        request_id=utils.shortuuid(), sample_rate=SAMPLE_RATE_HZ, num_channels=1, mime_type="audio/pcm", stream=True
    )
