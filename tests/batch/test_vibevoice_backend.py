"""VibeVoice in its seat, with a small network of random weights: what the server and the plugin rely on."""

from __future__ import annotations

import gc
import random
import threading
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("torch", reason="the engine extra (torch) is not installed")

from engine_events import Events, as_float, until

from tts_plugin.engine.backend import Refused
from tts_plugin.engine.pages import OutOfPages
from tts_plugin.engine.runner import DeviceLost, OutOfMemory
from tts_plugin.engine.vibevoice import VibeVoiceBackend
from tts_plugin.health import ALIVE_S, not_alive, not_ready
from tts_plugin.protocol import Done, Failed, Say, Started

MakeBackend = Callable[..., VibeVoiceBackend]
TEXT = "The capital of France is Paris, and it is lovely. Would you like to hear more about it?"
LATENT = 3_200


@pytest.fixture(scope="module")
def backend(make_backend: MakeBackend) -> VibeVoiceBackend:
    return make_backend()


def say(backend: VibeVoiceBackend, *deltas: str, **options: object) -> Events:
    events = Events()
    utterance = backend.admit(Say("u", **{"pace": "fast", "seed": 7, **options}), events)  # type: ignore[arg-type]
    for delta in deltas:
        utterance.feed(delta)
    utterance.end()
    return events


def say_to_the_end(backend: VibeVoiceBackend, *deltas: str, **options: object) -> Events:
    events = say(backend, *deltas, **options)
    events.wait_done()
    return events


def begin(backend: VibeVoiceBackend, text: str, **options: object):
    """An utterance whose text does not end, once its first sound is there."""
    events = Events()
    utterance = backend.admit(Say("u", **{"pace": "fast", **options}), events)  # type: ignore[arg-type]
    utterance.feed(text)
    events.wait(lambda e: e.audio)
    return utterance, events


def test_a_text_is_started_then_spoken_then_done(backend: VibeVoiceBackend) -> None:
    events = say(backend, TEXT)
    done = events.wait_done()
    assert events.all[0] == Started("u", 24_000, "en-emma_woman")
    assert events.all[-1] == done
    assert done.samples == events.samples
    assert done.stats.characters == len(TEXT)
    assert np.abs(as_float(events.pcm)).max() > 0.1


def test_offsets_of_the_audio_lie_end_to_end_a_latent_each(backend: VibeVoiceBackend) -> None:
    events = say(backend, TEXT)
    events.wait_done()
    assert [audio.offset for audio in events.audio] == list(range(0, events.samples, LATENT))


@pytest.mark.parametrize("cut", [1, 3, 10])
def test_text_in_deltas_gives_the_audio_of_the_whole_sample_for_sample(backend: VibeVoiceBackend, cut: int) -> None:
    deltas = [TEXT[at : at + cut] for at in range(0, len(TEXT), cut)]
    whole = say(backend, TEXT)
    whole.wait_done()  # in one batch with others the last bits of a sample may differ
    pieces = say(backend, *deltas)
    assert pieces.wait_done().samples == whole.samples
    assert whole.pcm == pieces.pcm


def test_text_that_comes_slowly_gives_the_audio_of_the_whole(backend: VibeVoiceBackend) -> None:
    whole, slow = say(backend, TEXT), Events()
    whole.wait_done()  # in one batch with others the last bits of a sample may differ
    utterance = backend.admit(Say("u", pace="fast", seed=7), slow)
    for word in TEXT.split(" "):
        before = slow.samples
        utterance.feed(word if word == "it?" else f"{word} ")
        until(lambda before=before: slow.samples > before or backend.statistics().last_step_age_s > 0.02)
    utterance.end()
    assert slow.wait_done().samples == whole.samples
    assert whole.pcm == slow.pcm


def test_speech_starts_as_soon_as_five_ids_are_certain(backend: VibeVoiceBackend) -> None:
    events = Events()
    utterance = backend.admit(Say("u"), events)
    utterance.feed("I am glad that ")  # four words, four ids
    until(lambda: backend.statistics().last_step_age_s > 0.02)
    assert not events.audio
    utterance.feed("you ")
    events.wait(lambda e: e.audio)
    utterance.cancel()


@pytest.mark.parametrize("text", ["🙂👍", "...", "  \n ", "**", "\u202e\u200b", ""])
def test_text_without_anything_to_say_gives_a_short_silence(backend: VibeVoiceBackend, text: str) -> None:
    events = say(backend, text)
    assert events.wait_done().samples == 2_400
    assert not any(events.pcm)
    assert "".join(text[word.source_start : word.source_end] for word in events.words) == text


