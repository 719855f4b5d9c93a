"""What the recogniser is asked, and which of its answers count."""

from __future__ import annotations

import json

from worker.ear import PARTIAL_WINDOWS, Ear, Message, Said
from worker.speech_segments import BEGIN_WINDOWS, END_WINDOWS, PRE_ROLL_WINDOWS

LOUD, QUIET = 0.9, 0.0


class Call:
    """An ear, the messages it wants sent, and what it told."""

    def __init__(self) -> None:
        self.ear = Ear()
        self.sent: list[Message] = []
        self.windows = 0

    def hear(self, probability: float, count: int) -> None:
        for _ in range(count):
            self.windows += 1
            self.sent += self.ear.hear(bytes([self.windows % 256]) * 4, probability, now_s=float(self.windows))

    def asked(self) -> list[str]:
        return [kind for kind, _ in self.questions()]

    def questions(self) -> list[tuple[str, int]]:
        parsed = [json.loads(message) for message in self.sent if isinstance(message, str)]
        return [(message["type"], message["id"]) for message in parsed if message["type"] != "start"]

    def answer(self, text: str, kind: str, number: int) -> None:
        self.ear.answered({"type": kind, "id": number, "text": text})

    def told(self) -> list[tuple[str, str]]:
        return [(said.kind, said.text) for said in self.ear.told if said.kind != "begin"]


def silent_after_speech() -> Call:
    call = Call()
    call.hear(LOUD, 14)
    call.hear(QUIET, 1)
    return call


def test_a_segment_starts_a_little_before_its_first_loud_window() -> None:
    call = Call()
    call.hear(QUIET, 20)
    call.hear(LOUD, BEGIN_WINDOWS)
    assert call.sent == ['{"type":"start"}', b"".join(bytes([n]) * 4 for n in range(15, 23))]
    assert PRE_ROLL_WINDOWS + BEGIN_WINDOWS == 8
    assert call.ear.told == [Said("begin")]


def test_words_are_asked_for_at_the_first_silent_window() -> None:
    assert silent_after_speech().asked() == ["preflight"]


def test_the_final_is_the_preflight_without_another_question() -> None:
    call = silent_after_speech()
    call.answer("hello there", *call.questions()[-1])
    call.hear(QUIET, END_WINDOWS)
    assert call.asked() == ["preflight"]
    assert call.told() == [("preflight", "hello there"), ("final", "hello there")]
    assert not call.ear.is_owed


def test_a_late_answer_is_the_final_at_once() -> None:
    call = silent_after_speech()
    call.hear(QUIET, END_WINDOWS)
    assert call.ear.is_owed
    assert call.ear.waits_since() == 14 + END_WINDOWS
    call.answer("hello there", *call.questions()[-1])
    assert call.told() == [("final", "hello there")]
    assert call.ear.waits_since() is None


def test_speech_that_goes_on_makes_the_preflight_void() -> None:
    call = silent_after_speech()
    call.hear(LOUD, 1)
    call.answer("hello", "preflight", 1)
    assert call.told() == []
    call.hear(QUIET, 1)
    call.answer("hello there", "preflight", 2)
    call.hear(QUIET, END_WINDOWS)
    assert call.told() == [("preflight", "hello there"), ("final", "hello there")]


def test_partials_are_asked_for_while_speech_lasts_and_told_as_interims() -> None:
    call = Call()
    call.hear(LOUD, BEGIN_WINDOWS + PARTIAL_WINDOWS)
    assert call.questions() == [("partial", 1)]
    call.answer("hello", "partial", 1)
    assert call.told() == [("interim", "hello")]


def test_a_partial_that_comes_after_silence_began_is_not_told() -> None:
    call = Call()
    call.hear(LOUD, BEGIN_WINDOWS + PARTIAL_WINDOWS)
    call.hear(QUIET, 1)
    call.answer("hel", "partial", 1)
    assert call.told() == []


def test_a_final_that_is_late_does_not_hide_the_next_segment() -> None:
    call = silent_after_speech()
    call.hear(QUIET, END_WINDOWS)
    call.hear(LOUD, 14)
    call.hear(QUIET, 1)
    call.answer("one", "preflight", 1)
    call.answer("two", "preflight", 2)
    assert call.told() == [("final", "one"), ("preflight", "two")]


def test_audio_that_ends_in_mid_speech_is_asked_for() -> None:
    call = Call()
    call.hear(LOUD, 5)
    call.sent += call.ear.end(now_s=9.0)
    assert call.asked() == ["final"]
    assert call.ear.is_owed


def test_the_noise_of_a_click_is_not_told() -> None:
    call = Call()
    call.hear(LOUD, 3)
    call.hear(QUIET, 1)
    call.answer("You", "preflight", 1)
    call.hear(QUIET, END_WINDOWS)
    assert call.told() == []


def test_a_short_yes_is_told() -> None:
    call = Call()
    call.hear(LOUD, 3)
    call.hear(QUIET, 1)
    call.answer("Yes.", "preflight", 1)
    assert call.told() == [("preflight", "Yes.")]


def test_a_new_connection_gets_the_segment_and_its_open_question_again() -> None:
    call = silent_after_speech()
    segment = b"".join(message for message in call.sent if isinstance(message, bytes))
    again = list(call.ear.again(now_s=0.0))
    assert again[:2] == ['{"type":"start"}', segment]
    assert json.loads(again[2]) == {"type": "preflight", "id": 2}
    call.answer("hello", "preflight", 2)
    assert call.told() == [("preflight", "hello")]


def test_a_new_connection_gets_the_final_that_is_still_due() -> None:
    call = silent_after_speech()
    call.hear(QUIET, END_WINDOWS)
    again = list(call.ear.again(now_s=50.0))
    assert json.loads(again[-1]) == {"type": "final", "id": 2}
    assert call.ear.waits_since() == 50.0
    call.answer("hello", "final", 2)
    assert call.told() == [("final", "hello")]


def test_a_new_connection_in_silence_gets_nothing() -> None:
    call = Call()
    call.hear(QUIET, 10)
    assert list(call.ear.again(now_s=0.0)) == []
