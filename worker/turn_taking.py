"""How long to wait after the caller's last word: what was said so far tells whether more will come.

The end-of-turn model hears the melody only (it takes 1.2 s of sound) and cannot tell "When I came home yesterday" from
a whole sentence; the words can. Pure, English only; for other languages one middle pair of delays holds.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple


class Reading(Enum):
    COMPLETE = "complete"  # a question, or a short reply: nothing more is likely
    OPEN = "open"  # a statement: it may go on
    UNFINISHED = "unfinished"  # it stops where no sentence ends


class Delays(NamedTuple):
    """Seconds of silence: `min_s` when the end-of-turn model says that the turn is over, `max_s` when it does not."""

    min_s: float
    max_s: float


# A pause inside a sentence lasts about 0.7 s; that the caller goes on is known 0.1 s later. So 0.85 outlasts it.
DELAYS = {
    Reading.COMPLETE: Delays(0.2, 0.6),
    Reading.OPEN: Delays(0.85, 1.2),
    Reading.UNFINISHED: Delays(1.2, 1.6),
}
OTHER_LANGUAGES = Delays(0.5, 1.5)


def delays(transcript: str, language: str = "en") -> Delays:
    """How long to wait after `transcript`, the caller's words since their last pause."""
    return DELAYS[read(transcript)] if language.startswith("en") else OTHER_LANGUAGES


def read(transcript: str) -> Reading:
    """What the words, without their melody, say of what will follow."""
    words = re.findall(r"[a-z0-9']+", transcript.lower().replace("’", "'"))
    if not words:
        return Reading.OPEN
    if _stops_short(words) or transcript.rstrip().endswith((",", "-", "–", "—", "...", "…", ":")):
        return Reading.UNFINISHED
    if _is_question(words) or _is_reply(words):
        return Reading.COMPLETE
    if _is_clause_of_more(words, transcript) or _is_dictation(words):
        return Reading.UNFINISHED
    return Reading.COMPLETE if transcript.rstrip().endswith("?") else Reading.OPEN


def _stops_short(words: list[str]) -> bool:
    if words[-1] in _NEVER_LAST:
        return len(words) > 1 or words[-1] in _HESITATION
    return len(words) > 2 and words[-1] in _RECEIVER and words[-2] in _GIVING


def _is_question(words: list[str]) -> bool:
    if words[0] in _LINKING and len(words) > 1:
        words = words[1:]
    if words[0] in _ASKING_ONLY or words[0] in _AUXILIARY:
        return True
    return len(words) > 2 and words[0] in _ASKING_OR_JOINING and words[1] in _AUXILIARY


def _is_reply(words: list[str]) -> bool:
    return len(words) <= 4 and words[0] in _REPLIES


def _is_clause_of_more(words: list[str], transcript: str) -> bool:
    """A subordinate clause, or a subject, that stands alone."""
    if words[0] in _LINKING and len(words) > 1:
        words = words[1:]
    if words[0] in _JOINING:
        return "," not in transcript and len(words) < 12
    announces = words[0] == "the" and len(words) > 1 and words[1] in _ANNOUNCED
    return announces and not _VERBS_OF_BEING.intersection(words)


def _is_dictation(words: list[str]) -> bool:
    """Numbers are dictated in groups, with pauses between them."""
    return len(words) > 1 and all(_is_number(word) for word in words[-2:])


def _is_number(word: str) -> bool:
    return word.isdigit() or word in _DIGITS


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_HESITATION = frozenset({"um", "uh", "er", "erm", "hmm", "well"})
_NEVER_LAST = _HESITATION | _set(
    "a an the my your his her its our their these those and or but because if when while although though since unless "
    "that's which who whose whom of to for from with without about into onto between than as at by am be been may "
    "might must shall very really each every i he she we they i'm i'd i've"
)
_RECEIVER = frozenset({"me", "us", "him", "her", "them"})
_GIVING = _set("tell show give explain send ask bring teach")
_ASKING_ONLY = _set("what who whose whom which where why how what's who's where's how's")
_ASKING_OR_JOINING = frozenset({"when"})
_AUXILIARY = _set(
    "is are was were am do does did can could will would should shall may might must have has had isn't aren't don't "
    "doesn't didn't can't couldn't won't wouldn't"
)
_JOINING = _set("when if because before after while although though since unless until once whenever")
_LINKING = frozenset({"and", "but", "so", "okay", "well", "then"})
_ANNOUNCED = _set("reason thing problem question point issue trouble")
_VERBS_OF_BEING = frozenset({"is", "was", "are", "were", "isn't", "wasn't"})
_REPLIES = _set("yes no yeah yep nope sure okay ok thanks thank hello hi hey stop wait right correct bye")
_DIGITS = _set("zero oh one two three four five six seven eight nine ten double")
