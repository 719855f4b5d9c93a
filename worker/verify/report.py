"""The verdicts as a table for people and as JSON for programs. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from worker.verify.limits import Limits
from worker.verify.verdict import Sentence, Verdict, worst

_HEAD = (
    "| voice | WER | words/s | chars/s | lead s | tail s | pause s | clipped | click | end dB | length | TTFA s | RTF "
    "| verdict |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def table(verdicts: Sequence[Verdict], limits: Limits) -> str:
    """Markdown. Where a column is about sentences, the worst one is shown; TTFA and RTF are medians."""
    return "\n".join([_HEAD, _limits_row(limits), *(_row(v, limits) for v in verdicts)])


def as_json(
    verdicts: Sequence[Verdict], limits: Limits, *, engine: str, recogniser: str | None, sentences: int
) -> dict[str, Any]:
    return {
        "engine": engine,
        "recogniser": recogniser,
        "sentences": sentences,
        "limits": asdict(limits),
        "good": not any(v.breaches(limits) for v in verdicts),
        "voices": [_voice(v, limits) for v in verdicts],
    }


def _limits_row(limits: Limits) -> str:
    slow, fast = limits.words_per_s_all
    low, high = limits.duration_ratio
    return (
        f"| *limits* | {limits.wer_all:g} | {slow:g}–{fast:g} | | {limits.leading_silence_s:g} "
        f"| {limits.trailing_silence_s:g} | {limits.pause_s:g} | {limits.clipped_share:.2%} | {limits.click:g} "
        f"| {limits.end_level_db:g} | {low:g}–{high:g} | {limits.ttfa_s_all:g} | {limits.rtf_all:g} | |"
    )


def _row(verdict: Verdict, limits: Limits) -> str:
    s = verdict.sentences
    ratios = [one.duration_ratio for one in s] or [0.0]
    cells = (
        verdict.voice,
        "–" if verdict.wer is None else f"{verdict.wer:.3f}",
        f"{verdict.words_per_s:.1f}",
        f"{verdict.characters_per_s:.1f}",
        f"{worst([one.silence.leading_s for one in s]):.2f}",
        f"{worst([one.silence.trailing_s for one in s]):.2f}",
        f"{worst([one.silence.longest_pause_s for one in s]):.2f}",
        f"{worst([one.clipped_share for one in s]):.2%}",
        f"{worst([one.click for one in s]):.1f}",
        f"{max((one.end_level_db for one in s), default=0.0):.0f}",
        f"{min(ratios):.2f}–{max(ratios):.2f}",
        f"{verdict.ttfa_s:.2f}",
        f"{verdict.rtf:.2f}",
        "bad" if verdict.breaches(limits) else "good",
    )
    return f"| {' | '.join(cells)} |"


def _voice(verdict: Verdict, limits: Limits) -> dict[str, Any]:
    return {
        "voice": verdict.voice,
        "language": verdict.language,
        "wer": verdict.wer,
        "words_per_s": verdict.words_per_s,
        "characters_per_s": verdict.characters_per_s,
        "ttfa_s": verdict.ttfa_s,
        "rtf": _finite(verdict.rtf),
        "breaches": verdict.breaches(limits),
        "sentences": [_sentence(s) for s in verdict.sentences],
    }


def _sentence(sentence: Sentence) -> dict[str, Any]:
    return {
        "text": sentence.text,
        "heard": sentence.heard,
        "unheard_end_words": sentence.unheard_end,
        "wer": None if sentence.wer is None else sentence.wer.rate,
        "audio_s": sentence.audio_s,
        "duration_ratio": sentence.duration_ratio,
        **sentence.silence._asdict(),
        "clipped_share": sentence.clipped_share,
        "click": sentence.click,
        "end_level_db": sentence.end_level_db,
        "ttfa_s": sentence.ttfa_s,
        "rtf": _finite(sentence.rtf),
    }


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return value if math.isfinite(value) else None
