"""Which of the language model's slots holds which conversation, so that each call finds its own prompt cache again.

llama.cpp's own choice goes by likeness of the prompts. Calls share their instructions, so they would take each other's
slot and evaluate their whole history anew at each turn (1.0-2.0 s instead of 0.1-0.5 s).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class _Slot:
    key: str | None = None
    used: int = 0  # when it was last taken, counted in takes
    busy: int = 0


class Slots:
    def __init__(self, count: int) -> None:
        self._slots = [_Slot() for _ in range(count)]
        self._takes = 0

    def take(self, key: str) -> int:
        """The slot of this conversation; a new one gets an empty slot, else the one that has rested longest."""
        index = self._find(key)
        slot = self._slots[index]
        self._takes += 1
        slot.key, slot.used = key, self._takes
        slot.busy += 1
        return index

    def give_back(self, index: int) -> None:
        self._slots[index].busy -= 1

    def _find(self, key: str) -> int:
        known = (i for i, slot in enumerate(self._slots) if slot.key == key)
        return next(known, min(range(len(self._slots)), key=self._reluctance))

    def _reluctance(self, index: int) -> tuple[bool, int]:
        slot = self._slots[index]
        return slot.busy > 0, slot.used
