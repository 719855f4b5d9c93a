"""The state machine of one utterance, without a model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tts_plugin.engine.utterance import CAP_LATENTS, CAP_LATENTS_PER_ID, SILENT_LATENTS, Progress


def walk(progress: Progress, *, eos_at: int | None = None, most: int = 500) -> list[tuple[int, int, bool]]:
    """(latent, ids read, fed back) of each step until the end or a pause."""
    done = []
    for _ in range(most):
        if not progress.runnable:
            break
        work = progress.next_work()
        ended = eos_at is not None and work.feed_back and work.latent - 1 == eos_at
        progress.advance(work, ended=ended)
        if not ended and work.speak:
            done.append((work.latent, len(work.text), work.feed_back))
    return done


def whole(ids: int, prompt: int = 10, max_length: int = 8192, **options) -> Progress:
    progress = Progress(prompt, max_length, **options)
    progress.add(range(ids))
    progress.end_text()
    return progress


def test_five_ids_then_six_latents_then_the_next_five() -> None:
    steps = walk(whole(12), eos_at=19)
    assert [ids for _, ids, _ in steps] == [5, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 2] + [0] * 7
    assert [back for _, _, back in steps] == [False] + [True] * 19


def test_nothing_is_made_after_the_model_says_that_it_is_done() -> None:
    progress = whole(100)
    assert len(walk(progress, eos_at=3)) == progress.latents == 4
    assert progress.end == "eos"
    assert not progress.runnable


def test_fewer_than_five_ids_wait_until_the_text_is_over() -> None:
    progress = Progress(10, 8192)
    progress.add([1, 2, 3, 4])
    assert progress.starving
    assert not progress.runnable
    progress.end_text()
    assert progress.runnable
    assert progress.next_work().text == (1, 2, 3, 4)


def test_a_window_that_has_begun_is_spoken_without_more_text() -> None:
    progress = Progress(10, 8192)
    progress.add(range(5))
    assert len(walk(progress)) == 6
    assert progress.starving


def test_text_without_an_id_is_empty() -> None:
    progress = Progress(10, 8192)
    assert not progress.empty
    progress.end_text()
    assert progress.empty


def test_the_latent_that_no_longer_fits_is_still_made() -> None:
    progress = whole(5, prompt=10, max_length=17)
    assert len(walk(progress)) == 3  # 15 with the text, the third is the eighteenth
    assert (progress.end, progress.length) == ("max_length", 18)


def test_text_that_does_not_fit_ends_after_the_last_latent_was_heard() -> None:
    progress = whole(10, prompt=10, max_length=22)
    assert len(walk(progress)) == 6
    assert (progress.end, progress.length) == ("max_length", 26)


def test_speech_that_its_text_cannot_take_is_ended_and_named() -> None:
    progress = whole(7)
    assert len(walk(progress)) == CAP_LATENTS + 7 * CAP_LATENTS_PER_ID
    assert progress.end == "runaway"


def test_speech_that_went_silent_after_its_text_was_read_is_ended() -> None:
    progress = whole(5)
    walk(progress, most=30)
    progress.stop_if_silent(SILENT_LATENTS - 1)
    assert progress.end is None
    progress.stop_if_silent(SILENT_LATENTS)
    assert progress.end == "silence"


def test_silence_while_text_still_comes_is_a_pause() -> None:
    progress = Progress(10, 8192)
    progress.add(range(5))
    progress.stop_if_silent(SILENT_LATENTS)
    assert progress.end is None


def test_the_cap_does_not_count_while_text_still_comes() -> None:
    progress = Progress(10, 8192)
    progress.add(range(5))
    for _ in range(60):
        walk(progress)
        progress.add(range(5))
    assert progress.end is None
    assert progress.latents == 360


@given(st.integers(1, 60), st.lists(st.integers(1, 9), max_size=40), st.integers(20, 200))
def test_the_steps_do_not_depend_on_how_the_ids_come(count, portions, max_length) -> None:
    at_once, portioned = whole(count, max_length=max_length), Progress(10, max_length)
    expected, steps, given_ids = walk(at_once), [], 0
    for portion in portions:
        portioned.add(range(given_ids, min(count, given_ids + portion)))
        given_ids = min(count, given_ids + portion)
        steps += walk(portioned, most=2)
    portioned.add(range(given_ids, count))
    portioned.end_text()
    steps += walk(portioned)
    assert steps == expected
    assert (portioned.end, portioned.length) == (at_once.end, at_once.length)
