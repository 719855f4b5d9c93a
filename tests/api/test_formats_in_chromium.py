"""A browser plays what /synthesize streams: the length is unknown while it comes, and right when it has come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NoReturn

import pytest
from http_parts import Engine, Start
from playwright.async_api import Page, async_playwright

pytestmark = [pytest.mark.system, pytest.mark.browser, pytest.mark.timeout(120)]

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ("--no-sandbox", "--autoplay-policy=no-user-gesture-required")
PLAY = """async (format) => {
  const asked = {text: "Hello, this is it.", output_format: format, stream: true};
  const response = await fetch("/synthesize", {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(asked)});
  const blob = await response.blob();
  const sound = await new OfflineAudioContext(1, 1, 48000).decodeAudioData(await blob.arrayBuffer());
  const loudest = Math.max(...sound.getChannelData(0).map(Math.abs));
  const player = new Audio(URL.createObjectURL(blob));
  player.muted = true;
  await new Promise((ended, failed) => {
    player.onended = ended;
    player.onerror = () => failed(new Error(player.error.message));
    player.play();
  });
  return {status: response.status, decoded: sound.duration, loudest, played: player.currentTime};
}"""


@pytest.fixture
def chromium(missing: Callable[[str], NoReturn]) -> str:
    if not CHROMIUM.exists():
        missing("chromium (Debian package `chromium`)")
    return str(CHROMIUM)


@pytest.fixture
async def page(start: Start, engine: Engine, chromium: str) -> AsyncIterator[Page]:
    service = await start(engine_url=engine.url)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=[*FLAGS])
        try:
            page = await browser.new_page()
            await page.goto(f"{service.url}/livez")  # the service's origin and its CSP
            yield page
        finally:
            await browser.close()


async def test_chromium_plays_every_streamed_format(page: Page) -> None:
    for name in ("wav", "mp3", "opus", "flac", "aac"):
        heard = await page.evaluate(PLAY, name)
        assert heard["status"] == 200, name
        assert 0.8 < heard["decoded"] < 3.0, (name, heard)
        assert heard["loudest"] > 0.1, (name, heard)
        assert heard["played"] == pytest.approx(heard["decoded"], abs=0.2), (name, heard)
