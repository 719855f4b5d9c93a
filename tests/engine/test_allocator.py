"""Memory that the C library gives back."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

HOLD_AND_FREE = """
import ctypes, psutil, threading
from tts_plugin.engine.allocator import give_memory_back
assert give_memory_back()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def churn():
    held = [libc.malloc(3_000_000) for _ in range(20)]
    for place in held:
        ctypes.memset(ctypes.c_void_p(place), 1, 3_000_000)
    for place in held[:-1]:
        libc.free(place)
before = psutil.Process().memory_info().rss
threads = [threading.Thread(target=churn) for _ in range(6)]
[t.start() for t in threads]; [t.join() for t in threads]
print((psutil.Process().memory_info().rss - before) // 1_000_000)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library here is not glibc")
def test_what_threads_have_freed_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", HOLD_AND_FREE], capture_output=True, text=True, timeout=50, check=True)
    assert int(done.stdout) < 6 * 3 + 30  # of 360 MB, each thread still holds 3
