"""A world in which a Relay speaks: a writer, engines that fail in every way, a listener's ear and a clock of their own.

Engines know how each word truly lies in their audio; the timings that they tell are off by what real ones are off by.
"""

from __future__ import annotations

import heapq
import itertools
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tts_plugin.breakers import Breakers
from tts_plugin.decisions import Ask, Decision, Drop, End, Feed, Finish, GiveUp, Open, Push, Swap
from tts_plugin.doubt import RelayLimits
from tts_plugin.protocol import Word
from tts_plugin.relay import Relay
from tts_plugin.said import ESTIMATED_SLACK_S, SLACK_S
from tts_plugin.transcript import Piece

RATE_HZ = 24_000
CONNECT_S = 1.5
MAKE_S = 0.3  # an engine makes its next piece within so much
TEXT_PAUSE_S = 0.4  # and speaks what it has when no text came for so long
AHEAD_S = 10.0
STARVED_S = 30.0
FAULTS = ("refused", "black_hole", "silent", "stall", "frozen", "cut", "full", "draining", "error", "no_voice")


@dataclass
class Sound:
    """A token of the text as it truly lies in one attempt's audio, in samples."""

    token: int
    start: int
    end: int


@dataclass
class Attempt:
    order: Open
    fault: str | None
    opened_s: float
    sounds: list[Sound] = field(default_factory=list)
    pushed: int = 0
    swapped: bool = False
    position: int = 0  # from which the next one has to go on
    in_hand_s: float = 0.0  # at the listener, when the next one took over


@dataclass
class Heard:
    start_s: float
    end_s: float


