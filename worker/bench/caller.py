"""A real caller: asks /token for a room, joins it over WebRTC, speaks, types, interrupts, and notes what it hears.

Knows the room contract (topics, attributes, the `interrupt` method) and nothing of what is behind it. Times are
monotonic seconds; `to_unix` turns them into the clock of the agent's stamps.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from livekit import rtc

from worker.bench.hearing import Hearing
from worker.bench.invitation import Invitation, invite
from worker.bench.microphone import Microphone, Said

SAMPLE_RATE_HZ = 24_000
POLL_S = 0.01
QUIET_S = 0.6  # longer than a pause between two clauses, shorter than a person's patience
CONNECT_S = 20.0

T = TypeVar("T")


class Missed(Exception):
    """Something that had to happen did not, within its deadline."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The agent's own account of one turn: unix seconds per stage, missing ones absent."""

    number: int
    interrupted: bool
    seconds: dict[str, float]
    stamps: dict[str, float]
    received_s: float


@dataclass(frozen=True, slots=True)
class Inbound:
    """Samples at 48 kHz: played, and among them those that had to be made up because none had come."""

    received: int
    concealed: int


@dataclass(slots=True)
class Segment:
    """One side's transcript of one utterance, as far as it has come."""

    speaker: str  # identity
    text: str = ""
    final: bool = False
    first_s: float = field(default_factory=time.monotonic)


def to_unix(monotonic_s: float) -> float:
    return monotonic_s + time.time() - time.monotonic()


