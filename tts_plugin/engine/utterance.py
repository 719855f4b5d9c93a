"""How far one utterance has come: text windows, latents, positions, and how it ends. No tensor, no clock, no text.

A text window of 5 ids is read, 6 latents follow, and so on; when the text is over, latents only, until the model says
that it is done. A latent is fed back at the start of the next step, together with a text window when one is due, so
that every step is one pass through the TTS model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

TEXT_WINDOW = 5  # token ids read at once
SPEECH_WINDOW = 6  # latents made after each text window
CAP_LATENTS = 38  # 5 s: what any text may take
CAP_LATENTS_PER_ID = 4  # 0.53 s; speech takes about half of it
SILENT_LATENTS = 23  # 3 s: no pause in speech is as long

End = Literal["eos", "max_length", "runaway", "silence", "loop"]


@dataclass(frozen=True, slots=True)
class Work:
    """What one row of a step does, in this order."""

    latent: int  # index of the latent that is made
    feed_back: bool  # the latent before it is heard by the model first
    text: tuple[int, ...]  # then these ids are read
    speak: bool  # then a latent is made, unless the model says that it is done


class Progress:
    """`max_length` bounds the voice prompt, text and latents together; `cap` stops speech that its text cannot be."""

    def __init__(self, prompt: int, max_length: int, *, cap: bool = True) -> None:
        self._prompt = self.length = prompt
        self.max_length = max_length
        self.ids_read = 0
        self.latents = 0
        self.end: End | None = None
        self._cap = cap
        self._most_latents: int | None = None  # where the text itself says so
        self._ids: list[int] = []  # bounded by the text's length
        self._text_over = False
        self._left = 0  # latents of this speech window
        self._unheard = False  # the last latent is not fed back yet

    def add(self, ids: Iterable[int]) -> None:
        self._ids += ids

    def end_text(self) -> None:
        self._text_over = True

    @property
    def text_left(self) -> bool:
        return self.ids_read < len(self._ids) or not self._text_over

    @property
    def unread(self) -> int:
        """Ids that wait."""
        return len(self._ids) - self.ids_read

    @property
    def window_ready(self) -> bool:
        return len(self._ids) - self.ids_read >= TEXT_WINDOW or self._text_over

    @property
    def starving(self) -> bool:
        """The next step needs text that is not there."""
        return self.end is None and not self._left and not self.window_ready

    @property
    def runnable(self) -> bool:
        return self.end is None and (self._left > 0 or self.window_ready)

    @property
    def empty(self) -> bool:
        """The text is over and there was none."""
        return self._text_over and not self._ids

    @property
    def next_positions(self) -> int:
        """TTS positions there will be after the next step: what needs pages."""
        return self.length + len(self.next_work().text)

    def next_work(self) -> Work:
        """What the next step does. Only when runnable; changes nothing."""
        text = () if self._left else tuple(self._ids[self.ids_read : self.ids_read + TEXT_WINDOW])
        fits = self.length + len(text) <= self.max_length
        return Work(self.latents, self._unheard, text if fits else (), speak=fits)

    def advance(self, work: Work, *, ended: bool) -> None:
        """The step is done; `ended`: the model said so when it heard its last latent, and no latent was made."""
        if ended:
            self.end = "eos"
            return
        if not work.speak:  # the next text window does not fit
            self.length += min(TEXT_WINDOW, len(self._ids) - self.ids_read)
            self.end = "max_length"
            return
        self.ids_read += len(work.text)
        self.length += len(work.text)
        self._left = (self._left or SPEECH_WINDOW) - 1
        self.latents += 1
        self._unheard = True
        self.length += 1
        if self.length > self.max_length:
            self.end = "max_length"
        elif self._cap and not self.text_left and self.latents >= self.cap:
            self.end = "runaway"

    def stop_if_silent(self, silent_latents: int) -> None:
        """Ends what went silent after its text was read: the model forgot to say that it is done."""
        if self.end is None and not self.text_left and silent_latents >= SILENT_LATENTS:
            self.end = "silence"

    def stop_looping(self) -> None:
        """Ends what says the same again and again."""
        if self.end is None:
            self.end = "loop"

    def tighten(self, most_latents: int) -> None:
        """The text cannot take longer than this."""
        self._most_latents = most_latents

    def restart(self) -> None:
        """As if nothing had been read or made; the text stays."""
        self.length, self.ids_read, self.latents, self.end = self._prompt, 0, 0, None
        self._left, self._unheard = 0, False

    @property
    def cap(self) -> int:
        """Latents that the text read so far may take."""
        cap = CAP_LATENTS + CAP_LATENTS_PER_ID * self.ids_read
        return cap if self._most_latents is None else min(cap, self._most_latents)