class World:
    """One schedule, decided by the seed. `run` plays it to its end."""

    def __init__(self, seed: int, *, faults: tuple[str, ...] = FAULTS, hasty: bool | None = None) -> None:
        self.rng = random.Random(seed)
        self.text = _text(self.rng)
        self.tokens = [(m.start(), m.end()) for m in re.finditer(r"\S+", self.text)]
        self.estimated = self.rng.random() < 0.3
        self.engines = self.rng.randint(1, 4)
        self.breakers = Breakers(self.engines)
        self.relay = Relay(self.breakers, RelayLimits(), RATE_HZ)
        self.now = 0.0
        self.attempts: list[Attempt] = []
        self.heard: list[Heard] = []
        self.pieces: list[Piece] = []
        self.swaps: list[Swap] = []
        self.finished = self.gave_up = False
        self.ended_s = 0.0
        self.kept = 0
        self._faults = faults
        self._faulty = [self.rng.random() < 0.5 for _ in range(self.engines)]
        self._hasty = self.rng.random() < 0.5 if hasty is None else hasty
        self._voice: Voice | None = None
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, time_s: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time_s, next(self._order), event))

    def run(self) -> None:
        self._write()
        for _ in range(100_000):
            if self.relay.over:
                return
            deadline_s = self.relay.deadline_s
            if deadline_s is not None and (not self._events or deadline_s <= self._events[0][0]):
                self.now = max(self.now, deadline_s)
                self.do(self.relay.tick(self.now))
                continue
            assert self._events, "nobody will ever do anything again"
            self.now, _, event = heapq.heappop(self._events)
            event()
        raise AssertionError("it does not end")

    def do(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            assert not self.finished, "a decision after the last one"
            assert not self.gave_up, "a decision after the last one"
            if isinstance(decision, Open):
                self._open(decision)
            elif isinstance(decision, Feed):
                if self._voice is not None:
                    self._voice.feed(decision.text)
            elif isinstance(decision, End):
                if self._voice is not None:
                    self._voice.end()
            elif isinstance(decision, Ask):
                self._ask()
            elif isinstance(decision, Push):
                self._hear(decision)
            elif isinstance(decision, Drop):
                self._drop()
            elif isinstance(decision, Swap):
                self.swaps.append(decision)
                self.attempts[-1].swapped = True
                self.attempts[-1].in_hand_s = self.heard[-1].end_s - self.now if self.heard else 0.0
            elif isinstance(decision, Finish):
                self.pieces += decision.pieces
                self.finished = True
            elif isinstance(decision, GiveUp):
                self.gave_up = True
                self.attempts[-1].position = self.relay.position

    def receive(self, attempt: int, samples: int) -> None:
        self.kept += samples
        self.do(self.relay.audio(attempt, samples, self.now))

    def _write(self) -> None:
        at_s, start = 0.0, 0
        while start < len(self.text):
            size = self.rng.randint(1, 12)
            delta = self.text[start : start + size]
            self.at(at_s, lambda delta=delta: self.do(self.relay.feed(delta, self.now)))
            start += size
            if not self._hasty:
                at_s += self.rng.choice((0.01, 0.03, 0.1, 0.1, 0.1, 1.0)) if self.rng.random() > 0.005 else 32.0
        self.ended_s = at_s
        self.at(at_s, lambda: self.do(self.relay.end(self.now)))

    def _open(self, order: Open) -> None:
        self._drop()
        if self.attempts:
            self.attempts[-1].position = order.start
        faulty = self._faulty[order.engine] and self.rng.random() < 0.8
        fault = self.rng.choice(self._faults) if faulty and self._faults else None
        if fault == "no_voice" and order.plain:
            fault = None
        self.attempts.append(Attempt(order, fault, self.now))
        number, relay = order.attempt, self.relay
        reply_s = self.now + self.rng.uniform(0.001, 0.05)
        if fault == "refused":
            self.at(reply_s, lambda: self.do(relay.lost(number, self.now)))
        elif fault == "black_hole":
            self.at(self.now + CONNECT_S, lambda: self.do(relay.lost(number, self.now)))
        elif fault in ("full", "draining", "error", "no_voice"):
            code = {"full": "at_capacity", "error": "engine_error", "no_voice": "unknown_voice"}.get(fault, fault)
            self.at(reply_s, lambda: self.do(relay.failed(number, code, self.now)))
        else:
            self._voice = Voice(self, self.attempts[-1])
            relay.opened(number, estimated=self.estimated)
            self._voice.feed(relay.text_from(order.start))
            if relay.ended:
                self._voice.end()

    def _ask(self) -> None:
        assert self._voice is not None
        attempt = self.attempts[-1]
        if attempt.fault != "frozen":
            answer_s = self.now + self.rng.uniform(0.001, 0.1)
            self.at(answer_s, lambda: self.relay.answered(attempt.order.attempt, self.now))

    def _drop(self) -> None:
        self.kept = 0
        if self._voice is not None:
            self._voice.over = True
            self._voice = None

    def _hear(self, push: Push) -> None:
        assert 0 < push.samples <= self.kept, "more is pushed than there is"
        self.kept -= push.samples
        self.pieces += push.pieces
        self.attempts[-1].pushed += push.samples
        start_s = max(self.now, self.heard[-1].end_s if self.heard else 0.0)
        self.heard.append(Heard(start_s, start_s + push.samples / RATE_HZ))


class Voice:
    """An engine at work on one utterance, until it fails."""

    def __init__(self, world: World, attempt: Attempt) -> None:
        self.over = False
        self._world, self._attempt, self._rng = world, attempt, world.rng
        self._text, self._ended, self._fed_s = "", False, world.now
        self._taken = 0  # characters that were made into sound
        self._made = 0  # samples
        self._played_out_s = 0.0
        self._dies_at = self._rng.randint(1, 6 * RATE_HZ) if attempt.fault in ("stall", "frozen", "cut") else None
        self._awake: float | None = None
        self._making = False
        if attempt.fault == "cut" and self._rng.random() < 0.3:
            world.at(world.now + self._rng.uniform(0, 5), self._die)

    def feed(self, delta: str) -> None:
        self._text += delta
        self._fed_s = self._world.now
        self._wake(self._world.now + self._rng.uniform(0.001, 0.02))
        fed_s = self._fed_s
        self._world.at(fed_s + STARVED_S, lambda: self._starve(fed_s))

    def end(self) -> None:
        self._ended = True
        self._wake(self._world.now + 0.001)

    def _wake(self, at_s: float) -> None:
        if self._attempt.fault == "silent" or (self._awake is not None and self._awake <= at_s):
            return
        self._awake = at_s
        self._world.at(at_s, self._look)

    def _look(self) -> None:
        now = self._world.now
        if self.over or self._awake is None or self._awake > now:
            return
        self._awake = None
        if self._making:  # looks again when it is done
            return
        words = self._words_at_hand()
        paused = now >= self._fed_s + TEXT_PAUSE_S
        if words and (len(words) >= 4 or self._ended or paused):
            room_s = self._played_out_s - now - AHEAD_S
            if room_s > 0:
                self._wake(now + room_s)
            else:
                make_s = self._rng.uniform(0.02, MAKE_S)
                self._making = True
                self._world.at(now + make_s, lambda: self._speak(words[:12]))
        elif words:
            self._wake(self._fed_s + TEXT_PAUSE_S)
        elif self._ended and not self._text[self._taken :].strip():
            self.over = True
            self._world.do(self._world.relay.done(self._attempt.order.attempt, now))

    def _words_at_hand(self) -> list[tuple[int, int]]:
        """Spans of tokens that are certain, counted from what was fed."""
        spans = [m.span() for m in re.finditer(r"\S+", self._text) if m.start() >= self._taken]
        if spans and not self._ended and spans[-1][1] == len(self._text):
            spans.pop()
        return spans

    def _speak(self, spans: list[tuple[int, int]]) -> None:
        self._making = False
        if self.over:
            return
        self._taken = spans[-1][1]
        message = []
        truth = self._made + int(0.02 * RATE_HZ)
        source_start = spans[0][0] - len(self._text[: spans[0][0]]) + len(self._text[: spans[0][0]].rstrip())
        for start, end in spans:
            length = int(self._rng.uniform(0.2, 0.6) * RATE_HZ)
            self._attempt.sounds.append(Sound(self._token(start), truth, truth + length))
            message += self._told(self._text[start:end], source_start, end, truth, length)
            truth, source_start = truth + length, end
        self._send(message, truth + int(0.05 * RATE_HZ))
        self._wake(self._world.now + 0.001)

    def _told(self, token: str, start: int, end: int, at: int, length: int) -> list[Word]:
        """As the engine tells it: a sum of money is two words, whose spans tear it."""
        parts = [token] if not token.startswith("$") else ["five", "dollars"]
        words = []
        for n, part in enumerate(parts):
            first, last = at + n * length // len(parts), at + (n + 1) * length // len(parts)
            middle = start + (end - start) * n // len(parts), start + (end - start) * (n + 1) // len(parts)
            words.append(Word(part, first / RATE_HZ, last / RATE_HZ, *middle))
        return words

    def _send(self, message: list[Word], until: int) -> None:
        world, number = self._world, self._attempt.order.attempt
        if world.estimated:
            message = [_early(word, self._rng) for word in message]
        else:
            message = _jittered(message, self._rng)
            world.do(world.relay.words(number, message, world.now))
        while self._made < until and not self.over:
            chunk = min(int((0.05 if not self._made else 0.2) * RATE_HZ), until - self._made)
            if self._dies_at is not None and self._made + chunk > self._dies_at:
                self._die()
                return
            self._made += chunk
            self._played_out_s = max(self._played_out_s, world.now) + chunk / RATE_HZ
            if world.estimated:
                passed = [word for word in message if word.end_s * RATE_HZ <= self._made]
                message = message[len(passed) :]
                world.do(world.relay.words(number, passed, world.now))
            world.receive(number, chunk)

    def _die(self) -> None:
        if self.over:
            return
        self.over = True
        if self._attempt.fault == "cut":
            self._world.do(self._world.relay.lost(self._attempt.order.attempt, self._world.now))

    def _starve(self, fed_s: float) -> None:
        if not (self.over or self._ended) and self._fed_s == fed_s and self._attempt.fault != "silent":
            self.over = True
            self._world.do(self._world.relay.failed(self._attempt.order.attempt, "timed_out", self._world.now))

    def _token(self, local: int) -> int:
        return next(n for n, (start, _) in enumerate(self._world.tokens) if start == local + self._attempt.order.start)


def _text(rng: random.Random) -> str:
    words = []
    for _ in range(rng.randint(1, 40)):
        letters = "".join(rng.choice("abcdefghij") for _ in range(rng.randint(1, 9)))
        words.append("$5" if rng.random() < 0.05 else letters + rng.choice(("", "", "", ",", ".")))
    return "".join(word + rng.choice((" ", " ", " ", "  ", "\n")) for word in words)


def _jittered(words: list[Word], rng: random.Random) -> list[Word]:
    """The edges between the words of one message are off; the first and the last are right."""
    edges = [words[0].start_s, *(word.end_s + rng.uniform(-SLACK_S, SLACK_S) for word in words[:-1]), words[-1].end_s]
    return [Word(word.text, edges[n], edges[n + 1], word.source_start, word.source_end) for n, word in enumerate(words)]


def _early(word: Word, rng: random.Random) -> Word:
    """VibeVoice's estimates run ahead of the sound."""
    ahead_s = rng.uniform(0, ESTIMATED_SLACK_S)
    start_s, end_s = max(0.0, word.start_s - ahead_s), max(0.01, word.end_s - ahead_s)
    return Word(word.text, start_s, end_s, word.source_start, word.source_end)