def test_the_source_spans_of_the_words_cover_the_whole_text(backend: VibeVoiceBackend) -> None:
    text = "Hi **there**, dear friend! 👍 All is well.  🙂 "
    events = say(backend, text)
    events.wait_done()
    assert "".join(text[word.source_start : word.source_end] for word in events.words) == text


def test_words_sound_in_order_and_within_the_audio(backend: VibeVoiceBackend) -> None:
    events = say(backend, TEXT)
    done = events.wait_done()
    edges = [edge for word in events.words for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges)
    assert edges[-1] <= done.samples / 24_000


def test_the_same_seed_gives_the_same_audio_and_another_another(backend: VibeVoiceBackend) -> None:
    first, second, other = (say_to_the_end(backend, TEXT, seed=seed) for seed in (7, 7, 8))
    assert first.pcm == second.pcm
    assert first.pcm != other.pcm


def test_without_a_seed_no_two_are_alike(backend: VibeVoiceBackend) -> None:
    first, second = say(backend, "Hello.", seed=None), say(backend, "Hello.", seed=None)
    first.wait_done()
    second.wait_done()
    assert first.pcm != second.pcm


def test_eight_at_once_sound_as_each_alone(backend: VibeVoiceBackend) -> None:
    options = [{"seed": n, "voice": ("en-emma_woman", "en-mike_man")[n % 2]} for n in range(8)]
    together = [say(backend, f"{TEXT[: 40 + 3 * n]}.", **option) for n, option in enumerate(options)]
    for events in together:
        events.wait_done()
    for n, option in enumerate(options):
        alone = say(backend, f"{TEXT[: 40 + 3 * n]}.", **option)
        alone.wait_done()
        assert alone.samples == together[n].samples
        # random weights amplify rounding from latent to latent: what is early must agree, a mix-up would not
        early = slice(0, 8 * LATENT)
        difference = np.abs(as_float(alone.pcm)[early] - as_float(together[n].pcm)[early])
        assert np.mean(difference > 1e-2) < 1e-3


def test_other_voices_are_named_with_their_language_and_aliases(backend: VibeVoiceBackend) -> None:
    assert {voice.id: voice.language for voice in backend.voices} == {
        "en-emma_woman": "en",
        "en-mike_man": "en",
        "de-spk0_man": "de",
    }
    events = say(backend, "Hello there.", voice="echo")
    events.wait_done()
    assert events.all[0].voice == "en-mike_man"


def test_an_unknown_voice_is_refused_with_those_that_are_there(backend: VibeVoiceBackend) -> None:
    with pytest.raises(Refused, match="'nobody'; allowed: .*en-emma_woman"):
        backend.admit(Say("u", voice="nobody"), Events())


def test_a_language_that_the_voice_does_not_speak_is_refused(backend: VibeVoiceBackend) -> None:
    with pytest.raises(Refused, match="language is 'de'"):
        backend.admit(Say("u", language="de"), Events())


def test_cancel_says_done_at_once_and_the_slot_is_free_after_one_step(backend: VibeVoiceBackend) -> None:
    before = backend.statistics()
    utterance, events = begin(backend, TEXT * 3)
    utterance.cancel()
    assert events.end == Done("u", events.samples, True, events.end.stats)
    until(lambda: backend.statistics().active == 0)
    after = backend.statistics()
    assert after.cancelled_total == before.cancelled_total + 1
    assert after.release_s_total - before.release_s_total < 0.5
    count = len(events.all)
    say(backend, "Next.").wait_done()
    assert len(events.all) == count, "something followed the end"


def test_two_hundred_cancelled_at_any_moment_leave_nothing(backend: VibeVoiceBackend) -> None:
    dice, pools = random.Random(4), (backend._runner._base.pool, backend._runner._tts.pool)
    free = [pool.unpromised for pool in pools]
    for _ in range(200):
        events = Events()
        try:
            utterance = backend.admit(Say("u", klass=dice.choice(["call", "file"])), events)
        except Refused:
            until(lambda: backend.statistics().active < 4)
            continue
        utterance.feed(TEXT[: dice.randrange(len(TEXT))])
        if dice.random() < 0.5:
            utterance.end()
        until(lambda: dice.random() < 0.3)
        utterance.cancel()
        assert isinstance(events.end, Done)
    until(lambda: backend.statistics().active == 0)
    assert [pool.unpromised for pool in pools] == free
    say_to_the_end(backend, "And it still speaks.")


