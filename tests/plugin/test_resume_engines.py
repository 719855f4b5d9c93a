"""Real engines that are killed, frozen, full or cut off while they speak: how long is it silent, is every word heard?

The engine is lost at its first sound, with a clause written: the listener has a second or so in hand, no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import jiwer
import pytest
from ear import ONE_TRY, Heard
from engine_process import EngineProcess
from faster_whisper import WhisperModel
from livekit.plugins import vibevoice
from whisper_ear import plain, transcribe

from tts_plugin.client import EngineClient

TEXT = (
    "The kitchen opens at seven, and the garden is closed today. Would you like a table by the window? "
    "We have fresh bread, warm soup and a very good apple cake."
)
BEFORE = 7  # words that are written before the engine is lost
WRITER_S = 0.05  # for every word after that

pytestmark = pytest.mark.timeout(120)


@dataclass
class Listener(Heard):
    """Hears in real time: notes every silence between the first sound and the last."""

    silences: list[float] = field(default_factory=list)
    _until: float | None = None

    def hear(self, event: object, duration_s: float) -> None:
        now = time.monotonic()
        if self._until is not None and now > self._until:
            self.silences.append(now - self._until)
        self._until = max(now, self._until or now) + duration_s
        self.take(event)  # type: ignore[arg-type]

    @property
    def silence_s(self) -> float:
        return max(self.silences, default=0.0)


async def converse(voice: vibevoice.TTS, lose: Callable[[], None], writer_s: float = WRITER_S) -> Listener:
    """A turn in which `lose` is called in mid speech."""
    listener, lost = Listener(), asyncio.Event()
    async with voice.stream(conn_options=ONE_TRY) as stream:
        writing = asyncio.create_task(_write(stream, lost, writer_s))
        async for event in stream:
            listener.hear(event, event.frame.duration)
            if not lost.is_set():
                lose()
                lost.set()
        await writing
    return listener


def judge(name: str, listener: Listener, ear: WhisperModel, *, silence_s: float) -> None:
    words = jiwer.process_words(plain(TEXT), plain(transcribe(ear, listener)))
    print(
        f"{name}: {listener.silence_s:.2f} s of silence; of {len(plain(TEXT).split())} words Whisper misses "
        f"{words.deletions}, takes {words.substitutions} for others, hears {words.insertions} more"
    )
    assert listener.text == TEXT
    assert listener.silence_s <= silence_s
    assert words.deletions == 0
    assert words.substitutions <= 3  # one without any loss; where the voice starts anew, Whisper may err
    assert words.insertions <= 1


async def test_an_engine_cut_off_in_mid_sentence(engine_url: str, own_engine: EngineProcess, ear: WhisperModel) -> None:
    swaps: list[str] = []
    async with cuttable(own_engine.url) as (url, cut):
        async with vibevoice.TTS(engines=[url, engine_url], on_swap=swaps.append) as voice:
            judge("cut off", await converse(voice, cut), ear, silence_s=1.0)
    assert swaps == ["unreachable"]


async def test_a_full_engine_costs_nothing(engine_url: str, own_engine: EngineProcess, ear: WhisperModel) -> None:
    swaps: list[str] = []
    client = EngineClient(own_engine.url)
    async with vibevoice.TTS(engines=[own_engine.url, engine_url], on_swap=swaps.append) as voice:
        taken = [await client.say(klass="call") for _ in range(64)]
        start = time.monotonic()
        listener = await converse(voice, lambda: None)
        assert listener.first_audio_at is not None
        print(f"full: the first sound after {listener.first_audio_at - start:.2f} s")
        for utterance in taken:
            utterance.cancel()
    await client.aclose()
    assert listener.text == TEXT
    assert swaps == ["refused"]


@pytest.mark.parametrize("writer_s", [WRITER_S, 0.25])
async def test_a_frozen_engine(engine_url: str, own_engine: EngineProcess, ear: WhisperModel, writer_s: float) -> None:
    swaps: list[str] = []
    async with vibevoice.TTS(engines=[own_engine.url, engine_url], on_swap=swaps.append) as voice:
        try:
            listener = await converse(voice, lambda: own_engine.send_signal(signal.SIGSTOP), writer_s)
            assert voice.breakers()[own_engine.url] != "closed"
            start = time.monotonic()
            await voice.aclose()
            assert time.monotonic() - start < 1.5, "a frozen engine holds up the end"
        finally:
            own_engine.send_signal(signal.SIGCONT)
    judge(f"frozen, a word every {writer_s} s", listener, ear, silence_s=1.0)
    assert swaps == ["stalled"]


async def test_a_killed_engine_with_only_the_standby_left(
    engine_url: str, own_engine: EngineProcess, ear: WhisperModel
) -> None:
    swaps: list[str] = []
    async with vibevoice.TTS(engines=[own_engine.url, engine_url], on_swap=swaps.append) as voice:
        judge("killed", await converse(voice, lambda: own_engine.send_signal(signal.SIGKILL)), ear, silence_s=1.0)
    assert swaps == ["unreachable"]


async def test_a_real_engine_says_at_once_that_it_is_there(engine_url: str) -> None:
    client = EngineClient(engine_url)
    utterance, answered = await client.say(), asyncio.Event()
    utterance.ask(answered.set)
    await asyncio.wait_for(answered.wait(), 5)
    utterance.cancel()
    await client.aclose()


@contextlib.asynccontextmanager
async def cuttable(url: str) -> AsyncIterator[tuple[str, Callable[[], None]]]:
    """An address that leads to `url`, and the scissors."""
    host, port = url.removeprefix("http://").split(":")
    writers: list[asyncio.StreamWriter] = []

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        writers.extend((writer, back))
        await asyncio.gather(_pump(reader, back), _pump(there, writer), return_exceptions=True)

    def cut() -> None:
        server.close()
        for writer in writers:
            writer.transport.abort()

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", cut
    finally:
        cut()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _write(stream: vibevoice.SynthesizeStream, lost: asyncio.Event, writer_s: float) -> None:
    words = TEXT.split(" ")
    stream.push_text(" ".join(words[:BEFORE]))
    await lost.wait()
    for word in words[BEFORE:]:
        stream.push_text(f" {word}")
        await asyncio.sleep(writer_s)
    stream.end_input()
