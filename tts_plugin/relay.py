"""One text said by several engines in turn: the policy, without a socket and without a clock of its own.

Told what happens (text, audio, words, failures, time), it answers what is to be done. Speech goes on at the first word
whose audio was not completely received. Audio of an unfinished word is kept back while the listener has enough to hear,
so that a word is only heard twice when the listener was about to run dry.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf

from tts_plugin.breakers import Breakers
from tts_plugin.decisions import Ask, Decision, Drop, End, Feed, Finish, GiveUp, Open, Push, Swap, SwapReason
from tts_plugin.doubt import Doubt, RelayLimits
from tts_plugin.protocol import FailureCode, Word
from tts_plugin.said import Said
from tts_plugin.transcript import Piece, Transcript

# Whole words in hand that make any voice go on while its text is open: VibeVoice wants five ids, every word has one or
# more, and the last word may not be certain yet.
ENOUGH_WORDS = 6
LAST_ENOUGH_WORDS = 80  # nobody is there to take over from the last: it is only stuck when there is no doubt


@dataclass(slots=True)
class _Attempt:
    """One engine's turn at speaking."""

    number: int
    engine: int
    plain: bool
    said: Said
    doubt: Doubt


class Relay:
    """Every method that is told something takes the time and gives the decisions, in the order to carry them out.

    What concerns an attempt that is over is ignored. After Finish or GiveUp nothing is decided any more.
    """

    def __init__(self, breakers: Breakers, limits: RelayLimits, rate_hz: int) -> None:
        self._breakers, self._limits, self._rate_hz = breakers, limits, rate_hz
        self._transcript = Transcript()
        self._attempt: _Attempt | None = None
        self._attempts = 0
        self._tried: set[int] = set()  # without a word of progress since
        self._position = 0  # everything before it was said
        self._pushed = 0  # samples
        self._played_out_s: float | None = None  # when the listener will have heard all of them
        self._ended = False
        self.over = False

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def position(self) -> int:
        """The character from which the next engine would go on."""
        return self._position

    def text_from(self, start: int) -> str:
        return self._transcript.source[start:]

    @property
    def deadline_s(self) -> float | None:
        """When `tick` is to be called if nothing happens before; None: not at all."""
        if self._attempt is None or self.over:
            return None
        current = self._attempt
        stuck_at_s = current.doubt.stuck_at(self._played_out_s, self._is_last(current))
        needed_at_s = self._needed_at() if current.said.pushed < current.said.received else None
        times = (stuck_at_s, needed_at_s, self._ask_at(current))
        return min((at_s for at_s in times if at_s is not None), default=None)

    def feed(self, delta: str, now_s: float) -> list[Decision]:
        self._transcript.feed(delta)
        if self.over:
            return []
        if self._attempt is None:
            return self._go_on(now_s)
        self._attempt.said.feed(delta)
        self._note_debt(now_s)
        return [Feed(delta)]

    def end(self, now_s: float) -> list[Decision]:
        if self.over or self._ended:
            return []
        self._ended = True
        if self._attempt is None:
            return self._go_on(now_s)
        self._note_debt(now_s)
        return [End()]

    def opened(self, attempt: int, *, estimated: bool) -> None:
        """The engine is reached; its word timings are estimates, or as good as known."""
        if (current := self._current(attempt)) is not None:
            current.said.estimated = estimated
            current.doubt.reached()

    def answered(self, attempt: int, now_s: float) -> None:
        """The engine says that it is there."""
        if (current := self._current(attempt)) is not None:
            current.doubt.answered(now_s)

    def audio(self, attempt: int, samples: int, now_s: float) -> list[Decision]:
        current = self._current(attempt)
        if current is None:
            return []
        current.doubt.heard(now_s)
        current.said.receive(samples)
        return self._progress(current, now_s)

    def words(self, attempt: int, words: Iterable[Word], now_s: float) -> list[Decision]:
        current = self._current(attempt)
        if current is None:
            return []
        current.said.tell(words)
        return self._progress(current, now_s)

    def done(self, attempt: int, now_s: float) -> list[Decision]:
        """The engine says that everything was said."""
        current = self._current(attempt)
        if current is None:
            return []
        if not self._ended or not current.said.received:
            return self._fail("failed", now_s)
        self._breakers.spoke(current.engine)
        self._position = len(self._transcript.source)
        pushed = self._push(current, current.said.received, now_s)
        return [*pushed, self._finish(self._offset_pieces(current, current.said.untold()))]

    def failed(
        self, attempt: int, code: FailureCode, now_s: float, retry_after_s: float | None = None
    ) -> list[Decision]:
        """The engine refused or ended it."""
        current = self._current(attempt)
        if current is None:
            return []
        if code in ("unknown_voice", "bad_message") and not current.plain:
            return [Drop(), self._open(current.engine, now_s, plain=True)]
        if code == "timed_out" and not self._ended:
            return self._rest(current, now_s)
        if code in ("at_capacity", "draining"):
            self._breakers.refused(current.engine, now_s, retry_after_s)
            return self._fail("refused", now_s, blame=False)
        return self._fail("failed", now_s, blame=code != "too_long")

    def lost(self, attempt: int, now_s: float) -> list[Decision]:
        """No connection, or no longer."""
        return [] if self._current(attempt) is None else self._fail("unreachable", now_s)

    def tick(self, now_s: float) -> list[Decision]:
        current = self._attempt
        if current is None or self.over:
            return []
        stuck_at_s = current.doubt.stuck_at(self._played_out_s, self._is_last(current))
        if stuck_at_s is not None and now_s >= stuck_at_s:  # first: what was kept back is said better by the next
            return self._fail("stalled", now_s)
        decisions: list[Decision] = []
        ask_at_s = self._ask_at(current)
        if ask_at_s is not None and now_s >= ask_at_s:
            current.doubt.asked(now_s)
            decisions.append(Ask())
        return decisions + self._release(current, now_s)

    def _current(self, attempt: int) -> _Attempt | None:
        return (
            self._attempt if self._attempt is not None and self._attempt.number == attempt and not self.over else None
        )

    def _progress(self, current: _Attempt, now_s: float) -> list[Decision]:
        position = current.said.settle(self._transcript.source)
        if position > self._position:
            self._position = position
            self._tried.clear()
        decisions = self._release(current, now_s)
        self._note_debt(now_s)
        return decisions

    def _release(self, current: _Attempt, now_s: float) -> list[Decision]:
        """Push what is sure, and the rest too when the listener needs it."""
        said = current.said
        needed = not said.told_any or now_s >= self._needed_at()
        return self._push(current, said.received if needed else said.sure, now_s)

    def _push(self, current: _Attempt, until: int, now_s: float) -> list[Decision]:
        count = until - current.said.pushed
        if count <= 0:
            return []
        pieces = self._offset_pieces(current, current.said.push(until))
        self._pushed += count
        self._played_out_s = max(self._played_out_s or now_s, now_s) + count / self._rate_hz
        return [Push(count, pieces)]

    def _offset_pieces(self, current: _Attempt, words: Iterable[Word]) -> tuple[Piece, ...]:
        """The words as stretches of the text, timed from the first sample of the whole speech."""
        offset_s = current.said.offset / self._rate_hz
        shifted = (replace(word, start_s=word.start_s + offset_s, end_s=word.end_s + offset_s) for word in words)
        return tuple(self._transcript.cut(shifted))

    def _fail(self, reason: SwapReason, now_s: float, *, blame: bool = True) -> list[Decision]:
        assert self._attempt is not None
        engine, self._attempt = self._attempt.engine, None
        if blame:
            self._breakers.failed(engine, now_s)
        self._tried.add(engine)
        decisions = self._go_on(now_s)
        swap = [Swap(engine, reason)] if any(isinstance(decision, Open) for decision in decisions) else []
        if decisions and isinstance(decisions[0], GiveUp):
            decisions = [GiveUp(reason)]
        return [Drop(), *swap, *decisions]

    def _go_on(self, now_s: float) -> list[Decision]:
        """What is left is said by the best engine left; nothing is opened for white space."""
        if not self.text_from(self._position).strip():
            return [self._finish(())] if self._ended else []
        engine = self._breakers.choose(now_s, self._tried)
        if engine is None:
            self.over = True
            return [GiveUp("failed")]
        return [self._open(engine, now_s)]

    def _open(self, engine: int, now_s: float, *, plain: bool = False) -> Open:
        self._attempts += 1
        said = Said(self._position, self._pushed, self._rate_hz)
        said.feed(self.text_from(self._position))
        self._attempt = _Attempt(self._attempts, engine, plain, said, Doubt(self._limits, now_s))
        self._note_debt(now_s)
        return Open(self._attempts, engine, self._position, plain)

    def _rest(self, current: _Attempt, now_s: float) -> list[Decision]:
        """The engine tired of waiting for the writer: what it had is said, and the next words open a new utterance."""
        current.said.estimated = False
        self._position = max(self._position, current.said.settle(self._transcript.source))
        pushed = self._push(current, current.said.sure, now_s)
        self._attempt = None
        return [*pushed, Drop(), *self._go_on(now_s)]

    def _finish(self, pieces: tuple[Piece, ...]) -> Finish:
        self.over = True
        self._attempt = None
        rest = self._transcript.rest(self._pushed / self._rate_hz)
        return Finish((*pieces, rest) if rest else pieces)

    def _needed_at(self) -> float:
        """When the listener will need what is kept back."""
        return -inf if self._played_out_s is None else self._played_out_s - self._limits.dry_s

    def _note_debt(self, now_s: float) -> None:
        assert self._attempt is not None
        self._attempt.doubt.owe(self._ended or self._owes_while_open(), now_s)

    def _ask_at(self, current: _Attempt) -> float | None:
        unsaid = self._ended or self.text_from(current.said.told_until).strip()
        return current.doubt.ask_at(self._played_out_s, self._is_last(current)) if unsaid else None

    def _owes_while_open(self) -> bool:
        assert self._attempt is not None
        enough = LAST_ENOUGH_WORDS if self._is_last(self._attempt) else ENOUGH_WORDS
        return self._attempt.said.words_in_hand(self._transcript.source) >= enough

    def _is_last(self, current: _Attempt) -> bool:
        """Nobody is there to take over, or only such as failed lately: then it is waited for longer."""
        other = self._breakers.choose(0.0, {*self._tried, current.engine})
        return other is None or self._breakers.state(other, 0.0) != "closed"
