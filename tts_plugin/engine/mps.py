"""What Apple's GPU cannot compute, and the CPU does in its stead: allowed, and each operator named once in the log.

torch tells of it with a warning, and of the first operator only unless asked to tell always.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

_FALLS_BACK = re.compile(r"[Tt]he operator '([\w:.]+)' is not currently supported on the MPS backend")
_WATCHED_STEPS = 32  # text windows, first and later latents are among them


def allow_fallback() -> None:
    """Before torch is imported, which looks once. A setting that is there already stands."""
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")


class Fallbacks:
    """Watches the first steps; after that nothing is looked at, so that watching costs nothing."""

    def __init__(self) -> None:
        self.named: set[str] = set()
        self._left = _WATCHED_STEPS

    @contextmanager
    def watch(self) -> Iterator[None]:
        if self._left <= 0:
            yield
            return
        self._left -= 1
        with _told_always(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for warning in caught:
            self._name(warning)

    def _name(self, warning: warnings.WarningMessage) -> None:
        found = _FALLS_BACK.search(str(warning.message))
        if found is None:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        elif found[1] not in self.named:
            self.named.add(found[1])
            logger.warning("%s is not computed by Apple's GPU but by the CPU, which takes longer", found[1])


@contextmanager
def _told_always() -> Iterator[None]:
    import torch

    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        yield
    finally:
        torch.set_warn_always(before)
