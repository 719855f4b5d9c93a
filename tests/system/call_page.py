"""The call page in a real Chromium, as the browser tests drive it. Reads `window.ttsOps`, and keeps what went wrong.

The page's policy forbids `eval`, so waiting is done by asking again and again, not by Playwright's wait_for_function.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, ConsoleMessage, Page, async_playwright

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--allow-loopback-in-peer-connection",  # without it Chromium does not talk WebRTC to 127.0.0.1
)
BEEPS = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")  # Chromium's own fake microphone
SOUND = ("--autoplay-policy=no-user-gesture-required",)
AUDIBLE_RMS = 0.01
POLL_S = 0.02

# RMS is sampled in the page every 10 ms: a question from outside takes too long to tell when a sound ended.
LISTEN = """
window.heard = [];
setInterval(() => window.heard.push([performance.now(), window.ttsOps?.levels.agent ?? 0]), 10);
"""


def hears(recording: Path) -> tuple[str, ...]:
    """Flags for a microphone that hears a wav (48 kHz mono 16 bit) once, from the moment it is opened."""
    return (*BEEPS, f"--use-file-for-fake-audio-capture={recording}%noloop")


class CallPage:
    """One page. `problems` holds its errors on the console, but for those that hold the words of one `expected`."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        self.console: list[str] = []
        self.expected = ["status of 503"]  # Chromium itself writes down every refused request
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    async def see(self, name: str) -> Any:
        """A value of `window.ttsOps`."""
        return await self.page.evaluate(f"() => window.ttsOps.{name}")

    async def until(self, condition: str, deadline_s: float = 10.0) -> None:
        """Wait until a JavaScript expression is true; says what the page shows when it does not come true."""
        try:
            async with asyncio.timeout(deadline_s):
                while not await self.page.evaluate(f"() => Boolean(window.ttsOps && ({condition}))"):
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise AssertionError(
                f"not within {deadline_s:.0f} s: {condition}; the page: {await self.summary()}"
            ) from None

    async def summary(self) -> dict[str, Any]:
        names = ("phase", "agentState", "microphone", "notices", "counts")
        return {name: await self.see(name) for name in names} | {"lines": await self.lines(), "console": self.console}

    async def lines(self) -> list[tuple[str, str]]:
        """The transcript: who, and what."""
        texts = await self.page.locator("#transcript li").all()
        return [(await li.locator(".who").inner_text(), await li.locator("p").inner_text()) for li in texts]

    async def start(self) -> None:
        """Press Start call; back when the agent is there and its greeting is heard."""
        await self.page.get_by_role("button", name="Start call").click()
        await self.until("ttsOps.phase === 'live'", 15)
        await self.until_audible()

    async def until_audible(self, deadline_s: float = 20.0) -> None:
        await self.until(f"ttsOps.levels.agent > {AUDIBLE_RMS}", deadline_s)

    async def until_quiet(self, for_s: float = 0.6, deadline_s: float = 30.0) -> None:
        """Until the agent has not been audible for a while and listens."""
        last = f"(window.heard.findLast(([, rms]) => rms > {AUDIBLE_RMS}) ?? [0])[0]"
        await self.until(
            f"ttsOps.agentState === 'listening' && performance.now() - {last} > {1000 * for_s}", deadline_s
        )

    async def last_sound_ms(self) -> float:
        """When the agent was audible last, on the page's clock."""
        return float(await self.page.evaluate(f"() => window.heard.findLast(([, rms]) => rms > {AUDIBLE_RMS})[0]"))

    async def type(self, text: str) -> None:
        await self.until("!document.getElementById('send').disabled")
        await self.page.get_by_label("Type to the agent").fill(text)
        await self.page.keyboard.press("Enter")

    async def until_line(self, who: str, words: str, deadline_s: float = 20.0) -> str:
        """Until a line of `who` holds `words` (case ignored); the line."""
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                while True:
                    for speaker, text in await self.lines():
                        if speaker == who and words.lower() in text.lower():
                            return text
                    await asyncio.sleep(POLL_S)
        raise AssertionError(f"no line of {who} holds {words!r}: {await self.summary()}")

    async def hang_up(self) -> None:
        if await self.see("phase") in ("joining", "live"):
            await self.page.locator("#hang-up").click()
            await self.until("ttsOps.phase === 'ended' || ttsOps.phase === 'idle'")

    def _on_console(self, message: ConsoleMessage) -> None:
        self.console.append(f"{message.type}: {message.text}")
        if message.type == "error" and not any(words in message.text for words in self.expected):
            self.problems.append(message.text)


@asynccontextmanager
async def browser_context(*flags: str, **options: Any) -> AsyncIterator[BrowserContext]:
    """A Chromium of its own: microphone and autoplay are decided by its flags."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=[*FLAGS, *flags])
        try:
            yield await browser.new_context(**options)
        finally:
            await browser.close()


@asynccontextmanager
async def call_page(url: str, *flags: str, **options: Any) -> AsyncIterator[CallPage]:
    """The page at `url`; hangs up at the end. `flags` say which microphone there is, and whether sound may play."""
    async with browser_context(*flags, **options) as context:
        page = CallPage(await context.new_page())
        await page.page.add_init_script(LISTEN)
        await page.page.goto(url)
        try:
            yield page
        finally:
            await page.hang_up()  # else LiveKit waits for the lost caller, and the next test for the place
        assert not page.problems, page.problems