def test_a_full_engine_refuses_files_first_and_then_calls(make_backend: MakeBackend) -> None:
    backend = make_backend(max_batch_size=4)
    taken = [backend.admit(Say(f"{n}"), Events()) for n in range(3)]
    with pytest.raises(Refused, match="3 of 3 slots for class file"):
        backend.admit(Say("f", klass="file"), Events())
    taken.append(backend.admit(Say("c"), Events()))
    with pytest.raises(Refused, match="4 of 4 slots for class call") as refused:
        backend.admit(Say("c2"), Events())
    assert refused.value.retryable
    assert refused.value.retry_after_s
    taken[0].cancel()
    backend.admit(Say("c3"), Events()).cancel()


def test_no_more_memory_refuses_and_never_breaks_a_promise(make_backend: MakeBackend) -> None:
    backend = make_backend(max_batch_size=4)
    pool = backend._runner._tts.pool
    held = pool.unpromised - backend._runner.sizes.promise.tts
    pool.promise(99, held)
    first = backend.admit(Say("1"), Events())
    with pytest.raises(Refused, match="no memory for another utterance"):
        backend.admit(Say("2"), Events())
    first.cancel()
    until(lambda: backend.statistics().active == 0)
    backend.admit(Say("3"), Events()).cancel()
    assert backend._runner._base.pool.unpromised == backend._runner._base.pool.free


def test_a_reader_that_takes_nothing_pauses_its_own_utterance_only(backend: VibeVoiceBackend) -> None:
    events = Events()
    paused = backend.admit(Say("u", pace="fast", credit_samples=5_000, seed=7), events)
    paused.feed(TEXT)
    paused.end()
    events.wait(lambda e: e.samples == 5_000)
    other = say(backend, TEXT)
    other.wait_done()
    assert events.samples == 5_000
    while events.end is None:
        before = events.samples
        paused.credit(4_999)
        events.wait(lambda e, before=before: e.samples > before or e.end)
    assert events.pcm == other.pcm


def test_nobody_runs_further_ahead_of_the_listener_than_allowed(make_backend: MakeBackend) -> None:
    backend = make_backend(lead_s=1.0)
    events = say(backend, TEXT, pace="realtime")
    events.wait(lambda e: e.samples >= 24_000 - LATENT)
    until(lambda: backend.statistics().last_step_age_s > 0.02)
    assert events.samples <= 24_000 + 2 * LATENT


def test_too_much_text_is_refused_by_the_limit(make_backend: MakeBackend) -> None:
    backend = make_backend(max_text_chars=10)
    events = say(backend, "Much too long.")
    assert events.wait_end() == Failed("u", "too_long", events.end.message)
    assert "10 characters" in events.end.message


def test_text_that_never_comes_ends_the_utterance(make_backend: MakeBackend) -> None:
    backend = make_backend(starvation_timeout_s=0.2)
    events = Events()
    backend.admit(Say("u"), events).feed("Well ")
    assert events.wait_end().code == "timed_out"


def test_speech_without_an_end_is_ended_and_counted(backend: VibeVoiceBackend) -> None:
    """Random weights never end by themselves."""
    before = backend.statistics().runaway_total
    say(backend, "Hello there.").wait_done()
    assert backend.statistics().runaway_total == before + 1


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_it_speaks_in_the_number_formats_of_graphics_cards(make_backend: MakeBackend, dtype: str) -> None:
    backend = make_backend(dtype=dtype)
    assert backend.statistics().dtype == dtype
    events = say_to_the_end(backend, "Hello there.")
    assert np.abs(as_float(events.pcm)).max() > 0.1


def test_out_of_memory_in_one_utterance_ends_that_one_alone(make_backend: MakeBackend, monkeypatch) -> None:
    backend = make_backend()
    utterances = [begin(backend, TEXT) for _ in range(3)]
    victim = utterances[1][0].slot
    real = backend._runner.step

    def step(rows):
        if any(row.slot == victim for row in rows):
            raise OutOfMemory("no memory")
        return real(rows)

    monkeypatch.setattr(backend._runner, "step", step)
    for utterance, _ in utterances:
        utterance.end()
    ends = [events.wait_end() for _, events in utterances]
    assert [type(end) for end in ends] == [Done, Failed, Done]
    assert ends[1].retryable
    assert backend.statistics().fatal is None
    monkeypatch.undo()
    say(backend, "It speaks on.").wait_done()


def test_no_page_left_ends_that_utterance_alone(make_backend: MakeBackend, monkeypatch) -> None:
    backend = make_backend()
    utterances = [begin(backend, TEXT) for _ in range(2)]
    victim = utterances[0][0].slot
    real = backend._runner.prepare

    def prepare(row):
        if row.slot == victim:
            raise OutOfPages("none left")
        real(row)

    monkeypatch.setattr(backend._runner, "prepare", prepare)
    for utterance, _ in utterances:
        utterance.end()
    end = utterances[0][1].wait_end()
    assert (end.code, end.retryable) == ("at_capacity", True)
    utterances[1][1].wait_done()


