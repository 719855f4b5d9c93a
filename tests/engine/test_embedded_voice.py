import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from engine_events import Events, as_float, until

from tts_plugin.engine.backend import Refused
from tts_plugin.engine.clauses import Clauses, Piece
from tts_plugin.engine.embedded import EmbeddedBackend
from tts_plugin.engine.hibari_voice import SAMPLE_RATE_HZ, HibariVoice
from tts_plugin.protocol import Done, Failed, Say, Started
from tts_plugin.text import Normaliser

MakeBackend = Callable[..., EmbeddedBackend]

QUESTION = "The capital of France is Paris, and it is lovely. Would you like to hear more about it?"
SOFT_ENDS = [
    "She thinks if half of both fish",
    "Please pass this fresh cloth to Beth.",
    "Each wrist aches with a bit of stiffness.",
]
LONG = " ".join(f"Sentence number {n} tells you something about the weather today." for n in range(1, 16))


def say(backend: EmbeddedBackend, text: str, **options: object) -> Events:
    events = Events()
    utterance = backend.admit(Say("u", **{"pace": "fast", **options}), events)  # type: ignore[arg-type]
    utterance.feed(text)
    utterance.end()
    return events


def pieces_of(text: str) -> list[Piece]:
    normaliser, clauses = Normaliser(), Clauses()
    return clauses.feed(normaliser.feed(text) + normaliser.end()) + clauses.end()


def test_a_text_is_started_then_spoken_then_done(backend: EmbeddedBackend) -> None:
    events = say(backend, QUESTION)
    done = events.wait_done()
    assert events.all[0] == Started("u", SAMPLE_RATE_HZ, "heart")
    assert events.all[-1] == done
    assert done.samples == events.samples
    assert np.abs(as_float(events.pcm)).max() > 0.1


def test_offsets_of_the_audio_lie_end_to_end(backend: EmbeddedBackend) -> None:
    events = say(backend, QUESTION)
    events.wait_done()
    at = 0
    for audio in events.audio:
        assert audio.offset == at
        at += audio.samples


def test_the_first_chunk_is_small_and_none_is_long(backend: EmbeddedBackend) -> None:
    events = say(backend, QUESTION)
    events.wait_done()
    assert events.audio[0].samples <= 0.06 * SAMPLE_RATE_HZ
    assert max(audio.samples for audio in events.audio) <= 0.2 * SAMPLE_RATE_HZ


def test_the_source_spans_of_the_words_cover_the_whole_text(backend: EmbeddedBackend) -> None:
    text = "Hi **there**, dear friend! 👍 All is well.  🙂 "
    events = say(backend, text)
    events.wait_done()
    assert "".join(text[word.source_start : word.source_end] for word in events.words) == text


def test_words_sound_in_order_and_within_the_audio(backend: EmbeddedBackend) -> None:
    events = say(backend, QUESTION)
    done = events.wait_done()
    edges = [edge for word in events.words for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges)
    assert edges[-1] <= done.samples / SAMPLE_RATE_HZ


def test_speech_starts_before_the_text_is_complete(backend: EmbeddedBackend) -> None:
    events = Events()
    utterance = backend.admit(Say("u"), events)
    utterance.feed("I am glad that you asked, ")
    events.wait(lambda e: e.audio)
    utterance.cancel()


def test_text_that_stops_in_mid_sentence_is_spoken_and_goes_on_later(backend: EmbeddedBackend) -> None:
    events = Events()
    utterance = backend.admit(Say("u"), events)
    utterance.feed("Let me look ")
    events.wait(lambda e: e.audio)
    utterance.feed("that up.")
    utterance.end()
    events.wait_done()
    assert [word.text for word in events.words] == ["Let", "me", "look", "that", "up."]


def test_a_last_word_without_white_space_is_spoken_when_the_text_pauses(backend: EmbeddedBackend) -> None:
    events = Events()
    utterance = backend.admit(Say("u"), events)
    utterance.feed("Sure.")
    events.wait(lambda e: e.audio)
    utterance.cancel()


@pytest.mark.parametrize("text", ["🙂👍", "...", "  \n ", "**", "\u202e\u200b", "", "日本語"])
def test_text_without_anything_to_say_gives_a_short_silence(backend: EmbeddedBackend, text: str) -> None:
    events = say(backend, text)
    assert events.wait_done().samples > 0
    assert "".join(text[word.source_start : word.source_end] for word in events.words) == text


def test_the_same_seed_gives_the_same_audio(backend: EmbeddedBackend) -> None:
    first, second, other = (say(backend, QUESTION, seed=seed) for seed in (7, 7, 8))
    for events in (first, second, other):
        events.wait_done()
    assert first.pcm == second.pcm
    assert first.pcm != other.pcm


