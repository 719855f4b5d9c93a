"""LiveKit's own markdown and emoji filters may have run before: what is said stays the same."""

from collections.abc import AsyncIterable

import pytest
from livekit.agents.voice.transcription.filters import filter_emoji, filter_markdown
from speaking import said

ANSWERS = [
    "# Plan\n\nHere is **what** to do:\n\n- buy *milk* for $5\n- call `help()`\n\n1. First, 20 km.\n2. Then 3.5%!\n",
    "See [the docs](https://example.com/a) or ![a picture](https://example.com/b.png) today.",
    "> A quote with __two__ words.\n\n---\n\nAnd ***more*** text 👍🏽, on March 3, 2026.",
    "```python\nx = 1\n```\nThat is all, me@example.com and snake_case stay.",
    "It is 20°C ☀️ and costs 1,234.50 € 🎉 at 5:30 pm.",
    "Meet at 5 * 3 o'clock, room no. 7, by 11/24/2026 ✅.",
]


async def one(text: str) -> AsyncIterable[str]:
    for char in text:
        yield char


@pytest.mark.parametrize("answer", ANSWERS)
async def test_filtered_before_it_is_said_alike(answer: str) -> None:
    filtered = "".join([delta async for delta in filter_emoji(filter_markdown(one(answer)))])
    assert said(filtered) == said(answer)
