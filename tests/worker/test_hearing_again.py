"""A recogniser that fails and comes back, and final words that do not come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator

import pytest
from livekit import rtc
from livekit.agents import APIConnectionError, stt

from worker.final_words import FinalWords
from worker.hearing import Hearing

WORDS = stt.SpeechEvent(stt.SpeechEventType.FINAL_TRANSCRIPT)


async def microphone(stop: asyncio.Event) -> AsyncIterator[rtc.AudioFrame]:
    while not stop.is_set():
        yield rtc.AudioFrame.create(16_000, 1, 160)
        await asyncio.sleep(0.005)


class Recogniser:
    """Fails at once `failures` times, then gives an event for every tenth frame."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.opened = 0

    async def listen(self, audio: AsyncIterable[rtc.AudioFrame]) -> AsyncIterator[stt.SpeechEvent | str]:
        self.opened += 1
        if self.opened <= self.failures:
            raise APIConnectionError("gone")
        count = 0
        async for _ in audio:
            count += 1
            if count % 10 == 0:
                yield WORDS


async def hear(recogniser: Recogniser, *, deaf_after_s: float, events: int) -> list[str]:
    """What the caller is told until so many events came."""
    told: list[str] = []
    hearing = Hearing(
        deaf_after_s=deaf_after_s, on_deaf=lambda: told.append("deaf"), on_back=lambda: told.append("back")
    )
    stop = asyncio.Event()
    got = 0
    async with asyncio.timeout(20):
        async for _ in hearing.listen(microphone(stop), recogniser.listen):
            got += 1
            if got == events:
                stop.set()
    assert got >= events
    return told


async def test_after_a_short_failure_it_hears_again_and_nobody_is_told() -> None:
    assert await hear(Recogniser(1), deaf_after_s=5.0, events=3) == []


async def test_after_a_long_failure_the_caller_is_told_once_and_once_when_it_is_over() -> None:
    recogniser = Recogniser(3)
    assert await hear(recogniser, deaf_after_s=0.05, events=3) == ["deaf", "back"]
    assert recogniser.opened == 4


async def test_a_recogniser_that_is_back_is_told_though_nobody_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.hearing.WELL_AFTER_S", 0.3)
    told: list[str] = []
    recogniser = Recogniser(3)
    hearing = Hearing(deaf_after_s=0.05, on_deaf=lambda: told.append("deaf"), on_back=lambda: told.append("back"))

    async def silence() -> AsyncIterator[rtc.AudioFrame]:
        yield rtc.AudioFrame.create(16_000, 1, 160)
        await asyncio.sleep(60)

    async def listen() -> None:
        async for _ in hearing.listen(silence(), recogniser.listen):
            pass

    task = asyncio.create_task(listen())
    async with asyncio.timeout(20):
        while told != ["deaf", "back"]:
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_no_task_is_left_when_the_call_ends_while_nobody_hears() -> None:
    before = asyncio.all_tasks()
    hearing = Hearing(deaf_after_s=9.0, on_deaf=lambda: None, on_back=lambda: None)
    events = hearing.listen(microphone(asyncio.Event()), Recogniser(1000).listen)
    task = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await events.aclose()  # type: ignore[attr-defined]
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(("words", "speech_s", "late"), [("and then", 0.0, [True]), ("", 1.2, [False]), ("", 0.0, [])])
async def test_words_that_stay_replaceable_are_told_late_and_a_cough_is_not(
    monkeypatch: pytest.MonkeyPatch, words: str, speech_s: float, late: list[bool]
) -> None:
    told: list[bool] = []
    monkeypatch.setattr("worker.final_words.LEAST_SPEECH_S", 0.05)
    final = FinalWords(timeout_s=0.05, on_late=told.append)
    final.caller_spoke()
    final.transcribed(words, final=False)
    await asyncio.sleep(speech_s / 10)
    final.caller_paused()
    await asyncio.sleep(0.3)
    assert told == late


async def test_final_words_in_time_are_not_late() -> None:
    told: list[bool] = []
    final = FinalWords(timeout_s=0.1, on_late=told.append)
    final.caller_spoke()
    final.transcribed("and then", final=False)
    final.caller_paused()
    final.transcribed("and then we left", final=True)
    await asyncio.sleep(0.3)
    assert told == []