def test_the_same_seed_gives_the_same_audio_however_slowly_the_text_comes(backend: EmbeddedBackend) -> None:
    events = Events()
    utterance = backend.admit(Say("u", pace="fast", seed=7), events)
    utterance.feed("Let me look ")
    until(lambda: backend.statistics().last_step_age_s > 0.4)  # longer than a pause in the text
    utterance.feed("that up.")
    utterance.end()
    whole = say(backend, "Let me look that up.", seed=7)
    assert events.wait_done().samples == whole.wait_done().samples
    assert events.pcm == whole.pcm


def test_utterances_at_once_sound_as_they_do_alone(backend: EmbeddedBackend) -> None:
    alone = say(backend, f"{QUESTION} Take 0.", seed=0)
    alone.wait_done()
    together = [say(backend, f"{QUESTION} Take {n}.", seed=n) for n in range(4)]
    for events in together:
        events.wait_done()
    assert together[0].pcm == alone.pcm


def test_cancel_frees_the_slot_at_once_and_nothing_follows(backend: EmbeddedBackend) -> None:
    events = Events()
    utterance = backend.admit(Say("u"), events)
    utterance.feed(LONG)
    events.wait(lambda e: e.audio)
    started = time.monotonic()
    utterance.cancel()
    assert backend.statistics().active == 0
    assert time.monotonic() - started < 0.02
    assert isinstance(events.all[-1], Done)
    assert events.all[-1].cancelled
    say(backend, "Something else.").wait_done()
    assert isinstance(events.all[-1], Done)


def test_a_full_engine_refuses_and_says_when_to_come_again(make_backend: MakeBackend) -> None:
    backend = make_backend(max_batch_size=2)
    for n in range(2):
        backend.admit(Say(f"u{n}"), Events())
    with pytest.raises(Refused) as refused:
        backend.admit(Say("u2"), Events())
    assert refused.value.code == "at_capacity"
    assert refused.value.retryable
    assert refused.value.retry_after_s


def test_files_leave_slots_for_calls(make_backend: MakeBackend) -> None:
    backend = make_backend(max_batch_size=4)
    for n in range(3):
        backend.admit(Say(f"f{n}", klass="file"), Events())
    with pytest.raises(Refused, match="at_capacity"):
        backend.admit(Say("f3", klass="file"), Events())
    backend.admit(Say("c", klass="call"), Events())


def test_a_call_is_served_before_files_that_came_first(make_backend: MakeBackend) -> None:
    backend = make_backend()
    files = [say(backend, LONG, klass="file") for _ in range(3)]
    call = say(backend, "Hello there.", klass="call")
    call.wait_done()
    assert not any(events.end for events in files)


def test_who_has_nothing_to_hear_is_served_before_those_who_have(backend: EmbeddedBackend) -> None:
    others = [say(backend, LONG) for _ in range(8)]
    for events in others:
        events.wait(lambda e: e.audio)
    admitted_at = time.monotonic()
    late = say(backend, "Hello there.")
    first_audio_at = late.wait(lambda e: e.audio and e.first_audio_at)
    between = [at for e in others for at, kind in zip(e.at, e.kinds, strict=False) if kind == "Words"]
    assert sum(admitted_at < at < first_audio_at for at in between) <= 3  # those that the two threads were busy with


def test_an_unknown_voice_is_refused_and_the_allowed_ones_are_named(backend: EmbeddedBackend) -> None:
    with pytest.raises(Refused, match="unknown_voice") as refused:
        backend.admit(Say("u", voice="bob"), Events())
    assert "'bob'" in refused.value.message
    assert "heart" in refused.value.message


@pytest.mark.parametrize(
    "voice", ["default", "heart", "en-Emma_woman", "en-emma_woman", "in-Samuel_man", "alloy", "Nova"]
)
def test_every_english_voice_name_is_spoken_by_the_embedded_voice(backend: EmbeddedBackend, voice: str) -> None:
    assert say(backend, "Hi.", voice=voice).wait(lambda e: e.all)[0] == Started("u", SAMPLE_RATE_HZ, "heart")


def test_without_credit_an_utterance_pauses_and_the_others_go_on(backend: EmbeddedBackend) -> None:
    stuck = Events()
    utterance = backend.admit(Say("u", pace="fast", credit_samples=10_000), stuck)
    utterance.feed(LONG)
    utterance.end()
    stuck.wait(lambda e: e.samples == 10_000)
    say(backend, QUESTION).wait_done()
    assert stuck.samples == 10_000
    utterance.credit(5_000)
    stuck.wait(lambda e: e.samples == 15_000)
    utterance.cancel()


