"""The call page in Chromium: a key in its address opens it and leaves the address; text that is markup stays text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from http_parts import Start, StartFleet
from playwright.async_api import Browser, async_playwright

from worker.keys import KeyFile

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
CHROMIUM = Path("/usr/bin/chromium")
MARKUP = "<img src=x onerror='window.evil = 1'><b class=evil>"


@pytest.fixture
async def browser(missing: Any) -> AsyncIterator[Browser]:
    if not CHROMIUM.exists():  # noqa: ASYNC240
        missing("chromium (Debian package `chromium`)")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield started
        await started.close()


async def test_a_key_in_the_address_opens_the_call_page(start: Start, tmp_path: Path, browser: Browser) -> None:
    keys = KeyFile(tmp_path / "api-keys.json")
    _, text = keys.add("shop")
    service = await start(api_keys_file=keys.path, open_on_loopback=False)
    page = await browser.new_page()
    statuses = []
    for address in ("/", f"/#key={text}", "/"):
        await page.goto("about:blank")
        await page.goto(service.url + address)
        async with page.expect_response("**/token", timeout=30_000) as answer:
            await page.locator("#join").click()
        statuses.append((await answer.value).status)
        assert text not in page.url
    assert statuses == [401, 503, 503]  # 503: let in, and no agent is there


async def test_markup_in_names_and_text_stays_text(start: Start, browser: Browser) -> None:
    service = await start()
    page = await browser.new_page()
    await page.route("**/token", lambda route: route.fulfill(status=403, json={"message": MARKUP}))
    await page.route("**/health", lambda route: route.fulfill(json={"parts": {"stt": MARKUP, "notes": [MARKUP]}}))
    await page.goto(service.url)
    await page.locator("#join").click()
    await page.get_by_text(MARKUP).first.wait_for(timeout=30_000)
    await page.locator("#parts summary").click()
    await page.locator("#parts-list").get_by_text(MARKUP).first.wait_for(timeout=30_000)
    assert await page.locator("img[src=x], b.evil").count() == 0
    assert await page.evaluate("window.evil") is None
    ran = """async () => {
      const image = Object.assign(document.createElement("p"), { innerHTML: '<img src="data:," onerror="evil = 1">' });
      const failed = new Promise((done) => image.firstChild.addEventListener("error", () => setTimeout(done, 50)));
      document.body.append(image);
      await failed;
      return window.evil ?? "blocked";
    }"""
    assert await page.evaluate(ran) == "blocked"  # had markup come in all the same, the policy keeps it from running


async def test_livekits_own_token_source_gets_a_ticket(
    start: Start, start_fleet: StartFleet, tmp_path: Path, browser: Browser
) -> None:
    fleet = await start_fleet()
    keys = KeyFile(tmp_path / "api-keys.json")
    _, text = keys.add("shop")
    service = await start(worker_urls=(fleet.url,), api_keys_file=keys.path, open_on_loopback=False, agent_name="vera")
    page = await browser.new_page()
    await page.goto(service.url)
    ask = """async ([key, agentName]) => {
      const { TokenSource } = await import("/vendor/livekit-client.esm.mjs");
      const source = TokenSource.endpoint("/token", { headers: { Authorization: `Bearer ${key}` } });
      const options = { roomName: "mine", participantName: "Ann", participantIdentity: "admin", agentName };
      return source.fetch(options).catch((error) => ({ error: String(error) }));
    }"""
    async with asyncio.timeout(20):
        while (ticket := await page.evaluate(ask, [text, "vera"])).get("error"):  # until the worker has been seen
            await asyncio.sleep(0.2)
    assert ticket["participantToken"].count(".") == 2
    assert ticket["serverUrl"].startswith("ws")
    assert "error" in await page.evaluate(ask, [text, "other"])
    assert "error" in await page.evaluate(ask, ["no key", "vera"])


async def test_the_page_of_the_api_shows_every_route_without_a_key(
    start: Start, tmp_path: Path, browser: Browser, build_dir: Path
) -> None:
    keys = KeyFile(tmp_path / "api-keys.json")
    keys.add("shop")
    service = await start(api_keys_file=keys.path, open_on_loopback=False)
    page = await browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    await page.goto(f"{service.url}/docs")
    await page.locator("body[data-ready=true]").wait_for(timeout=30_000)
    async with service.client.get("/openapi.json") as answer:
        told = await answer.json()
    routes = [(method.upper(), path) for path, methods in told["paths"].items() for method in methods]
    assert await page.locator("main details").count() == len(routes)
    for method, path in routes:
        assert await page.locator("summary", has_text=path).filter(has_text=method).count() >= 1, path
    whole = page.locator("details", has_text="/synthesize")
    await whole.locator("summary").click()
    assert await whole.get_by_text("opus is Ogg").is_visible()
    assert complaints == []
    await page.screenshot(path=build_dir / "api-page.png", full_page=True)
