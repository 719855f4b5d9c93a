"""An engine dies or freezes in mid sentence: what is left of the sentence is said by another, every word once."""

from __future__ import annotations

import asyncio
import signal
import time

import jiwer
import pytest
from fault_rig import Rig, answers, speaking

from worker.bench.caller import SAMPLE_RATE_HZ
from worker.bench.scripted_llm import Reply
from worker.verify.recogniser import Recogniser
from worker.verify.word_errors import plain_words

TEXT = (
    "The kitchen opens at seven, and the garden is closed today. Would you like a table by the window? "
    "We have fresh bread, warm soup and a very good apple cake."
)
SLOWLY = Reply(TEXT, tokens_per_s=12.0)  # the engine is lost while the model still writes
MORE_SLOWLY = Reply(TEXT, tokens_per_s=7.0)
AT_ONCE = Reply(TEXT)


@pytest.mark.parametrize(
    ("how", "reply", "into_s", "promise_s"),
    [
        ("killed", SLOWLY, 1.0, 1.0),
        ("frozen", SLOWLY, 1.0, 1.0),
        pytest.param("killed", AT_ONCE, 0.3, 1.0, marks=pytest.mark.long),
        pytest.param("killed", MORE_SLOWLY, 2.5, 1.0, marks=pytest.mark.long),
        pytest.param("frozen", AT_ONCE, 0.1, 1.0, marks=pytest.mark.long),
        pytest.param("frozen", MORE_SLOWLY, 2.5, 1.0, marks=pytest.mark.long),
        ("both killed", SLOWLY, 1.0, 3.0),
        pytest.param("both frozen", SLOWLY, 1.0, 3.0, marks=pytest.mark.long),
    ],
)
async def test_a_sentence_is_finished_by_another_engine(
    rig: Rig, ear: Recogniser, how: str, reply: Reply, into_s: float, promise_s: float
) -> None:
    lost = rig.cluster.engines if how.startswith("both") else rig.cluster.engines[:1]
    number = signal.SIGKILL if how.endswith("killed") else signal.SIGSTOP

    async def attempt() -> float:
        async with rig.call() as caller:
            worker = rig.cluster.worker_of(caller.invitation.room)
            swaps = worker.metric("voice_speech_swaps_total")
            heard_s = await speaking(rig, caller, reply, into_s=into_s)
            for engine in lost:
                engine.send_to_all(number)
            await caller.until(lambda: TEXT in " ".join(caller.agent_text), "all of it was said", deadline_s=30)
            last_s = await caller.quiet(for_s=1.5)
            silence_s = caller.hearing.longest_silence(heard_s, last_s)
            sound = caller.hearing.samples(heard_s - 0.3, time.monotonic())
            judge(ear.hear(sound, SAMPLE_RATE_HZ))
            assert worker.metric("voice_speech_swaps_total") > swaps, "the engine had said it all"
            assert await answers(rig, caller) < 3.0  # the lost engine is not asked again and again
            return silence_s

    await rig.row(f"engine {how} {into_s:g} s into a sentence", promise_s, attempt)


def judge(heard: str) -> None:
    words = jiwer.process_words(" ".join(plain_words(TEXT)), " ".join(plain_words(heard)))
    print(f"Whisper misses {words.deletions} words, takes {words.substitutions} for others, {words.insertions} more")
    assert words.deletions == 0, heard
    assert words.insertions <= 1, heard
    assert words.substitutions <= 3, heard  # where the voice starts anew, Whisper may err


@pytest.mark.long
@pytest.mark.parametrize(("how", "into_s"), [("killed", 1.0), ("frozen", 1.0), ("frozen", 0.1)])
async def test_without_any_voice_the_caller_hears_an_apology(rig: Rig, how: str, into_s: float) -> None:
    """It was made before it was needed, so no engine is asked for it."""
    voices = (*rig.cluster.engines, rig.cluster.models)

    async def attempt() -> float:
        async with rig.call() as caller:
            heard_s = await speaking(rig, caller, MORE_SLOWLY, into_s=into_s)
            for voice in voices:
                voice.send_to_all(signal.SIGKILL if how == "killed" else signal.SIGSTOP)
            await caller.until(
                lambda: "something went wrong" in " ".join(caller.agent_text), "it apologised", deadline_s=20
            )
            last_s = await caller.quiet(for_s=1.5)
            silence_s = caller.hearing.longest_silence(heard_s, last_s)
            for voice in voices:
                voice.send_to_all(signal.SIGCONT)
                voice.start()
            for voice in voices:
                await asyncio.to_thread(voice.wait_until_ready)
            await caller.quiet(for_s=3.0)  # it may say that it cannot hear, or that it hears again
            await answers(rig, caller)
            return silence_s

    await rig.row(f"every voice {how} {into_s:g} s into a sentence", 3.0, attempt)
