"""`tts-ops phone call +1…`: the agent is brought into a room, then a telephone is rung into it. One clear result."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
import time
from dataclasses import dataclass
from typing import Literal

import aiohttp
from google.protobuf.duration_pb2 import Duration
from livekit import api
from livekit.protocol.sip import CreateSIPParticipantRequest

from worker.phone.registrar import PhoneError, Registrar
from worker.phone.trunks import OUTBOUND, PEOPLE, ROOM_PREFIX
from worker.settings import Settings
from worker.settings_phone import E164

AGENT_S = 15.0
LOOK_S = 0.2
IDENTITY = "callee"
Result = Literal["answered", "busy", "no_answer", "declined", "unknown_number", "refused", "unreachable", "no_agent"]
BY_STATUS: dict[int, Result] = {
    401: "refused",
    403: "refused",
    404: "unknown_number",
    407: "refused",
    408: "no_answer",
    480: "no_answer",
    484: "unknown_number",
    486: "busy",
    487: "no_answer",
    600: "busy",
    603: "declined",
    604: "unknown_number",
}
TEXTS: dict[Result, str] = {
    "answered": "answered",
    "busy": "the line is busy",
    "no_answer": "nobody answered",
    "declined": "the call was declined",
    "unknown_number": "there is no such number",
    "refused": "the provider refuses us: see SIP_USER, SIP_PASSWORD and the numbers that it lets us call from",
    "unreachable": "the provider does not answer: see SIP_PROVIDER",
    "no_agent": "no agent came: is a worker running, and has it room?",
}
CODES: dict[Result, int] = {
    "answered": 0,
    "busy": 10,
    "no_answer": 11,
    "declined": 12,
    "unknown_number": 13,
    "refused": 14,
    "unreachable": 15,
    "no_agent": 16,
}


@dataclass(frozen=True, slots=True)
class Called:
    result: Result
    room: str
    rang_s: float
    status: int | None = None  # of SIP
    reason: str = ""  # LiveKit's, where SIP gave none


async def call(registrar: Registrar, settings: Settings, number: str, *, trunk_id: str | None = None) -> Called:
    """Raises PhoneError when there is no trunk, or LiveKit does not answer. The room lives on while the call does."""
    if not E164.fullmatch(number):
        raise PhoneError(f"{number!r} is no number; one is like +15550100: + and 7 to 15 digits")
    trunk = trunk_id or await _trunk(registrar)
    room = f"{ROOM_PREFIX}{secrets.token_hex(16)}"
    lk = registrar.livekit
    try:
        return await _call(registrar, settings, number, trunk, room)
    except (api.TwirpError, aiohttp.ClientError, OSError, TimeoutError) as error:
        await _close(lk, room)
        raise PhoneError(f"LiveKit did not do it: {str(error)[:200] or type(error).__name__}") from error
    except BaseException:  # Ctrl-C: the telephone stops ringing
        await _close(lk, room)
        raise


async def _call(registrar: Registrar, settings: Settings, number: str, trunk: str, room: str) -> Called:
    lk = registrar.livekit
    await lk.room.create_room(
        api.CreateRoomRequest(name=room, max_participants=PEOPLE, empty_timeout=60, departure_timeout=5)
    )
    await lk.agent_dispatch.create_dispatch(api.CreateAgentDispatchRequest(agent_name=settings.agent_name, room=room))
    if not await _agent_is_there(lk, room):
        await _close(lk, room)
        return Called("no_agent", room, 0.0)
    began = time.monotonic()
    request = CreateSIPParticipantRequest(
        sip_trunk_id=trunk,
        sip_call_to=number,
        room_name=room,
        participant_identity=IDENTITY,
        participant_name="Callee",
        hide_phone_number=not settings.phone_show_number,
        wait_until_answered=True,
        ringing_timeout=Duration(seconds=int(settings.phone_ring_s)),
        max_call_duration=Duration(seconds=int(settings.max_call_s) + 60),
    )
    try:
        await lk.sip.create_sip_participant(request)
    except (api.TwirpError, aiohttp.ClientError, TimeoutError) as error:
        await _close(lk, room)
        result, status = result_of(error)
        return Called(result, room, time.monotonic() - began, status, "" if status else str(error)[:200])
    return Called("answered", room, time.monotonic() - began)


def result_of(error: Exception) -> tuple[Result, int | None]:
    """What a failed call means."""
    if not isinstance(error, api.TwirpError):
        return "no_answer", None  # LiveKit's answer did not come: it rang for too long
    given = error.metadata.get("sip_status_code", "")
    status = int(given) if given.isdigit() else None
    if status is not None:
        known: Result = "unreachable" if status >= 500 and status not in BY_STATUS else "refused"
        return BY_STATUS.get(status, known), status
    return ("no_answer" if error.code == "deadline_exceeded" else "unreachable"), None


def run(settings: Settings, number: str, *, wait: bool) -> int:
    """Exit code: CODES of the result; 1 when it could not be tried."""
    try:
        return asyncio.run(_run(settings, number, wait=wait))
    except PhoneError as error:
        print(f"tts-ops phone: {error}", file=sys.stderr)  # noqa: T201
        return 1


async def _run(settings: Settings, number: str, *, wait: bool) -> int:
    async with Registrar(settings) as registrar:
        _say("The agent is sent for, then it rings …")
        called = await call(registrar, settings, number)
        status = f" (SIP {called.status})" if called.status else ""
        _say(f"{TEXTS[called.result]}{status} after {called.rang_s:.1f} s{called.reason and f' ({called.reason})'}")
        if called.result == "answered" and wait:
            talked_s = await _over(registrar.livekit, called.room)
            _say(f"over after {talked_s:.0f} s")
    return CODES[called.result]


async def _trunk(registrar: Registrar) -> str:
    for one in await registrar.there():
        if getattr(one, "name", "") == OUTBOUND:
            return str(getattr(one, "sip_trunk_id", ""))
    raise PhoneError("there is no outbound trunk of ours: set SIP_PROVIDER, then `tts-ops phone setup`")


async def _agent_is_there(lk: api.LiveKitAPI, room: str) -> bool:
    until = time.monotonic() + AGENT_S
    while time.monotonic() < until:
        listed = await lk.room.list_participants(api.ListParticipantsRequest(room=room))
        if any(p.kind == api.ParticipantInfo.Kind.AGENT for p in listed.participants):
            return True
        await asyncio.sleep(LOOK_S)
    return False


async def _over(lk: api.LiveKitAPI, room: str) -> float:
    """Until the telephone has left; its call has a longest length, so this ends."""
    began = time.monotonic()
    while True:
        try:
            listed = await lk.room.list_participants(api.ListParticipantsRequest(room=room))
        except api.TwirpError:  # the room is gone
            return time.monotonic() - began
        if not any(p.identity == IDENTITY for p in listed.participants):
            return time.monotonic() - began
        await asyncio.sleep(1.0)


async def _close(lk: api.LiveKitAPI, room: str) -> None:
    with contextlib.suppress(api.TwirpError, aiohttp.ClientError, TimeoutError):  # it is empty, and closes by itself
        await lk.room.delete_room(api.DeleteRoomRequest(room=room))


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201
