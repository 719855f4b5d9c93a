"""What the engine does when the model goes wrong: a small network whose sound or end is spoiled on the way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

pytest.importorskip("torch", reason="the engine extra (torch) is not installed")

from engine_events import Events, as_float, until

from tts_plugin.engine.runner import Made
from tts_plugin.engine.short_text import other_seed
from tts_plugin.engine.vibevoice import VibeVoiceBackend
from tts_plugin.protocol import Failed, Say

LATENT = 3_200
LONG = "The capital of France is Paris, and it is lovely in the early spring of every year, as people say."


@pytest.fixture
def backend(make_backend: Callable[..., VibeVoiceBackend]) -> Iterator[VibeVoiceBackend]:
    made = make_backend(max_batch_size=2)
    yield made
    made.close()


def spoil(backend: VibeVoiceBackend, monkeypatch: pytest.MonkeyPatch, change: Callable[[int, Made], Made]) -> None:
    """`change(latent, made)` of every row."""
    real = backend._runner.step

    def step(rows):  # type: ignore[no-untyped-def]
        return [change(row.work.latent, made) for row, made in zip(rows, real(rows), strict=True)]

    monkeypatch.setattr(backend._runner, "step", step)


def say(backend: VibeVoiceBackend, text: str, end: bool = True, **options: object) -> Events:
    events = Events()
    utterance = backend.admit(Say("u", **{"pace": "fast", "seed": 7, **options}), events)  # type: ignore[arg-type]
    utterance.feed(text)
    if end:
        utterance.end()
    return events


def quiet(latent: int, made: Made) -> Made:
    return made._replace(samples=None if made.samples is None else made.samples * 1e-6)


def test_a_short_text_speaks_no_longer_than_three_times_what_its_words_need(backend: VibeVoiceBackend) -> None:
    events = say(backend, "Of course.")
    assert events.wait_done().samples == 21 * LATENT
    assert backend.statistics().runaway_total == 1
    tail = np.abs(as_float(events.pcm)[-480:])
    assert tail[-24:].max() < 0.1 * np.abs(as_float(events.pcm)).max(), "cut without a fade"


def test_a_short_text_that_ends_too_soon_is_made_once_more_and_nobody_hears_the_first(
    backend: VibeVoiceBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = say(backend, "Of course.", seed=other_seed(7))
    expected.wait_done()
    attempts = []

    def ends_at_once(latent: int, made: Made) -> Made:
        attempts.append(latent)
        return Made(None, True) if latent == 1 and attempts.count(1) == 1 else made

    spoil(backend, monkeypatch, ends_at_once)
    events = say(backend, "Of course.")
    events.wait_done()
    assert attempts.count(0) == 2
    assert backend.statistics().short_retries_total == 1
    assert events.pcm == expected.pcm


def test_a_short_text_that_stays_silent_is_made_once_more_and_then_ended(
    backend: VibeVoiceBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(backend, monkeypatch, quiet)
    events = say(backend, "Yes, of course.")
    events.wait_done()
    now = backend.statistics()
    assert (now.short_retries_total, now.silence_total, now.runaway_total) == (1, 1, 0)
    assert events.samples == 23 * LATENT
    assert len(events.words) == 3


def test_a_longer_text_is_not_held_back(backend: VibeVoiceBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(backend, monkeypatch, quiet)
    say(backend, LONG).wait_done()
    assert backend.statistics().short_retries_total == 0


def test_silence_after_the_text_is_ended_and_counted(
    backend: VibeVoiceBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(backend, monkeypatch, quiet)
    assert say(backend, "One two three four.").wait_done().samples == 23 * LATENT
    now = backend.statistics()
    assert (now.silence_total, now.runaway_total, now.loop_total) == (1, 0, 0)


def circles(latent: int, made: Made) -> Made:
    """A third of a second of loud and soft, again and again, never quite the same."""
    rng = np.random.default_rng(latent)
    at = (np.arange(LATENT) + latent * LATENT) / 24_000
    beat = np.where(at % 0.33 < 0.2, 0.3, 0.01) * (1 + 0.3 * np.sin(2 * np.pi * at / 0.33))
    return made._replace(samples=(beat * rng.uniform(-1, 1, LATENT)).astype(np.float32))


def test_speech_that_goes_round_in_circles_is_ended_and_counted(
    backend: VibeVoiceBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(backend, monkeypatch, circles)
    done = say(backend, LONG).wait_done()
    assert done.samples < 13 * 24_000
    now = backend.statistics()
    assert (now.loop_total, now.runaway_total) == (1, 0)


def test_circles_within_the_text_are_an_error_so_that_another_voice_goes_on(
    backend: VibeVoiceBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(backend, monkeypatch, circles)
    end = say(backend, LONG * 5).wait_end()
    assert isinstance(end, Failed)
    assert (end.code, end.retryable) == ("engine_error", True)
    until(lambda: backend.statistics().active == 0)
    assert backend.statistics().loop_total == 1


def test_text_that_goes_round_in_circles_may_be_spoken_so(
    backend: VibeVoiceBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(backend, monkeypatch, circles)
    say(backend, "no " * 40 + "no.").wait_done()
    assert backend.statistics().loop_total == 0


def test_a_cancelled_utterance_is_told_how_long_its_slot_took(backend: VibeVoiceBackend) -> None:
    events = Events()
    utterance = backend.admit(Say("u", pace="fast"), events)
    utterance.feed(LONG)
    events.wait(lambda e: e.audio)
    utterance.cancel()
    until(lambda: backend.statistics().active == 0)
    say(backend, "One two three four.").wait_done()
    counts = backend.statistics().cancel_to_free
    assert counts.up_to[-1] == 1
    assert 0 <= counts.total_s < 1.0
