"""Each limit is broken by the fault it stands for, and by no other."""

from dataclasses import replace

import pytest

from worker.verify.limits import Limits
from worker.verify.report import as_json, table
from worker.verify.signal import Silence
from worker.verify.verdict import Sentence, Verdict
from worker.verify.word_errors import word_errors

TEXT = "We walked along the river until it was too dark to see the path."
GOOD = Sentence(
    text=TEXT,
    audio_s=4.4,
    silence=Silence(0.1, 0.2, 0.2),
    clipped_share=0.0,
    click=0.9,
    end_level_db=-60.0,
    ttfa_s=0.2,
    rtf=0.3,
    heard=TEXT,
    wer=word_errors(TEXT, TEXT),
)


def heard(words: str) -> Sentence:
    return replace(GOOD, heard=words, wer=word_errors(TEXT, words))


FAULTS = {
    "early end": replace(GOOD, audio_s=2.0),
    "late end": replace(GOOD, audio_s=12.0),
    "leading silence": replace(GOOD, audio_s=5.1, silence=Silence(0.8, 0.2, 0.2)),
    "trailing silence": replace(GOOD, audio_s=5.7, silence=Silence(0.1, 1.5, 0.2)),
    "pause": replace(GOOD, silence=Silence(0.1, 0.2, 1.9)),
    "clipping": replace(GOOD, clipped_share=0.01),
    "click": replace(GOOD, click=5.0),
    "cut end": replace(GOOD, end_level_db=-1.0),
    "WER": heard("something else was said altogether over there today in the dark by that path"),
    "missing end": heard("we walked along the river until it was too"),
}


def test_a_good_sentence_breaks_nothing() -> None:
    assert Verdict("heart", "en", (GOOD,)).breaches(Limits()) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_breaks_its_limit_alone(fault: str) -> None:
    breaches = list(FAULTS[fault].breaches(Limits()))
    assert [breach for breach in breaches if breach.startswith(fault)], breaches
    assert len(breaches) == 1


@pytest.mark.parametrize(
    ("all_alike", "named"),
    [
        (heard(TEXT.replace("dark", "bark").replace("river", "liver")), "WER of all"),
        (replace(GOOD, audio_s=2.8), "speaking rate"),
        (replace(GOOD, ttfa_s=2.0), "first audio"),
        (replace(GOOD, rtf=1.4), "RTF"),
    ],
)
def test_what_is_judged_over_all_sentences_is_told_once(all_alike: Sentence, named: str) -> None:
    breaches = Verdict("heart", "en", (all_alike,) * 20).breaches(Limits())
    assert len(breaches) == 1
    assert named in breaches[0]


def test_one_slow_sentence_among_twenty_is_no_breach() -> None:
    slow = replace(GOOD, ttfa_s=9.0, rtf=4.0)
    assert Verdict("heart", "en", (slow, *(GOOD,) * 19)).breaches(Limits()) == []


def test_words_that_nobody_heard_are_not_judged() -> None:
    silent = replace(GOOD, heard=None, wer=None)
    verdict = Verdict("de-spk0_man", "de", (silent,))
    assert verdict.wer is None
    assert verdict.breaches(Limits()) == []
    assert "| – |" in table([verdict], Limits())


def test_a_sentence_that_failed_is_a_breach() -> None:
    assert Verdict("heart", "en", (), ("sentence 1 was not spoken: at_capacity",)).breaches(Limits())


def test_the_report_says_which_voice_is_bad_and_names_the_limits() -> None:
    verdicts = [Verdict("good", "en", (GOOD,)), Verdict("bad", "en", (FAULTS["click"],))]
    rows = table(verdicts, Limits()).splitlines()
    assert "limits" in rows[2]
    assert rows[3].endswith("good |")
    assert rows[4].endswith("bad |")
    told = as_json(verdicts, Limits(), engine="embedded", recogniser=None, sentences=1)
    assert not told["good"]
    assert [len(voice["breaches"]) for voice in told["voices"]] == [0, 1]
    assert told["limits"]["click"] == Limits().click
