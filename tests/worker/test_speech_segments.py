"""Where speech begins and ends, in windows of 32 ms."""

from __future__ import annotations

from worker.speech_segments import (
    BEGIN_WINDOWS,
    END_WINDOWS,
    LONG_END_WINDOWS,
    LONG_WINDOWS,
    MAX_WINDOWS,
    Edge,
    SpeechSegments,
)


def edges(*probabilities: float) -> list[Edge]:
    segments = SpeechSegments()
    return [segments.feed(p) for p in probabilities]


def test_a_single_loud_window_is_not_speech() -> None:
    assert edges(0.9, 0.1, 0.9, 0.1) == [Edge.NONE] * 4


def test_speech_begins_with_the_second_loud_window() -> None:
    assert edges(0.9, 0.9, 0.9) == [Edge.NONE, Edge.BEGIN, Edge.NONE]


def test_the_first_silent_window_is_told_once() -> None:
    assert edges(0.9, 0.9, 0.1, 0.1, 0.1)[2:] == [Edge.SILENT, Edge.NONE, Edge.NONE]


def test_half_loud_windows_go_on_with_speech_but_do_not_begin_it() -> None:
    assert edges(0.4, 0.4, 0.4) == [Edge.NONE] * 3
    assert edges(0.9, 0.9, 0.4, 0.4)[2:] == [Edge.NONE, Edge.NONE]


def test_silence_that_lasts_ends_the_segment() -> None:
    assert edges(0.9, 0.9, *[0.1] * END_WINDOWS)[-1] is Edge.END


def test_speech_within_the_silence_starts_its_count_anew() -> None:
    short = [0.1] * (END_WINDOWS - 1)
    assert edges(0.9, 0.9, *short, 0.9, *short)[-len(short) :] == [Edge.SILENT] + [Edge.NONE] * (len(short) - 1)


def test_a_long_segment_ends_with_a_shorter_silence() -> None:
    assert edges(*[0.9] * (LONG_WINDOWS + 1), *[0.1] * LONG_END_WINDOWS)[-1] is Edge.END


def test_speech_without_any_silence_is_cut_and_goes_on() -> None:
    given = edges(*[0.9] * (MAX_WINDOWS + BEGIN_WINDOWS))
    assert given.count(Edge.CUT) == 1
    assert given[-1] is Edge.BEGIN
