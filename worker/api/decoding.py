"""Runs formats/decoder.py: somebody's file becomes samples, in a process of its own that is ended if it must be."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import IO

from worker.api.errors import ApiError, Wrong, invalid
from worker.api.formats import decoder

DECODE_TIMEOUT_S = 60.0
_TOLD_BYTES = 200


async def decode(sound: IO[bytes], pcm: IO[bytes]) -> float:
    """Writes pcm_s16le of 16 kHz into `pcm`, a real file; gives its seconds. ApiError 422: the file is not right."""
    sound.flush()
    sound.seek(0)
    # Without our environment, which holds secrets; -I: nor anything else that could change what is imported.
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(Path(decoder.__file__)),
        stdin=sound,
        stdout=pcm,
        stderr=asyncio.subprocess.PIPE,
        env={},
    )
    try:
        async with asyncio.timeout(DECODE_TIMEOUT_S):
            _, told = await process.communicate()
    except TimeoutError:
        raise _wrong(f"it takes more than {DECODE_TIMEOUT_S:g} s to decode") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode == decoder.WRONG_FILE:
        raise _wrong(told[:_TOLD_BYTES].decode(errors="replace").strip())
    if process.returncode:  # ended by its bounds, or by what is in the file
        raise _wrong(f"it cannot be decoded; allowed: {decoder.NAMES}")
    seconds = pcm.seek(0, 2) / (2 * decoder.RATE_HZ)
    pcm.seek(0)
    return seconds


def _wrong(why: str) -> ApiError:
    return invalid(Wrong("file", None, why))