def test_a_realtime_utterance_stays_close_to_its_listener(make_backend: MakeBackend) -> None:
    backend = make_backend(ahead_s=2.0)
    events = Events()
    utterance = backend.admit(Say("u"), events)
    utterance.feed(LONG)
    utterance.end()
    events.wait(lambda e: e.samples >= 2.5 * SAMPLE_RATE_HZ)
    elapsed = time.monotonic() - events.first_audio_at
    assert events.samples <= (2.0 + elapsed + 0.25) * SAMPLE_RATE_HZ
    utterance.cancel()


def test_a_listener_that_plays_nothing_is_not_run_ahead_of(make_backend: MakeBackend) -> None:
    backend = make_backend(ahead_s=1.0)
    events = Events()
    utterance = backend.admit(Say("u"), events)
    utterance.feed(LONG)
    events.wait(lambda e: e.samples > 0.7 * SAMPLE_RATE_HZ)
    for _ in range(20):
        utterance.played(0)
        threading.Event().wait(0.02)
    assert events.samples <= 1.2 * SAMPLE_RATE_HZ
    utterance.cancel()


def test_an_utterance_without_text_is_ended(make_backend: MakeBackend) -> None:
    backend = make_backend(starvation_timeout_s=0.2)
    events = Events()
    backend.admit(Say("u"), events)
    end = events.wait_end()
    assert isinstance(end, Failed)
    assert end.code == "timed_out"
    assert backend.statistics().active == 0


def test_a_text_that_is_too_long_is_refused_with_what_is_allowed(make_backend: MakeBackend) -> None:
    end = say(make_backend(max_text_chars=20), "x" * 21).wait_end()
    assert isinstance(end, Failed)
    assert end.code == "too_long"
    assert "20" in end.message


def test_closing_ends_what_is_being_said(make_backend: MakeBackend) -> None:
    backend = make_backend()
    events = Events()
    backend.admit(Say("u"), events)
    backend.close()
    end = events.wait_end()
    assert isinstance(end, Failed)
    assert (end.code, end.retryable) == ("draining", True)
    with pytest.raises(Refused, match="draining"):
        backend.admit(Say("v"), Events())


def test_statistics_count_what_happened(make_backend: MakeBackend) -> None:
    backend = make_backend()
    done = say(backend, "Hello there.").wait_done()
    backend.admit(Say("u"), Events()).cancel()
    now = backend.statistics()
    assert (now.admitted_total, now.cancelled_total, now.active) == (2, 1, 0)
    assert now.audio_s_total == pytest.approx(done.samples / SAMPLE_RATE_HZ)
    assert now.compute_s_total > 0


def test_there_is_no_long_hole_between_pieces(backend: EmbeddedBackend) -> None:
    events = say(backend, "One two three four, five six seven eight. Nine ten eleven twelve.")
    events.wait_done()
    assert longest_silence_s(as_float(events.pcm)) < 0.45


def test_silence_at_both_ends_is_short(hibari: HibariVoice) -> None:
    audio = as_float(hibari.speak(pieces_of("Hello there.")[0], np.random.default_rng(1)).pcm.tobytes())
    loud = np.flatnonzero(np.abs(audio) > 0.02)
    assert loud[0] / SAMPLE_RATE_HZ < 0.08
    assert (len(audio) - loud[-1]) / SAMPLE_RATE_HZ < 0.15


def test_pieces_begin_and_end_at_nothing_so_that_joins_do_not_click(hibari: HibariVoice) -> None:
    for piece in pieces_of(QUESTION):
        pcm = hibari.speak(piece, np.random.default_rng(1)).pcm
        assert abs(int(pcm[0])) < 40
        assert abs(int(pcm[-1])) < 40


@pytest.mark.timeout(120)
@pytest.mark.parametrize("text", [*SOFT_ENDS, QUESTION])
def test_trimming_and_joining_lose_no_word(
    backend: EmbeddedBackend, word_error_rate: Callable[[str, bytes], float], text: str
) -> None:
    events = say(backend, text, seed=1)
    events.wait_done()
    silence = bytes(2 * SAMPLE_RATE_HZ // 2)
    assert word_error_rate(text, silence + events.pcm + silence) <= 0.15


def longest_silence_s(audio: np.ndarray) -> float:
    loud = np.flatnonzero(np.abs(audio) > 0.01)
    return float(np.diff(loud).max()) / SAMPLE_RATE_HZ
