"""Spoken scenarios: questions asked in one breath, and sentences with a pause inside."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, islice

from worker.bench.caller import Caller, Missed, Turn, calling, to_unix
from worker.bench.figures import Figure, Result
from worker.bench.microphone import Said
from worker.bench.speech import PAUSED, QUESTIONS, Speech, speak, speak_apart, speak_with_pause

Progress = Callable[[str], None]

LONGEST_ANSWER_S = 6.0  # the rest of a longer answer is cut by the button: it adds nothing to the figures
ANSWER_S = 15.0
STAGES = {
    "user_stopped": "the VAD's end of speech",
    "transcript": "transcript",
    "turn_committed": "turn committed",
    "llm_first": "first text of the LLM",
    "voice_first": "first audio of the voice",
    "speaking": "agent starts to play",
}
HEARD = "**heard by the caller**"


async def voice(http_url: str, turns: int, progress: Progress) -> Result:
    """Questions in one breath: the user's last sample sent → the agent's first audible sample received."""
    asked = [await speak(http_url, q) for q in QUESTIONS[: min(turns, len(QUESTIONS))]]
    result = Result("voice", waterfall={name: [] for name in (*STAGES.values(), HEARD)})
    async with calling(http_url) as caller:
        await caller.greeted()
        heard, over_s = await _ask_all(caller, list(islice(cycle(asked), turns)), result, progress)
        lateness_s = caller.microphone.worst_lateness_s
    result.figures.append(Figure("user stops speaking → agent audible", tuple(heard), "p50 ≤ 0.95 s, p95 ≤ 1.5 s"))
    result.notes.append(f"audible over the user in {sum(s > 0 for s in over_s)} of {turns} questions")
    result.notes.append(f"the caller's own microphone was at worst {1000 * lateness_s:.0f} ms late")
    return result


async def pauses(http_url: str, turns: int, progress: Progress) -> Result:
    """Sentences with a pause of 0.7 s inside: the agent must not be audible before the user has ended."""
    count = min(turns, len(PAUSED))
    result = Result("pauses")
    for kind, make, reach in (
        ("in one go, its pause drawn out", speak_with_pause, "0"),
        ("as two clauses apart", speak_apart, "no target: the first sounds complete"),
    ):
        asked = [await make(http_url, *clauses) for clauses in PAUSED[:count]]
        async with calling(http_url) as caller:
            await caller.greeted()
            heard, over_s = await _ask_all(caller, asked, result, progress)
        over = sum(seconds > 0 for seconds in over_s)
        early = result.waterfall.pop("early", [])
        result.figures += [
            Figure(f"sentence spoken {kind}: audible over the user", (float(over),), reach, unit=f"of {count}"),
            Figure(f"sentence spoken {kind}: last sample → agent audible", tuple(heard), "no target"),
        ]
        result.notes.append(
            f"spoken {kind}: the turn was committed before the user's last sample in {len(early)} of {count}; "
            f"audible over the user for at most {max(over_s):.2f} s"
        )
    return result


async def _ask_all(
    caller: Caller, speeches: list[Speech], result: Result, progress: Progress
) -> tuple[list[float], list[float]]:
    """For each: seconds from its last sample to the agent's first, and seconds of the agent over the user."""
    heard: list[float] = []
    over_s: list[float] = []
    for number, speech in enumerate(speeches, 1):
        known = len(caller.turns)
        said = await caller.say(speech.pcm)
        over_s.append(caller.hearing.audible_s(said.first_s, said.last_s))
        try:
            first_s = await caller.heard_after(said.last_s, deadline_s=ANSWER_S)
        except Missed as error:
            _no_answer(caller, result, error)
            progress(f"{number}/{len(speeches)} no answer: {speech.text}")
            continue
        heard.append(first_s - said.last_s)
        progress(f"{number}/{len(speeches)} heard after {heard[-1]:.2f} s: {speech.text}")
        await hear_out(caller, first_s)
        _note_stages(caller.turns[known:], said, first_s, result)
    return heard, over_s


def _no_answer(caller: Caller, result: Result, error: Missed) -> None:
    if caller.ended is not None:
        raise error
    result.failed += 1


async def hear_out(caller: Caller, heard_s: float) -> None:
    """Wait for the end of the answer that became audible at `heard_s`; press the button when it is a long one."""
    try:
        await caller.over(heard_s, deadline_s=LONGEST_ANSWER_S)
    except Missed:
        await caller.interrupt()
        await caller.over(heard_s, deadline_s=10.0)


def _note_stages(told: list[Turn], said: Said, heard_s: float, result: Result) -> None:
    stopped = to_unix(said.last_s)
    for turn in told:
        if turn.stamps.get("turn_committed", stopped) < stopped:
            result.waterfall.setdefault("early", []).append(turn.stamps["turn_committed"] - stopped)
    turn_heard = _turn_of(told, to_unix(heard_s))
    if turn_heard is None or HEARD not in result.waterfall:
        return
    for name, stage in STAGES.items():
        if name in turn_heard.stamps:
            result.waterfall[stage].append(turn_heard.stamps[name] - stopped)
    result.waterfall[HEARD].append(heard_s - said.last_s)


def _turn_of(turns: list[Turn], heard_unix_s: float) -> Turn | None:
    """The turn whose playing began last before it was heard (0.2 s for what two clocks may differ)."""
    begun = [t for t in turns if t.stamps.get("speaking", float("inf")) <= heard_unix_s + 0.2]
    return max(begun, key=lambda t: t.stamps["speaking"], default=None)
