"""Spoken scenarios: questions asked in one breath, and sentences with a pause inside."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, islice

from worker.bench.caller import Caller, Missed, Turn, calling, to_unix
from worker.bench.figures import Figure, Result
from worker.bench.microphone import Said
from worker.bench.speech import PAUSED, QUESTIONS, Speech, speak, speak_with_pause

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
        heard, over = await _ask_all(caller, list(islice(cycle(asked), turns)), result, progress)
        lateness_s = caller.microphone.worst_lateness_s
    result.figures.append(Figure("user stops speaking → agent audible", tuple(heard), "p50 ≤ 0.95 s, p95 ≤ 1.5 s"))
    result.notes.append(f"audible over the user in {over} of {turns} questions")
    result.notes.append(f"the caller's own microphone was at worst {1000 * lateness_s:.0f} ms late")
    return result


async def pauses(http_url: str, turns: int, progress: Progress) -> Result:
    """Sentences with a pause of 0.7 s inside: the agent must not be audible before the user has ended."""
    count = min(turns, len(PAUSED))
    asked = [await speak_with_pause(http_url, *clauses) for clauses in PAUSED[:count]]
    result = Result("pauses")
    async with calling(http_url) as caller:
        await caller.greeted()
        heard, over = await _ask_all(caller, asked, result, progress)
    early = result.waterfall.pop("early", [])
    result.figures += [
        Figure("sentences with a pause: audible over the user", (float(over),), "0", unit=f"of {count}"),
        Figure("sentences with a pause: last sample → agent audible", tuple(heard), "no target"),
    ]
    result.notes.append(f"the turn was committed before the user's last sample in {len(early)} of {count}")
    return result


async def _ask_all(
    caller: Caller, speeches: list[Speech], result: Result, progress: Progress
) -> tuple[list[float], int]:
    heard: list[float] = []
    over = 0
    for number, speech in enumerate(speeches, 1):
        known = len(caller.turns)
        said = await caller.say(speech.pcm)
        over += caller.hearing.audible_s(said.first_s, said.last_s) > 0
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
    return heard, over


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
