"""Requests that arrive when they like: a Poisson process, whether or not the engine keeps up.

Latency counts from the moment at which a request was due, so that a slow engine cannot hide behind its own slowness.
Each listener plays in real time. Knows no network: the engine is in this process.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np

from tts_plugin.engine.backend import Backend, Event, Refused
from tts_plugin.protocol import Audio, Done, Failed, Say
from worker.bench.sentences import SENTENCES
from worker.bench.together import Chunk, Timing

WORDS_PER_S = 2.7  # English, as VibeVoice's presets speak it; random weights never end by themselves
LATENTS_PER_S = 7.5
AUDIBLE = 0.003 * 32767  # -50 dBFS
_TAIL_S = 60.0  # after the last arrival, for what is still being said


@dataclass(frozen=True, slots=True)
class Arrival:
    at_s: float  # after the start
    text: str
    seed: int

    @property
    def latents(self) -> int:
        """What a voice needs for this text."""
        return max(4, ceil(len(self.text.split()) / WORDS_PER_S * LATENTS_PER_S))


@dataclass(frozen=True, slots=True)
class Heard:
    """One request. Times are seconds after it was due."""

    timing: Timing
    audible_s: float | None  # the first audible sample, played as soon as it can be
    refused: bool = False
    failed: str | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """All requests of one run."""

    rate: float
    duration_s: float
    seed: int
    heard: tuple[Heard, ...]
    peak: int  # utterances at once

    @property
    def spoken(self) -> tuple[Heard, ...]:
        return tuple(one for one in self.heard if one.timing.chunks)

    @property
    def ttfa_s(self) -> tuple[float, ...]:
        return tuple(one.timing.ttfa_s for one in self.spoken)

    @property
    def audible_s(self) -> tuple[float, ...]:
        return tuple(one.audible_s for one in self.spoken if one.audible_s is not None)

    @property
    def late(self) -> int:
        return sum(one.timing.late for one in self.heard)

    @property
    def refused(self) -> int:
        return sum(one.refused for one in self.heard)

    @property
    def failed(self) -> int:
        return sum(one.failed is not None for one in self.heard)

    @property
    def frames(self) -> int:
        return sum(len(one.timing.chunks) for one in self.heard)

    @property
    def underruns(self) -> int:
        """Listeners who ran dry at least once."""
        return sum(one.timing.late > 0 for one in self.heard)


def arrivals(rate: float, duration_s: float, seed: int) -> Iterator[Arrival]:
    """Exponential gaps of mean 1 ÷ rate, texts drawn evenly. The same for the same seed."""
    drawn, at_s, number = random.Random(seed), 0.0, 0
    while (at_s := at_s + drawn.expovariate(rate)) < duration_s:
        yield Arrival(at_s, drawn.choice(SENTENCES), seed * 1_000_003 + number)
        number += 1


def offer(
    backend: Backend,
    rate: float,
    duration_s: float,
    seed: int,
    *,
    ends_itself: bool,
    progress: Callable[[str], None] = lambda _: None,
) -> Load:
    """Let the requests come and hear them out. `ends_itself`: whether the voice knows when its text is over."""
    listeners, peak = list[_Listener](), 0
    leaving: queue.SimpleQueue[_Listener | None] = queue.SimpleQueue()  # bounded by the number of requests
    porter = threading.Thread(target=_see_out, args=(leaving,), name="bench-porter", daemon=True)
    porter.start()
    plan = list(arrivals(rate, duration_s, seed))
    began_s = time.monotonic()
    for number, arrival in enumerate(plan):
        due_s = began_s + arrival.at_s
        time.sleep(max(0.0, due_s - time.monotonic()))
        listener = _Listener(due_s, None if ends_itself else arrival.latents, backend.sample_rate_hz, leaving)
        listeners.append(listener)
        listener.begin(backend, arrival)
        peak = max(peak, backend.statistics().active)
        if number and not number % max(1, len(plan) // 5):
            progress(f"{rate:g} a second: {number} of {len(plan)} requests came")
    give_up_s = time.monotonic() + _TAIL_S
    for listener in listeners:
        listener.wait(give_up_s)
    leaving.put(None)
    porter.join(_TAIL_S)
    return Load(rate, duration_s, seed, tuple(listener.result() for listener in listeners), peak)


def _see_out(leaving: queue.SimpleQueue[_Listener | None]) -> None:
    """Ends utterances from a thread of its own: the engine's tells of audio while it holds its lock."""
    while (listener := leaving.get()) is not None:
        if listener.hang_up is not None:
            listener.hang_up()


@dataclass(slots=True)
class _Listener:
    """Notes when audio comes, and leaves after `latents` of them. Called from the engine's thread."""

    due_s: float
    latents: int | None
    rate_hz: int
    leaving: queue.SimpleQueue[_Listener | None]
    chunks: list[Chunk] = field(default_factory=list)  # bounded by the text's length
    audible_at: int | None = None
    refused: bool = False
    failed: str | None = None
    over: threading.Event = field(default_factory=threading.Event)
    hang_up: Callable[[], None] | None = None

    def begin(self, backend: Backend, arrival: Arrival) -> None:
        try:
            utterance = backend.admit(Say(f"load-{arrival.seed}", seed=arrival.seed), self)
        except Refused:
            self.refused = True
            self.over.set()
            return
        self.hang_up = utterance.cancel
        utterance.feed(arrival.text)
        utterance.end()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Audio) and not self.over.is_set():
            self._take(event)
        elif isinstance(event, Failed):
            self.failed = event.code
            self.over.set()
        elif isinstance(event, Done):
            self.over.set()

    def _take(self, audio: Audio) -> None:
        self.chunks.append(Chunk(time.monotonic() - self.due_s, audio.offset, audio.samples))
        if self.audible_at is None:
            loud = np.flatnonzero(np.abs(np.frombuffer(audio.pcm, np.int16)) > AUDIBLE)
            self.audible_at = audio.offset + int(loud[0]) if len(loud) else None
        if self.latents is not None and len(self.chunks) >= self.latents:
            self.leaving.put(self)
            self.over.set()

    def wait(self, give_up_s: float) -> None:
        if not self.over.wait(max(0.0, give_up_s - time.monotonic())):
            self.failed = "not over in time"
            self.leaving.put(self)

    def result(self) -> Heard:
        timing = Timing(tuple(self.chunks), self.rate_hz)
        audible_s = None
        if self.chunks and self.audible_at is not None:
            audible_s = timing.ttfa_s + self.audible_at / self.rate_hz
        return Heard(timing, audible_s, self.refused, self.failed)


def spread(values: Sequence[float]) -> float:
    """The largest less the smallest."""
    return max(values) - min(values) if values else 0.0
