"""The call page in Chromium against a real installation: what a person sees, hears and can do."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from call_page import BEEPS, CHROMIUM, SOUND, CallPage, call_page, hears
from livekit import api

from worker.bench.scripted import LONG
from worker.bench.scripted_llm import Reply
from worker.bench.speech import speak

pytestmark = [pytest.mark.system, pytest.mark.browser, pytest.mark.timeout(180)]

SIZES = {"phone": {"width": 360, "height": 740}, "desk": {"width": 1440, "height": 900}}
Flags = tuple[str, ...]
CAPTURE_HZ = 48_000
SILENCE_S = 9.0  # the greeting and the connecting before it


@pytest.fixture(autouse=True)
def chromium(missing: Any) -> None:
    if not CHROMIUM.exists():
        missing("chromium (Debian package `chromium`)")


@pytest.fixture(scope="session")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Flags:
    """A microphone in a silent room (Chromium's beeps are taken for speech), and sound."""
    return (*hears(write_wav(tmp_path_factory.mktemp("quiet") / "quiet.wav", bytes(2 * CAPTURE_HZ))), *SOUND)


@pytest.fixture
def stack(_scripted_stack: Any) -> Any:
    """The shared installation, without waiting until the last call's place is free: there are others."""
    _scripted_stack.scripted.requests.clear()
    _scripted_stack.scripted.script = lambda _: Reply()
    return _scripted_stack


@pytest.fixture
async def page(stack: Any, quiet: Flags) -> AsyncIterator[CallPage]:
    """The page before a call, at its full width."""
    async with call_page(stack.http_url, *quiet, viewport=SIZES["desk"]) as page:
        yield page


async def test_the_greeting_is_heard_and_written(page: CallPage) -> None:
    await page.start()
    assert "AI" in await page.until_line("Agent", "assistant")


async def test_a_typed_question_is_written_at_once_and_answered_aloud(page: CallPage, stack: Any) -> None:
    stack.scripted.answer("The museum opens at nine in the morning.")
    await page.start()
    await page.page.keyboard.press("Escape")
    await page.until_quiet()
    await page.type("When does the museum open?")
    assert ("You", "When does the museum open?") in await page.lines()
    await page.until_audible()
    await page.until_line("Agent", "The museum opens at nine in the morning.")


async def test_a_spoken_question_is_written_and_answered_aloud(stack: Any, tmp_path: Path, build_dir: Path) -> None:
    stack.scripted.answer("There are seven days in one week.")
    question = await microphone_file(stack.http_url, "How many days are there in one week?", tmp_path)
    async with call_page(stack.http_url, *hears(question), *SOUND, viewport=SIZES["desk"]) as page:
        await page.start()
        await page.until_line("You", "days", deadline_s=30)
        await page.until_line("Agent", "seven days")
        await page.until("ttsOps.counts.turns >= 2 && document.querySelectorAll('#turns li').length === 1", 20)
        await page.page.screenshot(path=build_dir / "browser" / "spoken.png")
        assert "days" in stack.scripted.requests[-1].user_text


@pytest.mark.parametrize("way", ["button", "escape"])
async def test_an_interruption_silences_the_agent(page: CallPage, stack: Any, way: str) -> None:
    stack.scripted.script = lambda _: LONG
    await page.start()
    await page.page.keyboard.press("Escape")
    await page.until_quiet()
    await page.type("Tell me a long story.")
    await page.until_line("Agent", "the long story")
    await page.until_audible()
    pressed_ms = await page.page.evaluate("() => performance.now()")
    if way == "button":
        await page.page.get_by_role("button", name="Interrupt").click()
    else:
        await page.page.keyboard.press("Escape")
    assert await page.page.evaluate(MUTED)  # silent here at once, while the last sound is still on its way
    await page.until_quiet()
    assert await page.last_sound_ms() - pressed_ms < 1000
    await page.until(f"!({MUTED})")
    await page.until("document.querySelector('#transcript').textContent.includes('Interrupted')")


async def test_an_answer_cut_off_at_its_first_word_is_marked(page: CallPage) -> None:
    await page.start()
    await page.page.keyboard.press("Escape")
    await page.until("document.querySelector('#transcript').textContent.includes('Interrupted')")


async def test_hanging_up_ends_the_call_and_keeps_what_was_said(page: CallPage) -> None:
    await page.start()
    await page.until_line("Agent", "Hello")
    await page.page.get_by_role("button", name="Hang up").click()
    await page.until("ttsOps.phase === 'ended'", 3)
    assert await page.page.get_by_text("Call ended").is_visible()
    assert await page.lines()
    assert (await page.see("levels")) == {"agent": 0, "you": 0}


async def test_a_second_call_starts_afresh(page: CallPage) -> None:
    await page.start()
    await page.until_line("Agent", "Hello")
    await page.hang_up()
    await page.page.get_by_role("button", name="Call again").click()
    await page.until("ttsOps.phase === 'live' && ttsOps.counts.calls === 2", 15)
    await page.until_audible()


async def test_muting_silences_the_microphone_and_says_so(stack: Any) -> None:
    async with call_page(stack.http_url, *BEEPS, *SOUND) as page:
        await page.start()
        await page.until("ttsOps.levels.you > 0.01")
        await page.page.locator("#mute").focus()
        await page.page.keyboard.press("m")
        await page.until("ttsOps.microphone === 'muted'")
        assert await page.page.get_by_role("button", name="Unmute").is_visible()
        await page.until("ttsOps.levels.you === 0")
        await page.page.keyboard.press("m")
        await page.until("ttsOps.levels.you > 0.01")


async def test_the_letter_m_in_a_message_does_not_mute(page: CallPage) -> None:
    await page.start()
    await page.page.get_by_label("Type to the agent").focus()
    await page.page.keyboard.type("mm")
    assert await page.see("microphone") == "on"


@pytest.mark.parametrize(
    ("flags", "notice"),
    [((), "microphone-missing"), (("--use-fake-device-for-media-stream",), "microphone-denied")],
    ids=["none found", "denied"],
)
async def test_without_a_microphone_the_call_goes_on_by_typing(stack: Any, flags: Flags, notice: str) -> None:
    stack.scripted.answer("You can type to me.")
    async with call_page(stack.http_url, *SOUND, *flags) as page:
        await page.start()
        assert notice in await page.see("notices")
        assert await page.page.get_by_role("button", name="Turn on microphone").is_visible()
        await page.page.keyboard.press("Escape")
        await page.until_quiet()
        await page.type("I have no microphone.")
        await page.until_line("Agent", "You can type to me.")


async def test_a_full_house_is_told_and_tried_again_by_itself(page: CallPage, stack: Any) -> None:
    await take_all_places(stack.http_url)
    await page.page.get_by_role("button", name="Start call").click()
    await page.until("ttsOps.notices.includes('at-capacity')")
    assert await page.page.get_by_text("All lines are busy").is_visible()
    assert await page.page.get_by_text("Trying again in").is_visible()
    await page.until("ttsOps.phase === 'live'", 40)  # the places taken lapse after 15 s
    assert await page.see("notices") == []
    async with asyncio.timeout(20):  # the next test shall find a free place
        while stack.stack.free < 2:
            await asyncio.sleep(0.1)


async def test_when_no_agent_comes_the_page_says_so(page: CallPage, stack: Any) -> None:
    await page.page.route("**/token", lambda route: route.fulfill(status=201, json=room_without_agent(stack)))
    await page.page.get_by_role("button", name="Start call").click()
    await page.until("ttsOps.notices.includes('no-agent')", 12)
    assert await page.page.get_by_role("button", name="Keep waiting").is_visible()


async def test_a_dropped_connection_comes_back(stack: Any, quiet: Flags) -> None:
    async with call_page(stack.http_url, *quiet) as page:
        sockets: list[Any] = []
        await page.page.route_web_socket(
            "**/rtc**", lambda socket: sockets.append((socket, socket.connect_to_server()))
        )
        await page.page.reload()
        await page.start()
        client, server = sockets[0]
        await client.close(code=1011)
        await server.close(code=1011)
        await page.until("ttsOps.counts.reconnects === 1", 20)
        assert await page.page.get_by_text("You are connected again").is_visible()
        stack.scripted.answer("I can still hear you.")
        await page.type("Are you still there?")
        await page.until_line("Agent", "I can still hear you.")


async def test_a_call_ended_by_the_agent_is_told(page: CallPage, stack: Any) -> None:
    # LiveKit's client may see its channels close before it is told why, and says so.
    page.expected += ["closed unexpectedly", "DataChannel error"]
    async with page.page.expect_response("**/token") as answer:
        await page.page.get_by_role("button", name="Start call").click()
    room = (await (await answer.value).json())["room_name"]
    await page.until_audible()
    async with livekit(stack) as server:
        await server.room.delete_room(api.DeleteRoomRequest(room=room))
    await page.until("ttsOps.phase === 'ended' && ttsOps.notices.includes('ended-by-agent')")


async def test_sound_held_back_by_the_browser_is_one_press_away(stack: Any) -> None:
    flags = ("--autoplay-policy=document-user-activation-required", "--use-fake-device-for-media-stream")
    async with call_page(stack.http_url, *flags) as page:
        # A call without any press is the only way to be without the right to play. Looking at the page from here would
        # count as a press, so it tells by the console.
        await page.page.add_init_script(START_BY_ITSELF)
        async with page.page.expect_console_message(lambda line: line.text == "held back", timeout=20_000):
            await page.page.goto(stack.http_url)
        await page.page.get_by_role("button", name="Play sound").click()
        await page.until("!ttsOps.notices.includes('sound-blocked')")
        await page.until_audible()


async def test_a_missing_client_file_is_told(stack: Any) -> None:
    async with call_page(stack.http_url) as page:
        await page.page.route("**/vendor/**", lambda route: route.fulfill(status=503, body="{}"))
        await page.page.reload()
        await page.until("ttsOps.notices.includes('vendor-missing')")


async def test_a_page_from_an_insecure_address_says_so(stack: Any) -> None:
    async def pass_on(route: Any) -> None:
        path = route.request.url.removeprefix("http://calls.example")
        await route.fulfill(response=await route.fetch(url=stack.http_url + path, headers={}))

    async with call_page(stack.http_url) as page:
        page.expected.append("Cross-Origin-Opener-Policy header has been ignored")
        await page.page.route("http://calls.example/**", pass_on)
        await page.page.goto("http://calls.example/")
        await page.until("ttsOps.notices.includes('insecure-page')")


async def test_the_parts_in_use_and_their_weak_points_are_shown(page: CallPage) -> None:
    await page.page.get_by_text("What answers this call").click()
    assert await page.page.get_by_text("Moonshine tiny (embedded)").is_visible()
    assert await page.page.get_by_text("The embedded recogniser knows English only").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
async def test_the_page_fits_and_can_be_read(stack: Any, quiet: Flags, build_dir: Path, size: str, scheme: str) -> None:
    pictures = build_dir / "browser"
    stack.scripted.answer("There are seven days in one week, from Monday to Sunday.")
    async with call_page(stack.http_url, *quiet, viewport=SIZES[size], color_scheme=scheme) as page:
        await page.page.screenshot(path=pictures / f"{size}-{scheme}-before.png")
        await page.start()
        await page.page.keyboard.press("Escape")
        await page.until_quiet()
        await page.type("How many days are there in one week?")
        await page.until_line("Agent", "Monday")
        await page.page.screenshot(path=pictures / f"{size}-{scheme}-call.png")
        assert await page.page.evaluate(OVERFLOW) == []
        assert await page.page.evaluate(LOW_CONTRAST) == []
        for control in ("Mute", "Interrupt", "Devices", "Hang up"):
            box = await page.page.get_by_role("button", name=control).bounding_box()
            assert box is not None
            assert box["y"] + box["height"] <= SIZES[size]["height"]
            assert min(box["width"], box["height"]) >= 44


async def test_every_control_has_a_name(page: CallPage) -> None:
    session = await page.page.context.new_cdp_session(page.page)
    assert await nameless(session) == []
    await page.start()
    await page.page.get_by_role("button", name="Devices").click()
    assert await nameless(session) == []
    await page.page.keyboard.press("Escape")


async def test_a_call_by_keyboard_alone_shows_where_the_focus_is(page: CallPage, stack: Any) -> None:
    stack.scripted.answer("The keyboard is enough.")
    press = page.page.keyboard.press
    await page.page.evaluate("() => document.body.focus()")
    await press("Tab")
    assert await focused(page) == "join"
    await press("Enter")
    await page.until_audible()
    await press("Escape")
    await page.until_quiet()
    seen = []
    while not seen or seen[-1] != "hang-up":
        await press("Tab")
        seen.append(await focused(page))
        assert await page.page.evaluate(FOCUS_VISIBLE), seen
        if seen[-1] == "message":
            await page.page.keyboard.type("Is the keyboard enough?")
            await press("Enter")
    assert [name for name in seen if name in ("message", "mute", "interrupt", "devices-open")] == [
        "message",
        "mute",
        "interrupt",
        "devices-open",
    ]
    await page.until_line("Agent", "The keyboard is enough.")
    await press("Enter")
    await page.until("ttsOps.phase === 'ended'")
    assert await focused(page) == "join"


async def test_state_and_transcript_are_told_to_a_screen_reader(page: CallPage) -> None:
    await page.start()
    await page.until_line("Agent", "Hello")
    assert await page.page.locator("#state").get_attribute("role") == "status"
    await page.until("ttsOps.counts.agentLines >= 1", 20)
    await page.until("document.querySelector('[aria-live=polite]').textContent.startsWith('Agent: Hello')")


async def test_with_reduced_motion_nothing_moves(stack: Any, quiet: Flags) -> None:
    async with call_page(stack.http_url, *quiet, reduced_motion="reduce") as page:
        await page.start()
        moving = "document.getAnimations().filter((a) => a.playState === 'running').length"
        assert await page.page.evaluate(moving) == 0


START_BY_ITSELF = """addEventListener('load', () => {
  setTimeout(() => document.getElementById('join').click(), 500);
  const see = () => document.querySelector('[data-kind=sound-blocked]') && console.info('held back');
  new MutationObserver(see).observe(document.getElementById('notices'), { childList: true });
});"""

OVERFLOW = """() => [...document.querySelectorAll('body *')]
  .filter((e) => e.checkVisibility() && !e.closest('.unseen, .symbols'))
  .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1)
  .map((e) => e.id || e.className || e.tagName)"""

MUTED = "document.querySelector('#sound audio').muted"

FOCUS_VISIBLE = """() => {
  const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
  return outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2;
}"""

# WCAG 2 contrast of every visible text against the nearest opaque ground behind it.
LOW_CONTRAST = """() => {
  const rgb = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const hasText = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  return [...document.querySelectorAll('body *')]
    .filter((e) => e.checkVisibility() && hasText(e) && !e.closest('.unseen, :disabled'))
    .map((e) => {
      const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
      return [e.id || e.className || e.tagName, (a + 0.05) / (b + 0.05)];
    })
    .filter(([, ratio]) => ratio < 4.5);
}"""


async def focused(page: CallPage) -> str:
    return str(await page.page.evaluate("() => document.activeElement.id || document.activeElement.tagName"))


async def nameless(session: Any) -> list[str]:
    """Roles of the controls that Chromium tells a screen reader of without a name."""
    controls = {"button", "textbox", "combobox", "link", "checkbox", "DisclosureTriangle"}
    nodes = (await session.send("Accessibility.getFullAXTree"))["nodes"]
    roles = [(node["role"]["value"], node.get("name", {}).get("value")) for node in nodes if not node["ignored"]]
    assert any(role in controls for role, _ in roles)
    return [role for role, name in roles if role in controls and not name]


async def microphone_file(http_url: str, text: str, folder: Path) -> Path:
    """What the fake microphone hears: silence, then `text` in the installation's own voice, as Chromium wants it."""
    speech = await speak(http_url, text)
    samples = np.frombuffer(speech.pcm, np.int16).astype(np.float32)
    times = np.arange(0, len(samples), 24_000 / CAPTURE_HZ)
    louder = np.interp(times, np.arange(len(samples)), samples).astype(np.int16)
    silence = bytes(2 * int(SILENCE_S * CAPTURE_HZ))
    return write_wav(folder / "question.wav", silence + louder.tobytes() + bytes(2 * 3 * CAPTURE_HZ))


def write_wav(path: Path, pcm: bytes) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, CAPTURE_HZ, 0, "NONE", ""))
        file.writeframes(pcm)
    return path


async def take_all_places(http_url: str) -> None:
    """Ask for join tokens until there is no place left."""
    async with aiohttp.ClientSession() as http, asyncio.timeout(10):
        while True:
            async with http.post(f"{http_url}/token", json={}) as answer:
                if answer.status == 503:
                    return
                assert answer.status == 201


def room_without_agent(stack: Any) -> dict[str, str]:
    """A real join token, for a room into which no agent is dispatched."""
    grants = api.VideoGrants(room_join=True, room="empty")
    token = api.AccessToken(*credentials(stack)).with_identity("caller").with_grants(grants)
    url = stack.settings.livekit_url
    return {"server_url": url, "participant_token": token.to_jwt(), "room_name": "empty", "participant_name": "Caller"}


def livekit(stack: Any) -> api.LiveKitAPI:
    return api.LiveKitAPI(stack.settings.livekit_url.replace("ws", "http", 1), *credentials(stack))


def credentials(stack: Any) -> tuple[str, str]:
    env = stack.stack.environment_of("serve")
    return env["LIVEKIT_API_KEY"], env["LIVEKIT_API_SECRET"]
