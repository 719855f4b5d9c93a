"""Typed text and its bounds, over a reader that behaves like LiveKit's."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from worker.typed_text import BURST, TypedText


class Reader:
    """LiveKit's TextStreamReader as far as it is used; counts what was taken of it."""

    def __init__(self, *pieces: str, hangs: bool = False) -> None:
        self.info = None
        self.pieces = list(pieces)
        self.taken = 0
        self.closed = False
        self._hangs = hangs

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> str:
        if self.taken < len(self.pieces):
            self.taken += 1
            return self.pieces[self.taken - 1]
        if self._hangs:
            await asyncio.sleep(60)
        raise StopAsyncIteration

    def close(self) -> None:
        self.closed = True


class Desk:
    def __init__(self, max_chars: int = 20) -> None:
        self.taken: list[str] = []
        self.refused: list[tuple[str, str]] = []
        self.now = 0.0
        self.typed = TypedText(
            max_chars=max_chars, take=self._take, refuse=lambda *said: self.refused.append(said), clock=lambda: self.now
        )

    async def _take(self, text: str, reader: Any, identity: str) -> None:
        self.taken.append(text)

    async def settle(self) -> None:
        await self.typed._tasks.settle()


async def test_a_text_within_bounds_is_taken_whole() -> None:
    desk = Desk()
    desk.typed.on_stream(Reader("hello ", "there"), "caller")
    await desk.settle()
    assert (desk.taken, desk.refused) == (["hello there"], [])


@pytest.mark.parametrize(("length", "code"), [(20, None), (21, "text_too_long")])
async def test_a_text_that_is_too_long_is_refused_with_the_limit(length: int, code: str | None) -> None:
    desk = Desk()
    desk.typed.on_stream(Reader("x" * length), "caller")
    await desk.settle()
    assert [said[0] for said in desk.refused] == ([code] if code else [])
    if code:
        assert "20 characters" in desk.refused[0][1]


async def test_of_an_endless_text_no_more_is_read_than_its_bound() -> None:
    desk, reader = Desk(), Reader(*["y" * 15] * 1000)
    desk.typed.on_stream(reader, "caller")
    await desk.settle()
    assert reader.taken == 2
    assert reader.closed
    assert desk.taken == []


async def test_of_a_flood_a_few_are_read_and_the_caller_is_told_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    readers = [Reader(f"secret {n}") for n in range(1000)]
    with caplog.at_level(logging.DEBUG):
        for n, reader in enumerate(readers):
            desk.now = n / 1000
            desk.typed.on_stream(reader, "caller")
            await asyncio.sleep(0)
        await desk.settle()
    assert len(desk.taken) <= BURST + 2
    assert len(desk.refused) == 1
    assert all(reader.closed for reader in readers)
    assert "secret" not in caplog.text


async def test_a_text_that_never_ends_does_not_outlive_the_call() -> None:
    desk = Desk()
    desk.typed.on_stream(Reader("half", hangs=True), "caller")
    await asyncio.sleep(0)
    await desk.typed.aclose()
    assert len(desk.typed._tasks) == 0
    assert desk.taken == []
