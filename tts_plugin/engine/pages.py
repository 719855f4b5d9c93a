"""Who has which page of the KV cache, and how many are promised. Counts only: knows no tensor and no device.

Every utterance is promised pages when it is admitted, so it can speak for the usual time whatever the others do. Beyond
that it takes pages that nobody was promised; when there are none, that utterance alone ends.
"""

from __future__ import annotations

PAGE = 64  # positions


class OutOfPages(RuntimeError):
    """No page is left that nobody else was promised."""


def pages_for(positions: int) -> int:
    return -(-positions // PAGE)


class PagePool:
    """Pages 0 to count - 1, of which page 0 belongs to nobody: rows that are shorter than others are padded with it."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = list(range(count - 1, 0, -1))
        self._owed: dict[int, int] = {}  # owner → promised pages that it has not taken yet

    @property
    def free(self) -> int:
        return len(self._free)

    @property
    def unpromised(self) -> int:
        """Free pages that nobody was promised."""
        return len(self._free) - sum(self._owed.values())

    def can_promise(self, pages: int) -> bool:
        return pages <= self.unpromised

    def promise(self, owner: int, pages: int) -> None:
        """Sets pages aside for owner. Raises OutOfPages."""
        if not self.can_promise(pages):
            raise OutOfPages(f"{pages} pages wanted, {self.unpromised} of {self.count} are free")
        self._owed[owner] = pages

    def take(self, owner: int) -> int:
        """A page for owner: of those it was promised, else one that nobody was. Raises OutOfPages."""
        owed = self._owed.get(owner, 0)
        if owed:
            self._owed[owner] = owed - 1
        elif self.unpromised <= 0:
            raise OutOfPages(f"all {self.count} pages are in use or promised to others")
        return self._free.pop()

    def give_back(self, owner: int, pages: list[int]) -> None:
        """Ends owner's promise and frees its pages."""
        self._owed.pop(owner, None)
        self._free += pages
