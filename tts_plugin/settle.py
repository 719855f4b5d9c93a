"""What every long-lived process does once it has loaded what it needs. Knows nothing of what that is."""

from __future__ import annotations

import gc


def settle() -> None:
    """Take what is there for good out of the garbage collection.

    A full collection else looks through all of it and stops the event loop, and every voice, for 0.1 s.
    """
    gc.collect()
    gc.freeze()
