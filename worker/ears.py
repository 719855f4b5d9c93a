"""What is done when the caller speaks and no words come of it: nobody hears, or the final words are late.

Brings hearing.py and final_words.py together with what the caller is told.
"""

from __future__ import annotations

from collections.abc import Callable

from worker.clips import Kind
from worker.final_words import FinalWords
from worker.hearing import Hearing
from worker.page import Page


class Ears:
    """`timeout_s`: of the final words, and until a recogniser that is gone is missed. `say` says a phrase in the
    background; `commit` goes on with the words that are there. Belongs to a loop."""

    def __init__(
        self,
        *,
        timeout_s: float,
        page: Page,
        note: Callable[..., None],
        say: Callable[[Kind], None],
        commit: Callable[[], None],
    ) -> None:
        self.hearing = Hearing(deaf_after_s=timeout_s, on_deaf=self._deaf, on_back=self._back)
        self.final_words = FinalWords(timeout_s=timeout_s, on_late=self._late)
        self._page = page
        self._note = note
        self._say = say
        self._commit = commit

    def caller_spoke(self) -> None:
        self.hearing.skips = False
        self.final_words.caller_spoke()

    def caller_paused(self) -> None:
        self.final_words.caller_paused()

    def _late(self, has_words: bool) -> None:
        self._note("deadline", stage="stt_final")
        if has_words:
            self.hearing.skips = True
            self._commit()
        elif not self.hearing.is_deaf:
            self._say("not_heard")

    def _deaf(self) -> None:
        self._page.notice("cannot_hear", "The agent cannot hear you at the moment. You can type.")
        self._say("cannot_hear")

    def _back(self) -> None:
        self._page.notice("hears_again", "The agent hears you again.")
