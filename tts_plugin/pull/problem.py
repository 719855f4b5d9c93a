"""Why a pull cannot go on."""

from __future__ import annotations


class PullProblem(RuntimeError):
    """One line for a person: what happened to which file, and what mends it."""


class Interrupted(Exception):
    """The network failed in a way that may pass; what was received stays."""

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
