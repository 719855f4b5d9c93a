"""The batching engine: one thread that takes in text, chooses who runs, runs a step, and hands out what came of it.

Utterances join and leave between steps. It knows no tensor library (runner.py is its only door to one), no socket, and
not what is said. What fails in one utterance ends that one; when the device is lost, all end and `fatal` says why.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tts_plugin.engine.capacity import Capacity
from tts_plugin.engine.delays import Delays
from tts_plugin.engine.pages import OutOfPages
from tts_plugin.engine.playback import Outcome
from tts_plugin.engine.runner import DeviceLost, Made, OutOfMemory, Row, Runner
from tts_plugin.engine.scheduler import Candidate, Slots, choose
from tts_plugin.engine.sound import hear
from tts_plugin.engine.vibevoice_utterance import VibeVoiceUtterance
from tts_plugin.protocol import UtteranceClass

logger = logging.getLogger(__name__)

_LONGEST_WAIT_S = 0.5
_HUNGRY_S = 5e-3  # a step may spend on text for which a first or next sound waits
_SPARE_S = 1e-3  # and on text that is not needed yet
_FAILURES_IN_A_ROW = 3  # of steps, each row alone: then it is not the rows


class Engine:
    """`lock` is shared with the utterances. `make` of admit gets the slot and returns the utterance that has it.

    `capacity` decides how many are admitted, up to the runner's slots.
    """

    def __init__(
        self,
        runner: Runner,
        rows: int,
        *,
        capacity: Capacity | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lock = threading.Condition()  # re-entrant: events are emitted under it
        self.capacity = capacity  # None: as many as the runner has slots, however slow
        self.counts: Counter[str] = Counter()
        self.cancels = Delays()
        self.audio_s = self.compute_s = self.release_s = 0.0
        self.stepped_at = clock()
        self.fatal: str | None = None
        self._runner, self._rows, self._clock = runner, rows, clock
        self._free = list(range(runner.slots - 1, -1, -1))
        self._seated: dict[int, VibeVoiceUtterance] = {}  # slot → who has it, over or not
        self._unopened: set[int] = set()
        self._running: frozenset[int] = frozenset()  # slots of the step that is being computed
        self._closed = False
        self._failures = 0
        self._thread = threading.Thread(target=self._work, name="vibevoice-engine", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def slots(self) -> Slots:
        """How many may speak now. Those who already do are not counted out when it falls."""
        total = self._runner.slots
        return Slots.of(total if self.capacity is None else min(total, self.capacity.rows))

    @property
    def headroom(self) -> float | None:
        """Real time ÷ the time of a step of all who speak; below 1 listeners hear gaps."""
        return None if self.capacity is None else self.capacity.headroom(len(self._seated))

    @property
    def active(self) -> int:
        return len(self._seated)

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    @property
    def stopping(self) -> bool:
        return self._closed or self.fatal is not None

    def has_room(self, klass: UtteranceClass) -> bool:
        return not self.stopping and self.slots.has_room(klass, len(self._seated))

    def admit(self, make: Callable[[int], VibeVoiceUtterance]) -> VibeVoiceUtterance:
        """Under the lock and only when has_room. Raises OutOfPages."""
        slot = self._free[-1]
        self._runner.reserve(slot)
        self._free.pop()
        utterance = self._seated[slot] = make(slot)
        self._unopened.add(slot)
        self.counts["admitted"] += 1
        self.lock.notify()
        return utterance

    def on_over(self, utterance: VibeVoiceUtterance, outcome: Outcome) -> None:
        """Under the lock, from any thread: the slot is free now, or when the step that is running ends."""
        self.counts[outcome] += 1
        self.counts["underruns"] += utterance.underruns
        self.counts["starved"] += utterance.starved
        self.counts["short_retries"] += utterance.short_retries
        if utterance.progress.end in ("runaway", "silence", "loop"):
            self.counts[utterance.progress.end] += 1
        self.audio_s += utterance.audio_s
        if utterance.slot not in self._running:
            self._release(utterance)
        self.lock.notify()

    def close(self) -> None:
        """Ends everything that is being said, and the thread."""
        with self.lock:
            self._closed = True
            self._fail_all("draining", "the engine is stopping")
            self.lock.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def step(self) -> bool:
        """One tick; False when there was nothing to compute."""
        self._take_in()
        rows = self._schedule()
        if rows:
            started = self._clock()
            made = self._run(rows)
            self._emit(rows, made, self._clock() - started)
        return bool(rows)

    def _take_in(self) -> None:
        with self.lock:
            now = self.stepped_at = self._clock()
            seated = [utterance for utterance in self._seated.values() if not utterance.over]
            for slot in self._unopened:
                self._runner.open(slot, self._seated[slot].opening)
            self._unopened.clear()
        reading = [utterance for utterance in seated if utterance.wants_text]
        self._read([utterance for utterance in reading if not utterance.progress.window_ready], _HUNGRY_S)
        self._read([utterance for utterance in reading if utterance.progress.window_ready], _SPARE_S)
        for utterance in seated:
            with self._guard(utterance):
                utterance.tend(now)

    def _read(self, utterances: list[VibeVoiceUtterance], budget_s: float) -> None:
        """Text to ids, a piece of each in turn while the budget lasts: nobody's long text delays the others' sound."""
        until = self._clock() + budget_s
        queue = deque(sorted(utterances, key=lambda utterance: utterance.read_turn))
        hungry = not (queue and queue[0].progress.window_ready)
        while queue:
            utterance = queue.popleft()
            self.counts["read"] += 1
            utterance.read_turn = self.counts["read"]
            with self._guard(utterance):
                utterance.take_in()
            if utterance.wants_text and not utterance.over and utterance.progress.window_ready != hungry:
                queue.append(utterance)
            if self._clock() >= until:
                return

    def _schedule(self) -> list[Row]:
        """Chooses, and takes the memory that the chosen need; who gets none ends here."""
        with self.lock:
            now = self._clock()
            candidates: list[Candidate] = []
            for utterance in self._seated.values():
                if candidate := utterance.candidate(now):
                    candidates.append(candidate)
            rows = [Row(slot, self._seated[slot].progress.next_work()) for slot in choose(candidates, self._rows, now)]
            rows = [row for row in rows if self._prepare(row)]
            self._running = frozenset(row.slot for row in rows)
        return rows

    def _prepare(self, row: Row) -> bool:
        try:
            self._runner.prepare(row)
        except OutOfPages as error:
            self.counts["out_of_pages"] += 1
            self._seated[row.slot].fail("at_capacity", f"no memory to speak on: {error}", retryable=True)
            return False
        return True

    def _run(self, rows: Sequence[Row]) -> list[Made | None]:
        """What came of each row; None for a row that failed, which is told."""
        if self.fatal:
            return [None] * len(rows)
        try:
            made: list[Made | None] = list(self._runner.step(rows))
            self._failures = 0
        except DeviceLost as error:
            self._die(f"the device is lost: {error}")
            return [None] * len(rows)
        except Exception as error:
            if len(rows) > 1:
                return [made for row in rows for made in self._run([row])]
            self._fail_alone(rows[0], error)
            return [None]
        return made

    def _fail_alone(self, row: Row, error: Exception) -> None:
        self._failures += 1
        if isinstance(error, OutOfMemory):
            self.counts["out_of_memory"] += 1
            message = "the device has no memory for this utterance"
        else:
            message = "the voice engine failed; its log says how"
        logger.error("a step failed, tried alone", exc_info=error)
        self._seated[row.slot].fail("engine_error", message, retryable=True)
        if self._failures >= _FAILURES_IN_A_ROW:
            self._die(f"{self._failures} steps failed in a row, the last with {type(error).__name__}")

    def _emit(self, rows: Sequence[Row], made: Sequence[Made | None], seconds: float) -> None:
        now = self._clock()
        with self.lock:
            self._running = frozenset()
            self.compute_s += seconds
            if self.capacity is not None:
                self.capacity.stepped(len(rows), seconds)
            self.counts["steps"] += 1
            self.counts["rows"] += len(rows)
            ran = [self._seated.get(row.slot) for row in rows]  # who has a slot after this may be somebody else
            for utterance in ran:
                if utterance is not None and utterance.over:
                    self._release(utterance)
        sounds = iter(hear([one.samples for one in made if one and one.samples is not None]))
        for utterance, row, result in zip(ran, rows, made, strict=True):
            sound = next(sounds) if result and result.samples is not None else None
            if utterance is None or result is None or utterance.over:
                continue
            utterance.compute_s += seconds / len(rows)
            with self._guard(utterance):
                utterance.advance(row.work, sound, result.ended, now)
                if utterance.begins_again:
                    self._reopen(utterance)

    def _reopen(self, utterance: VibeVoiceUtterance) -> None:
        with self.lock:
            utterance.begins_again = False
            if not utterance.over:
                self._runner.close(utterance.slot)
                self._runner.reserve(utterance.slot)
                self._unopened.add(utterance.slot)

    @contextmanager
    def _guard(self, utterance: VibeVoiceUtterance) -> Iterator[None]:
        """What goes wrong with one utterance's text or events ends that one."""
        try:
            yield
        except Exception:
            logger.exception("utterance in slot %d failed", utterance.slot)
            utterance.fail("engine_error", "the voice engine failed; its log says how", retryable=True)

    def _release(self, utterance: VibeVoiceUtterance) -> None:
        del self._seated[utterance.slot]
        self._unopened.discard(utterance.slot)
        self._runner.close(utterance.slot)
        self._free.append(utterance.slot)
        took = self._clock() - utterance.over_at
        self.release_s += took
        if utterance.cancelled:
            self.cancels.add(took)

    def _die(self, why: str) -> None:
        logger.critical("the engine cannot go on: %s", why)
        with self.lock:
            self.fatal = why
            self._running = frozenset()
            self._fail_all("engine_error", "the engine lost its device and restarts")

    def _fail_all(self, code: str, message: str) -> None:
        for utterance in tuple(self._seated.values()):
            utterance.fail(code, message, retryable=True)  # type: ignore[arg-type]

    def _work(self) -> None:
        try:
            while not self.stopping:
                if not self.step():
                    self._wait()
        except Exception:
            logger.exception("the engine's thread failed")
            self._die("a fault of the engine itself; its log says which")

    def _wait(self) -> None:
        with self.lock:
            now = self.stepped_at = self._clock()
            due = min((u.due_at(now) for u in self._seated.values() if not u.over), default=math.inf)
            if due > now and not self._closed and not self._unopened:
                self.lock.wait(min(due - now, _LONGEST_WAIT_S))
