"""What a voice must keep to be called good. Printed with every report, so a verdict can be checked by hand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one sentence, unless it says `all`: of a voice's sentences together. `docs/verify.md` gives the reasons."""

    wer_all: float = 0.10  # wrong words ÷ words
    wer: float = 0.67  # of a sentence of more than three words: beyond it, something else was said
    unheard_end_words: int = 1  # at the end of the text; two and more are no mishearing
    words_per_s_all: tuple[float, float] = (1.7, 5.0)  # spoken, without the silence at both ends
    duration_ratio: tuple[float, float] = (0.5, 2.0)  # speech ÷ what the text's length makes expect
    leading_silence_s: float = 0.6
    trailing_silence_s: float = 1.0
    pause_s: float = 1.5  # the longest silence inside
    clipped_share: float = 0.0005  # of all samples: twelve in a second of 24,000
    click: float = 3.0  # jump at a chunk border ÷ the largest jump of the sound around it
    end_level_db: float = -10.0  # the last 10 ms against the loud parts: above, it was cut
    ttfa_s_all: float = 1.5  # median: from the text to the first sample
    rtf_all: float = 1.0  # median: computing ÷ audio; at 1 a single listener runs dry
