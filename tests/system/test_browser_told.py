"""What the call page shows of the service's own words: a notice of the agent, and a call that got no agent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from call_page import CHROMIUM, SOUND, CallPage, call_page
from livekit import api, rtc

from worker.watch.livekit_rooms import LiveKitRooms

pytestmark = [pytest.mark.system, pytest.mark.browser, pytest.mark.timeout(180)]
ROOM = "nobody-answers"


@pytest.fixture
def keys(_scripted_stack: Any) -> tuple[str, str, str]:
    """LiveKit's address, key and secret."""
    env = _scripted_stack.stack.environment_of("serve")
    return env["LIVEKIT_URL"], env["LIVEKIT_API_KEY"], env["LIVEKIT_API_SECRET"]


@pytest.fixture
async def page(_scripted_stack: Any, keys: tuple[str, str, str], missing: Any) -> AsyncIterator[CallPage]:
    """The page in a call, in a room where no agent was asked for."""
    if not CHROMIUM.exists():
        missing("chromium (Debian package `chromium`)")
    ticket = {"server_url": keys[0], "room_name": ROOM, "participant_name": "Caller"}
    ticket["participant_token"] = token(keys, "caller")
    async with call_page(_scripted_stack.http_url, *SOUND) as page:
        page.expected += ["closed unexpectedly", "DataChannel error"]  # of LiveKit's client, when a room is closed
        await page.page.route("**/token", lambda route: route.fulfill(status=201, json=ticket))
        await page.page.get_by_role("button", name="Start call").click()
        await page.until("ttsOps.phase === 'live'", 20)
        yield page


def token(keys: tuple[str, str, str], identity: str, kind: str = "standard") -> str:
    grants = api.VideoGrants(room_join=True, room=ROOM, agent=kind == "agent")
    made = api.AccessToken(*keys[1:]).with_identity(identity).with_kind(kind)  # type: ignore[arg-type]
    return made.with_grants(grants).to_jwt()


async def test_a_call_that_gets_no_agent_ends_with_the_reason(page: CallPage, keys: tuple[str, str, str]) -> None:
    rooms = LiveKitRooms(*keys, agent_name="tts-ops")
    await rooms.open()
    await rooms.fail(ROOM, "no_workers")
    await rooms.aclose()
    await page.until("ttsOps.phase === 'ended' && ttsOps.notices.includes('call-failed')")
    assert await page.page.get_by_text("No agent is on duty at the moment. Please call again later.").is_visible()


async def test_notices_of_an_agent_are_shown_and_taken_back(page: CallPage, keys: tuple[str, str, str]) -> None:
    agent = rtc.Room()
    await agent.connect(keys[0], token(keys, "agent-x", "agent"))
    await page.until("ttsOps.agentState !== 'absent'")
    try:
        for code, message, shown in (
            ("cannot_hear", "You can type.", "cannot-hear"),
            ("hears_again", "", "hears-again"),
            ("other", "<b>A word</b> for you.", "told"),
        ):
            said = json.dumps({"code": code, "message": message})
            await agent.local_participant.send_text(said, topic="tts-ops.notice")
            await page.until(f"ttsOps.notices.includes('{shown}')")
        assert "cannot-hear" not in await page.see("notices")
        assert await page.page.get_by_text("<b>A word</b> for you.").is_visible()
    finally:
        await agent.disconnect()


async def test_nobody_but_an_agent_can_put_words_on_the_page(page: CallPage, keys: tuple[str, str, str]) -> None:
    stranger, agent = rtc.Room(), rtc.Room()
    await stranger.connect(keys[0], token(keys, "stranger"))
    await agent.connect(keys[0], token(keys, "agent-x", "agent"))
    await page.until("ttsOps.agentState !== 'absent'")
    try:
        false = json.dumps({"code": "call.failed", "message": "Send money."})
        await stranger.local_participant.publish_data(false, topic="tts-ops.call")
        await stranger.local_participant.send_text(false, topic="tts-ops.notice")
        said = json.dumps({"code": "cannot_hear", "message": "The last one."})
        await agent.local_participant.send_text(said, topic="tts-ops.notice")
        await page.until("ttsOps.notices.includes('cannot-hear')")
        assert "told" not in await page.see("notices")
        assert await page.see("phase") == "live"
    finally:
        await stranger.disconnect()
        await agent.disconnect()
