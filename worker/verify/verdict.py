"""What was measured of a sentence and of a voice, and which limits it breaks. Pure.

A breach is a line for people: where, what was measured, what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from worker.verify.limits import Limits
from worker.verify.signal import Silence, clipped_share, end_level_db, silence, worst_click
from worker.verify.spoken import Spoken
from worker.verify.word_errors import WordErrors, plain_words, unheard_end, word_errors

CHARACTERS_PER_S = 15.0  # of English at 150 to 170 words a minute, the space counted
SHORT_WORDS = 3  # whose WER alone says nothing, and whose length varies


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of one voice, measured. `heard` and `wer` are None where nobody listened."""

    text: str
    audio_s: float
    silence: Silence
    clipped_share: float
    click: float
    end_level_db: float
    ttfa_s: float
    rtf: float
    heard: str | None = None
    wer: WordErrors | None = None

    @property
    def speech_s(self) -> float:
        return max(0.0, self.audio_s - self.silence.leading_s - self.silence.trailing_s)

    @property
    def duration_ratio(self) -> float:
        return self.speech_s * CHARACTERS_PER_S / len(self.text)

    @property
    def unheard_end(self) -> int:
        return 0 if self.heard is None else unheard_end(self.text, self.heard)

    def breaches(self, limits: Limits) -> Iterator[str]:
        low, high = limits.duration_ratio
        if not low <= self.duration_ratio:
            yield f"early end: {self.duration_ratio:.2f} of the length the text makes expect, at least {low:g}"
        if self.duration_ratio > high:
            yield f"late end: {self.duration_ratio:.2f} times the length the text makes expect, at most {high:g}"
        if self.silence.leading_s > limits.leading_silence_s:
            yield f"leading silence: {self.silence.leading_s:.2f} s, at most {limits.leading_silence_s:g} s"
        if self.silence.trailing_s > limits.trailing_silence_s:
            yield f"trailing silence: {self.silence.trailing_s:.2f} s, at most {limits.trailing_silence_s:g} s"
        if self.silence.longest_pause_s > limits.pause_s:
            yield f"pause: {self.silence.longest_pause_s:.2f} s, at most {limits.pause_s:g} s"
        if self.clipped_share > limits.clipped_share:
            yield f"clipping: {self.clipped_share:.3%} of the samples, at most {limits.clipped_share:.3%}"
        if self.click > limits.click:
            yield f"click at a chunk border: {self.click:.1f} times the sound around it, at most {limits.click:g}"
        if self.end_level_db > limits.end_level_db:
            yield f"cut end: the last 10 ms at {self.end_level_db:.0f} dB, at most {limits.end_level_db:g} dB"
        if self.unheard_end > limits.unheard_end_words:
            yield f"missing end: the last {self.unheard_end} words were not heard; heard: {self.heard}"
        if self.wer is not None and self.wer.words > SHORT_WORDS and self.wer.rate > limits.wer:
            yield f"WER: {self.wer.rate:.2f}, at most {limits.wer:g}; heard: {self.heard}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Everything of one voice."""

    voice: str
    language: str
    sentences: tuple[Sentence, ...]
    failures: tuple[str, ...] = ()  # sentences that the engine did not speak, and why

    @property
    def wer(self) -> float | None:
        """Over all words, so that long sentences count for more."""
        judged = [s.wer for s in self.sentences if s.wer is not None]
        words = sum(w.words for w in judged)
        return sum(w.errors for w in judged) / words if words else None

    @property
    def words_per_s(self) -> float:
        return self._per_s(sum(len(plain_words(s.text)) for s in self.sentences))

    @property
    def characters_per_s(self) -> float:
        return self._per_s(sum(len(s.text) for s in self.sentences))

    @property
    def ttfa_s(self) -> float:
        return median(s.ttfa_s for s in self.sentences) if self.sentences else 0.0

    @property
    def rtf(self) -> float:
        return median(s.rtf for s in self.sentences) if self.sentences else 0.0

    def breaches(self, limits: Limits) -> list[str]:
        numbered = enumerate(self.sentences, 1)
        return [
            *(f"{self.voice}: {failure}" for failure in self.failures),
            *(f"{self.voice}: {breach}" for breach in self._of_all(limits)),
            *(f"{self.voice}, sentence {n}: {breach}" for n, s in numbered for breach in s.breaches(limits)),
        ]

    def _of_all(self, limits: Limits) -> Iterator[str]:
        if not self.sentences:
            return
        slow, fast = limits.words_per_s_all
        if self.wer is not None and self.wer > limits.wer_all:
            yield f"WER of all sentences: {self.wer:.3f}, at most {limits.wer_all:g}"
        if not slow <= self.words_per_s <= fast:
            yield f"speaking rate: {self.words_per_s:.1f} words/s, from {slow:g} to {fast:g}"
        if self.ttfa_s > limits.ttfa_s_all:
            yield f"first audio (median): {self.ttfa_s:.2f} s, at most {limits.ttfa_s_all:g} s"
        if self.rtf > limits.rtf_all:
            yield f"RTF (median): {self.rtf:.2f}, at most {limits.rtf_all:g}"

    def _per_s(self, amount: int) -> float:
        speech_s = sum(s.speech_s for s in self.sentences)
        return amount / speech_s if speech_s else 0.0


def measure(spoken: Spoken, heard: str | None = None) -> Sentence:
    samples, rate_hz = spoken.samples, spoken.rate_hz
    return Sentence(
        text=spoken.text,
        audio_s=spoken.audio_s,
        silence=silence(samples, rate_hz),
        clipped_share=clipped_share(samples),
        click=worst_click(samples, rate_hz, spoken.joins),
        end_level_db=end_level_db(samples, rate_hz),
        ttfa_s=spoken.ttfa_s,
        rtf=spoken.took_s / spoken.audio_s if spoken.audio_s else float("inf"),
        heard=heard,
        wer=None if heard is None else word_errors(spoken.text, heard),
    )


def worst(values: Sequence[float]) -> float:
    return max(values, default=0.0)
