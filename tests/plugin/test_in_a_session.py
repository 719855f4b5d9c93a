"""The plugin inside LiveKit's AgentSession, with LiveKit's own transcript synchroniser and a player that keeps time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from ear import hear_text
from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.voice import io
from livekit.agents.voice.transcription import TranscriptSynchronizer
from livekit.plugins import vibevoice

TEXT = "The kitchen opens at seven, and the garden is closed today, but the terrace is free until a quarter past ten."

pytestmark = pytest.mark.timeout(90)


class Player(io.AudioOutput):
    """Plays to nobody in real time."""

    def __init__(self) -> None:
        super().__init__(label="player", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=24_000)
        self.started = asyncio.Event()
        self._began = self._pushed_s = 0.0
        self._end: asyncio.TimerHandle | None = None

    @property
    def position_s(self) -> float:
        return min(time.monotonic() - self._began, self._pushed_s)

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._pushed_s:
            self._began = time.monotonic()
            self.on_playback_started(created_at=time.time())
            self.started.set()
        self._pushed_s += frame.duration

    def flush(self) -> None:
        super().flush()
        if self._pushed_s:
            left_s = self._began + self._pushed_s - time.monotonic()
            self._end = asyncio.get_running_loop().call_later(max(0.0, left_s), self._finish, False)

    def clear_buffer(self) -> None:
        if self._pushed_s:
            self._finish(True)

    def _finish(self, interrupted: bool) -> None:
        if self._end is not None:
            self._end.cancel()
        position_s, self._pushed_s = self.position_s, 0.0
        self.on_playback_finished(playback_position=position_s, interrupted=interrupted)


class Page(io.TextOutput):
    def __init__(self) -> None:
        super().__init__(label="page", next_in_chain=None)
        self.text = ""

    async def capture_text(self, text: str) -> None:
        self.text += text

    def flush(self) -> None: ...


@pytest.fixture
def player() -> Player:
    return Player()


@pytest.fixture
def page() -> Page:
    return Page()


@pytest.fixture
async def session(voice: vibevoice.TTS, player: Player, page: Page) -> AsyncIterator[AgentSession]:
    async with AgentSession(tts=voice, use_tts_aligned_transcript=True, turn_detection="manual") as session:
        both = TranscriptSynchronizer(next_in_chain_audio=player, next_in_chain_text=page)
        session.output.audio, session.output.transcription = both.audio_output, both.text_output
        await session.start(Agent(instructions="none"), record=False)
        yield session
        await session.aclose()
        await both.aclose()


async def test_the_transcript_and_the_history_are_what_was_said(session: AgentSession, page: Page) -> None:
    speech = session.say(TEXT)
    await asyncio.wait_for(speech.wait_for_playout(), 30)
    assert page.text == TEXT
    assert [item.text_content for item in session.history.items if item.type == "message"] == [TEXT]


async def test_after_an_interruption_the_history_holds_what_was_heard(
    session: AgentSession, voice: vibevoice.TTS, player: Player, page: Page
) -> None:
    words = (await hear_text(voice, TEXT)).words
    speech = session.say(TEXT)
    async with asyncio.timeout(10):
        while len(page.text.split()) < 8:  # LiveKit writes each word when it is heard; a busy machine writes late
            await asyncio.sleep(0.01)
    written, heard_s = len(page.text.split()), player.position_s
    await session.interrupt()
    await asyncio.wait_for(speech.wait_for_playout(), 5)
    (said,) = [item for item in session.history.items if item.type == "message"]
    assert said.interrupted
    assert TEXT.startswith(said.text_content)
    begun = sum(word.start_time <= heard_s for word in words)
    assert written - 1 <= len(said.text_content.split()) <= begun + 1