class Caller:
    """One participant in one room. Use `calling(...)`, which also hangs up."""

    def __init__(self, invitation: Invitation) -> None:
        self.invitation = invitation
        self.hearing = Hearing(SAMPLE_RATE_HZ)
        self.microphone = Microphone(SAMPLE_RATE_HZ)
        self.segments: dict[str, Segment] = {}
        self.turns: list[Turn] = []
        self.ended: str | None = None  # why the room closed, when it did
        self._hung_up = False
        self._room = rtc.Room()
        self._tasks: set[asyncio.Task[None]] = set()
        self._streams: list[rtc.AudioStream] = []

    async def join(self) -> None:
        """Connect, publish the microphone, start to listen."""
        self._room.on("track_subscribed", self._on_track)
        self._room.on("disconnected", self._on_disconnected)
        self._room.register_text_stream_handler("lk.transcription", self._on_transcript)
        self._room.register_text_stream_handler("tts-ops.turn", self._on_turn)
        async with asyncio.timeout(CONNECT_S):
            await self._room.connect(self.invitation.server_url, self.invitation.token)
            track = rtc.LocalAudioTrack.create_audio_track("microphone", self.microphone.source)
            options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
            await self._room.local_participant.publish_track(track, options)
        self._start(self.microphone.run(), "microphone")

    async def hang_up(self) -> None:
        """Leave the room; a second time it does nothing."""
        if self._hung_up:
            return
        self._hung_up = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for stream in self._streams:
            await stream.aclose()
        self._streams.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await self._room.disconnect()
        await self.microphone.source.aclose()

    # What the caller does

    async def say(self, pcm: bytes) -> Said:
        """Speak pcm_s16le mono at 24 kHz in real time."""
        return await self.microphone.play(pcm)

    async def type(self, text: str) -> float:
        """Send a typed message; the time just before it was sent."""
        at_s = time.monotonic()
        async with asyncio.timeout(5):
            await self._room.local_participant.send_text(text, topic="lk.chat")
        return at_s

    async def interrupt(self) -> float:
        """Press the interrupt button; the time just before."""
        agent = await self.agent()
        at_s = time.monotonic()
        await self._room.local_participant.perform_rpc(
            destination_identity=agent.identity, method="interrupt", payload="", response_timeout=5.0
        )
        return at_s

    # What the caller sees and hears

    @property
    def identity(self) -> str:
        return self._room.local_participant.identity

    @property
    def agent_state(self) -> str | None:
        """initializing, idle, listening, thinking or speaking; None while no agent is in the room."""
        agent = self._agent()
        return agent.attributes.get("lk.agent.state") if agent else None

    @property
    def agent_text(self) -> list[str]:
        """The agent's utterances as transcribed for the caller, in order."""
        return [s.text for s in self._ordered() if s.speaker != self.identity]

    @property
    def own_text(self) -> list[str]:
        """What the agent understood, utterance by utterance."""
        return [s.text for s in self._ordered() if s.speaker == self.identity]

    async def agent(self, *, deadline_s: float = 15.0) -> rtc.RemoteParticipant:
        return await self.until(self._agent, "an agent joined the room", deadline_s=deadline_s)

    async def greeted(self, *, deadline_s: float = 30.0) -> float:
        """Wait until the greeting was heard and is over; the time at which it became audible."""
        first_s = await self.heard_after(0.0, deadline_s=deadline_s)
        await self.over(first_s, deadline_s=deadline_s)
        return first_s

    async def heard_after(self, after_s: float, *, deadline_s: float = 15.0) -> float:
        """When the agent's first audible frame after `after_s` arrived."""
        return await self.until(
            lambda: self.hearing.first_audible(after_s), "the agent was heard", deadline_s=deadline_s
        )

    async def quiet(self, *, for_s: float = QUIET_S, deadline_s: float = 60.0) -> float:
        """Wait until the agent listens and nothing was audible for `for_s`; the last audible moment."""

        def silent() -> float | None:
            last_s = self.hearing.last_audible() or 0.0
            listening = self.agent_state in ("listening", "idle", None)
            return last_s if listening and time.monotonic() - last_s >= for_s else None

        return await self.until(silent, "the agent fell silent", deadline_s=deadline_s)

    async def end_of_sound(self, from_s: float, *, gap_s: float = 0.8, deadline_s: float = 10.0) -> float:
        """The last audible moment before the first silence of `gap_s` after `from_s`."""
        return await self.until(
            lambda: self.hearing.end_of_sound(from_s, gap_s), f"{gap_s} s of silence came", deadline_s=deadline_s
        )

    async def over(self, heard_s: float, *, deadline_s: float = 30.0) -> Turn:
        """Wait for the end of what became audible at `heard_s`: its numbers are told, and nothing is audible."""
        turn = await self.until(
            lambda: next((t for t in self.turns if t.received_s > heard_s), None),
            "the agent told the turn's numbers",
            deadline_s=deadline_s,
        )
        await self.quiet()
        return turn

    async def until(self, look: Callable[[], T | None], what: str, *, deadline_s: float) -> T:
        """Poll `look` until it gives something; Missed after the deadline or when the room has closed."""
        deadline = time.monotonic() + deadline_s
        while (found := look()) is None or found is False:
            if self.ended is not None:
                raise Missed(f"the room closed ({self.ended}) before {what}")
            if time.monotonic() > deadline:
                raise Missed(f"within {deadline_s:.0f} s it was not so that {what} (agent state: {self.agent_state})")
            await asyncio.sleep(POLL_S)
        return found

    async def inbound_audio(self) -> Inbound:
        """All audio that came so far, as WebRTC counts it."""
        stats = await self._room.get_rtc_stats()
        received = concealed = 0
        for one in (*stats.publisher_stats, *stats.subscriber_stats):  # one connection may serve both ways
            if one.WhichOneof("stats") == "inbound_rtp" and one.inbound_rtp.stream.kind == "audio":
                received += one.inbound_rtp.inbound.total_samples_received
                concealed += one.inbound_rtp.inbound.concealed_samples
        return Inbound(received, concealed)

    # Events

    def _agent(self) -> rtc.RemoteParticipant | None:
        kind = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        return next((p for p in self._room.remote_participants.values() if p.kind == kind), None)

    def _ordered(self) -> list[Segment]:
        return sorted(self.segments.values(), key=lambda s: s.first_s)

    def _on_disconnected(self, reason: object) -> None:
        self.ended = str(reason)

    def _on_track(self, track: rtc.Track, _publication: object, _participant: object) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._start(self._listen(track), "listen")

    async def _listen(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=SAMPLE_RATE_HZ, num_channels=1, frame_size_ms=10)
        self._streams.append(stream)
        async for event in stream:
            self.hearing.add(time.monotonic(), bytes(event.frame.data))

    def _on_transcript(self, reader: rtc.TextStreamReader, identity: str) -> None:
        self._start(self._read_transcript(reader, identity), "transcript")

    async def _read_transcript(self, reader: rtc.TextStreamReader, identity: str) -> None:
        attributes = reader.info.attributes or {}
        name = attributes.get("lk.segment_id", reader.info.stream_id)
        segment = self.segments.setdefault(name, Segment(identity))
        segment.final = attributes.get("lk.transcription_final") == "true"
        text = ""  # a new stream of a segment replaces what an earlier one said
        with suppress(rtc.StreamError):  # the agent died in mid sentence: what came of it stands
            async for piece in reader:
                text += piece
                segment.text = text
        segment.final = segment.final or (reader.info.attributes or {}).get("lk.transcription_final") == "true"

    def _on_turn(self, reader: rtc.TextStreamReader, _identity: str) -> None:
        self._start(self._read_turn(reader), "turn")

    async def _read_turn(self, reader: rtc.TextStreamReader) -> None:
        try:
            told = json.loads(await reader.read_all())
        except rtc.StreamError:  # the agent died in the middle of it
            return
        self.turns.append(
            Turn(told["turn"], told["interrupted"], told.get("seconds", {}), told.get("stamps", {}), time.monotonic())
        )

    def _start(self, work: object, name: str) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work, name=f"caller {name}")  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._ended_task)

    def _ended_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.ended = self.ended or f"{task.get_name()} failed: {error!r}"


@asynccontextmanager
async def calling(http_url: str) -> AsyncIterator[Caller]:
    """Call the agent of the installation at `http_url`, and hang up at the end."""
    async with in_room(await invite(http_url)) as caller:
        yield caller


@asynccontextmanager
async def in_room(invitation: Invitation) -> AsyncIterator[Caller]:
    caller = Caller(invitation)
    try:
        await caller.join()
        yield caller
    finally:
        await caller.hang_up()
