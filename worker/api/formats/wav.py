"""The header of a WAV file, whole or as a stream whose length nobody knows yet."""

from __future__ import annotations

import struct

from tts_plugin.protocol import BYTES_PER_SAMPLE

HEADER_BYTES = 44
UNKNOWN_BYTES = 0xFFFF_FFFF - 36  # the most that the header's 32 bits can say; readers take it as "until the end"


def wav_header(sample_rate_hz: int, pcm_bytes: int | None) -> bytes:
    """44 bytes: RIFF, one channel, 16 bits. `pcm_bytes` None: the length is not known yet."""
    data_bytes = UNKNOWN_BYTES if pcm_bytes is None else min(pcm_bytes, UNKNOWN_BYTES)
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + data_bytes, b"WAVE", b"fmt ", 16, 1, 1),
        *(sample_rate_hz, sample_rate_hz * BYTES_PER_SAMPLE, BYTES_PER_SAMPLE, 8 * BYTES_PER_SAMPLE),
        *(b"data", data_bytes),
    )
