"""What the nodes of one call share so that no turn is silent: the watchdog, the phrases, and who is at work.

A phrase that is to be a piece of speech of its own travels from the language model's node to the voice's as a mark, a
text that no model writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worker.clips import Clip, Clips, Kind
from worker.watchdog import Due, Limits, Watchdog

_OPEN, _CLOSE = "\ue000", "\ue001"  # private use: nobody's language
MAX_MARKS = 32  # of a turn; older ones are forgotten
RECENT_S = 3.0  # a caller who stopped longer ago stopped for another turn

Note = Callable[..., None]


class TurnGuard:
    """`note` is JobLink.note; `clock` gives monotonic seconds."""

    def __init__(
        self, limits: Limits, clips: Clips, *, note: Note, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.clips = clips
        self._watchdog = Watchdog(limits)
        self._note = note
        self._clock = clock
        self._marks: dict[str, Clip] = {}
        self._marked = 0
        self._caller_stopped_at: float | None = None
        self.writing = 0  # language model nodes at work
        self.speaking = 0  # voice nodes at work
        self.tools = 0  # tools at work
        self.abandoned = False  # the voice gave the turn up: nothing more needs to be written

    # What happens in the call.

    def turn_began(self) -> None:
        now = self._clock()
        if not self._watchdog.active:
            self.clips.begin_turn()
            stopped = self._caller_stopped_at
            recent = stopped if stopped is not None and now - stopped < RECENT_S else None
            self._watchdog.began(now, silent_since=recent)

    def turn_ended(self) -> None:
        if self._watchdog.active:
            silences = self._watchdog.ended(self._clock())
            self._note("dead_air", seconds=round(max(silences, default=0.0), 3))

    def caller_typed(self) -> None:
        self._caller_stopped_at = None

    def caller_spoke(self) -> None:
        self._watchdog.caller_spoke(self._clock())

    def caller_paused(self) -> None:
        self._caller_stopped_at = self._clock()
        self._watchdog.caller_paused(self._caller_stopped_at)

    @contextmanager
    def at_work(self, what: str) -> Iterator[None]:
        """`what`: writing, speaking or tools."""
        if what == "speaking":
            self._watchdog.voice_opened()
        if what == "writing":
            self.abandoned = False
        setattr(self, what, getattr(self, what) + 1)
        try:
            yield
        finally:
            setattr(self, what, getattr(self, what) - 1)

    def pushed(self, seconds: float, *, word: bool) -> None:
        self._watchdog.pushed(self._clock(), seconds, word=word)

    # What is due, and for whom.

    def due(self) -> Due | None:
        return self._watchdog.due(self._clock())

    def for_writer(self, *, segment_open: bool) -> Due | None:
        """The writer says fillers only while no piece of speech is open, and always ends the turn."""
        due = self.due()
        return None if due is Due.FILLER and (segment_open or self.speaking) else due

    def for_voice(self) -> Due | None:
        due = self.due()
        return None if due is Due.APOLOGY and self.writing else due

    def for_idle(self) -> Due | None:
        """For whoever watches while only tools are at work."""
        idle = not self.writing and not self.speaking and self.tools
        return self.due() if idle else None

    # Phrases.

    def take(self, kind: Kind) -> Clip:
        """The clip to say now: told to the watchdog and the metrics."""
        clip = self.clips.get(kind)
        self.pushed(clip.seconds, word=kind != "filler")
        if kind in ("filler", "apology"):
            self._note(kind)
        return clip

    def mark(self, kind: Kind) -> str:
        """A text that stands for the clip to say now."""
        clip = self.take(kind)
        self._marked += 1
        mark = f"{_OPEN}{self._marked}{_CLOSE}"  # no sign at which a text is cut on its way
        if len(self._marks) >= MAX_MARKS:
            self._marks.pop(next(iter(self._marks)))
        self._marks[mark] = clip
        return mark

    def marked(self, text: str) -> Clip | None:
        """The clip that `text` stands for."""
        return self._marks.get(text.strip()) if text.lstrip().startswith(_OPEN) else None

    def timed_out(self, stage: str) -> None:
        self._note("deadline", stage=stage)


def without_fillers(text: str, fillers: tuple[str, ...], *, interrupted: bool) -> str:
    """What the agent said beyond its fillers. They stand at the beginning; an interrupted one may be cut short."""
    rest = text.lstrip()
    while filler := next((f for f in fillers if rest.startswith(f)), None):
        rest = rest[len(filler) :].lstrip()
    if interrupted and rest and any(f.startswith(rest.rstrip()) for f in fillers):
        return ""
    return rest
