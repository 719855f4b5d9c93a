"""The telephone at the other end of a call, as livekit-sip shows it: a participant whose attributes tell its state.

Who calls is not asked for here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Literal

from livekit import rtc

from worker.phone.attributes import HUMAN, RULE, STATUS

ACTIVE = ("active", "automation")
LOOK_S = 0.05


def is_phone(participant: rtc.RemoteParticipant) -> bool:
    return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP


def the_phone(room: rtc.Room) -> rtc.RemoteParticipant | None:
    """The caller's, or the callee's, telephone. Never the person a call is transferred to."""
    phones = (p for p in room.remote_participants.values() if is_phone(p) and HUMAN not in p.attributes)
    return next(phones, None)


class PhoneLine:
    """One telephone. Times are monotonic seconds."""

    def __init__(self, room: rtc.Room, participant: rtc.RemoteParticipant, *, waited_s: float = 0.0) -> None:
        """`waited_s`: since when a caller has been there, before we saw it."""
        self._room = room
        self._participant = participant
        self._rang_s: float | None = None
        self._active_s: float | None = None
        self.direction: Literal["inbound", "outbound"] = "inbound" if RULE in participant.attributes else "outbound"
        self._seen_s = time.monotonic() - (waited_s if self.direction == "inbound" else 0.0)

    @property
    def identity(self) -> str:
        return self._participant.identity

    @property
    def attributes(self) -> Mapping[str, str]:
        return self._participant.attributes

    @property
    def is_active(self) -> bool:
        return self.attributes.get(STATUS) in ACTIVE

    async def answered(self, timeout_s: float) -> bool:
        """Wait until both sides are connected. False: it hung up, or nobody answered in time."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.attributes.get(STATUS) == "ringing" and self._rang_s is None:
                self._rang_s = time.monotonic()
            if self.is_active:
                self._active_s = time.monotonic()
                return True
            if self.identity not in self._room.remote_participants:
                return False
            await asyncio.sleep(LOOK_S)
        return False

    @property
    def seconds(self) -> dict[str, float]:
        """ring_s: from its call, or the first sight of it, to the answer. post_dial_s: until it rang, where we call."""
        if self._active_s is None:
            return {}
        told = {"ring_s": self._active_s - self._seen_s}
        if self.direction == "outbound" and self._rang_s is not None:
            told["post_dial_s"] = self._rang_s - self._seen_s
        return told