def test_a_lost_device_fails_every_utterance_with_a_retryable_error_and_says_so(
    make_backend: MakeBackend, monkeypatch
) -> None:
    backend = make_backend()
    utterances = [begin(backend, TEXT * 4) for _ in range(3)]

    def step(rows):
        raise DeviceLost("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(backend._runner, "step", step)
    for _, events in utterances:
        end = events.wait_end()
        assert (end.code, end.retryable) == ("engine_error", True)
    until(lambda: not backend._engine._thread.is_alive())
    assert backend.statistics().fatal.startswith("the device is lost: CUDA error: an illegal memory access")
    with pytest.raises(Refused) as refused:
        backend.admit(Say("u"), Events())
    assert refused.value.code == "draining"


def test_a_model_that_fails_again_and_again_is_given_up(make_backend: MakeBackend, monkeypatch) -> None:
    backend = make_backend()
    utterances = [begin(backend, TEXT) for _ in range(4)]

    def step(rows):
        raise ValueError("a fault in the code")

    monkeypatch.setattr(backend._runner, "step", step)
    for utterance, _ in utterances:
        utterance.end()
    for _, events in utterances:
        assert events.wait_end().retryable
    until(lambda: not backend._engine._thread.is_alive())
    assert "3 steps failed in a row, the last with ValueError" in backend.statistics().fatal


def test_an_utterance_cancelled_within_its_step_leaves_nothing_to_the_next_in_its_slot(
    make_backend: MakeBackend, monkeypatch
) -> None:
    """The only slot goes to the next one."""
    backend = make_backend(max_batch_size=1)
    real, taken = backend._runner.step, []
    old, _ = begin(backend, TEXT)

    def step(rows):
        made = real(rows)
        if not taken:
            old.cancel()
            taken.append(True)
        return made

    monkeypatch.setattr(backend._runner, "step", step)
    old.end()
    until(lambda: taken and backend.statistics().active == 0)
    monkeypatch.undo()
    assert say_to_the_end(backend, TEXT).pcm == say_to_the_end(backend, TEXT).pcm


def test_a_fault_of_one_utterances_text_ends_that_one_alone(make_backend: MakeBackend) -> None:
    backend = make_backend()
    good, bad = begin(backend, TEXT), begin(backend, TEXT)
    bad[0]._normaliser = None
    bad[0].feed("more")
    assert bad[1].wait_end().code == "engine_error"
    good[0].end()
    good[1].wait_done()


def test_a_step_that_does_not_return_makes_the_engine_unready_and_then_dead(
    make_backend: MakeBackend, monkeypatch
) -> None:
    backend, thaw = make_backend(), threading.Event()
    _, events = begin(backend, TEXT)
    real = backend._runner.step

    def step(rows):
        assert thaw.wait(30)
        return real(rows)

    monkeypatch.setattr(backend._runner, "step", step)
    try:
        until(lambda: not_ready(backend.statistics(), draining=False) is not None, within_s=10)
        now = backend.statistics()
        assert now.last_step_age_s < 2 * 3.0, "twice what is promised, for a busy machine"
        assert not_alive(now._replace(last_step_age_s=ALIVE_S + 0.1))
    finally:
        thaw.set()
    until(lambda: not_ready(backend.statistics(), draining=False) is None, within_s=10)


def test_closing_ends_what_is_being_said_and_the_thread(make_backend: MakeBackend) -> None:
    backend = make_backend()
    _, events = begin(backend, TEXT * 4)
    backend.close()
    assert (events.end.code, events.end.retryable) == ("draining", True)
    assert not backend._engine._thread.is_alive()


def test_memory_does_not_grow_with_utterances(make_backend: MakeBackend) -> None:
    backend = make_backend()
    pools = backend._runner._base.pool, backend._runner._tts.pool

    def round_of_eight() -> int:
        for events in [say(backend, "Hello there, you.", seed=n) for n in range(8)]:
            events.wait_done()
        until(lambda: backend.statistics().active == 0)
        gc.collect()
        return len(gc.get_objects())

    free = [pool.free for pool in pools]
    round_of_eight()
    first = round_of_eight()
    for _ in range(3):
        last = round_of_eight()
    assert [pool.free for pool in pools] == free
    assert [pool.unpromised for pool in pools] == free
    assert last - first < 200
    assert not backend._runner._seats
