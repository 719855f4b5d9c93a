"""How the C library keeps freed memory: told to give it back, where it is glibc.

The embedded voice frees buffers of all sizes from several threads. Left alone, glibc keeps them in an arena for each
thread, and a process grows for hours: 50 MB after a few hundred utterances. Not for torch or VibeVoice on ONNX Runtime,
which use the same large buffers in every step and would get them anew from the system each time.
"""

from __future__ import annotations

import ctypes
import logging

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # malloc.h
_LARGE_BYTES = 1 << 20
_ARENAS = 2

logger = logging.getLogger(__name__)


def give_memory_back() -> bool:
    """For the whole process, from now on. False where the C library is another one."""
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        logger.debug("the C library is not glibc: it keeps freed memory as it likes")
        return False
    options = ((_ARENA_MAX, _ARENAS), (_MMAP_THRESHOLD, _LARGE_BYTES), (_TRIM_THRESHOLD, _LARGE_BYTES))
    return all(mallopt(name, value) == 1 for name, value in options)
