"""Speech as an HTTP answer: streamed while it is spoken, or whole with a right header.

Nothing is sent before the first sound, so a refusal or a failure still becomes a clean error. After it the chunked
body is broken off, which every client sees as an incomplete answer.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import IO

from starlette.responses import Response
from starlette.types import Receive, Send

from tts_plugin.protocol import Audio, Word
from worker.api.broken_off import BreakableAnswer, send_body
from worker.api.disconnect import while_connected
from worker.api.formats.encoder import Stream, encode_into
from worker.api.formats.output import Output
from worker.api.speech import Spoken

IN_MEMORY_BYTES = 2 * 1024 * 1024
_READ_BYTES = 64 * 1024


async def answer(speech: Spoken, output: Output, receive: Receive, *, stream: bool) -> Response:
    """The answer to whoever reads `receive`. Raises ApiError before the first sound, ClientGone when it hung up."""
    if not stream:
        return KeptAnswer(await keep(speech, output, receive))
    await begin(speech, receive)
    return StreamedSpeech(speech, output)


async def begin(speech: Spoken, receive: Receive) -> None:
    """Waits for the first sound."""
    try:
        await while_connected(receive, speech.start())
    except BaseException:
        speech.cancel()
        raise


@dataclass(frozen=True, slots=True)
class Kept:
    """A whole file. `sound` can be sought; whoever has it closes it. `words`: when each one sounds."""

    sound: IO[bytes]
    media_type: str
    size: int
    words: tuple[Word, ...] = ()


async def keep(speech: Spoken, output: Output, receive: Receive) -> Kept:
    """Waits for the whole speech. Raises ApiError, and ClientGone."""
    sound = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - whoever gets it closes it
    try:
        return await while_connected(receive, _write(speech, output, sound))
    except BaseException:
        sound.close()
        raise
    finally:
        speech.cancel()


async def _write(speech: Spoken, output: Output, sound: IO[bytes]) -> Kept:
    await speech.start()
    encoder = encode_into(sound, output, speech.sample_rate_hz)
    words: list[Word] = []
    async for item in speech.sounds():
        if isinstance(item, Audio):
            encoder.feed(item.pcm)
        else:
            words += item.words
    encoder.finish()
    return Kept(sound, output.media_type(speech.sample_rate_hz), sound.seek(0, 2), tuple(words))


class StreamedSpeech(BreakableAnswer):
    """Sends each piece as it is spoken; a slow client slows the engine down, by the protocol's credit."""

    def __init__(self, speech: Spoken, output: Output) -> None:
        super().__init__(output.media_type(speech.sample_rate_hz))
        self._speech = speech
        self._encoded = Stream(output, speech.sample_rate_hz)

    async def _send_all(self, send: Send) -> None:
        async for item in self._speech.sounds():
            if isinstance(item, Audio) and (body := self._encoded.feed(item.pcm)):
                await send_body(send, body, more=True)
        await send_body(send, self._encoded.finish(), more=False)

    def _release(self) -> None:
        self._speech.cancel()


class KeptAnswer(BreakableAnswer):
    """Sends what was kept, and closes it."""

    def __init__(self, kept: Kept) -> None:
        super().__init__(kept.media_type, kept.size)
        self._sound = kept.sound

    async def _send_all(self, send: Send) -> None:
        at = 0
        while body := self._read(at):
            await send_body(send, body, more=True)
            at += len(body)
        await send_body(send, b"", more=False)

    def _read(self, at: int) -> bytes:
        """In one step: others may read the same file."""
        self._sound.seek(at)
        return self._sound.read(_READ_BYTES)

    def _release(self) -> None:
        self._sound.close()
