"""`tts-ops say`: speak a text through the engine, to the loudspeaker, a file or standard output, as it is written."""

from __future__ import annotations

import asyncio
import codecs
import os

import typer

from tts_plugin.client import EngineFailed, EngineUnreachable, Utterance
from tts_plugin.protocol import Audio, Started
from worker.own_engine import engine_client
from worker.settings import Settings
from worker.sound_out import Sink, open_sink

SILENCE_TIMEOUT_S = 30.0  # between two pieces of audio once the whole text is in
READ_BYTES = 4096


def run(settings: Settings, text: str | None, *, out: str | None, voice: str, seed: int | None) -> int:
    """Say `text`, or standard input when it is None or "-". Returns the exit code."""
    try:
        with open_sink(out) as sink:
            asyncio.run(_say(settings, None if text in (None, "-") else text, sink, voice, seed))
    except (EngineFailed, EngineUnreachable, OSError) as error:
        typer.echo(f"tts-ops say: {error}", err=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


async def _say(settings: Settings, text: str | None, sink: Sink, voice: str, seed: int | None) -> None:
    async with engine_client(settings) as client:
        utterance = await client.say(voice=voice, klass="interactive", pace="fast", seed=seed)
        feeding = asyncio.create_task(_feed(utterance, text), name="say-feed")
        try:
            await _receive(utterance, sink, feeding)
        finally:
            utterance.cancel()
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)


async def _feed(utterance: Utterance, text: str | None) -> None:
    if text is not None:
        utterance.feed(text)
    else:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while raw := await asyncio.to_thread(os.read, 0, READ_BYTES):
            utterance.feed(decoder.decode(raw))
        utterance.feed(decoder.decode(b"", final=True))
    utterance.end()


async def _receive(utterance: Utterance, sink: Sink, feeding: asyncio.Task[None]) -> None:
    items = aiter(utterance)
    while True:
        try:
            async with asyncio.timeout(SILENCE_TIMEOUT_S):
                item = await anext(items)
        except StopAsyncIteration:
            return
        except TimeoutError:
            if not feeding.done():  # whoever writes the text takes their time
                continue
            raise EngineUnreachable(f"the engine sent nothing for {SILENCE_TIMEOUT_S:.0f} s") from None
        if isinstance(item, Started):
            sink.start(item.sample_rate_hz)
        elif isinstance(item, Audio):
            await asyncio.to_thread(sink.write, item.pcm)
