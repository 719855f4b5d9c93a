"""The seat in which a voice sits: what server.py asks of any back-end, and what a back-end tells it.

A back-end runs in threads of its own. `admit` and the methods of an utterance are called from the server's event loop,
return at once and never block; what the back-end has to tell goes through `emit`, from whichever thread it likes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tts_plugin.engine.delays import DelayCounts
from tts_plugin.protocol import Audio, Done, Failed, FailureCode, Say, Started, Words

Event = Started | Audio | Words | Done | Failed
Emit = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Refused(Exception):
    """The engine does not take the utterance: why, and when to try again."""

    code: FailureCode
    message: str
    retryable: bool = False
    retry_after_s: float | None = None


class Voice(NamedTuple):
    id: str
    language: str
    gender: str
    description: str
    aliases: tuple[str, ...] = ()


class Statistics(NamedTuple):
    """What the engine says of itself; metrics and /health read it."""

    backend: str
    device: str
    dtype: str
    slots: int
    active: int
    admitted_total: int
    refused_total: int
    cancelled_total: int
    failed_total: int
    audio_s_total: float
    compute_s_total: float
    model_load_s: float
    last_step_age_s: float  # since a step, or a look for work, ended: above a second something stands still
    underruns_total: int = 0  # times a listener ran dry within an utterance, as far as the engine can tell
    starved_total: int = 0  # times a listener ran dry because no text came
    runaway_total: int = 0  # utterances ended because they spoke longer than their text can take
    silence_total: int = 0  # utterances ended because they stayed silent after their text
    loop_total: int = 0  # utterances ended because they said the same again and again
    short_retries_total: int = 0  # texts of three words or fewer that were made anew: too short, or silent
    pages: int = 0  # of the KV cache, of 64 positions each; 0: the back-end has none
    pages_free: int = 0  # that nobody has or was promised
    release_s_total: float = 0.0  # from the end of each utterance, cancelled or not, to its slot being free
    headroom: float | None = None  # real time ÷ the time of a step of all who speak; None: not known
    real_time: bool = True  # whether at least one utterance runs in real time
    cancel_to_free: DelayCounts = DelayCounts()  # from a cancel to nothing being computed for it any more
    mode: str = ""  # how steps are called: graphs, or eager and why; empty: there is only one way
    running: bool = True  # its threads are there
    fatal: str | None = None  # why nothing can be said any more: the process should end


class Utterance(Protocol):
    """One thing being said. Every method returns at once; after `done` or `failed` they do nothing."""

    def feed(self, delta: str) -> None: ...
    def end(self) -> None: ...
    def cancel(self) -> None: ...
    def credit(self, samples: int) -> None: ...
    def played(self, samples: int) -> None: ...


class Backend(Protocol):
    """A voice engine. `emit` gets `Started`, then `Audio` and `Words`, and at last exactly one `Done` or `Failed`."""

    name: str
    sample_rate_hz: int

    @property
    def voices(self) -> tuple[Voice, ...]: ...
    def admit(self, say: Say, emit: Emit) -> Utterance:
        """Raises Refused at once when there is no room or no such voice."""
        ...

    def statistics(self) -> Statistics: ...
    def close(self) -> None: ...
