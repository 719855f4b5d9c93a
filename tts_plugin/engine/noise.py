"""The random numbers of speech, by address instead of by order: (seed, latent, solver step) names a row of them.

So a request with a seed repeats whoever shares its batch, on every device and behind every runner. Philox-4x32-10
(Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), then Box and Muller; all rows of a batch at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ROUNDS = 10
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_SEED_BITS = (1 << 64) - 1


def normal(seeds: Sequence[int], latents: Sequence[int], steps: int, width: int) -> NDArray[np.float32]:
    """[rows, steps, width] of the normal distribution; row r is addressed by seeds[r] (64 bits count) and latents[r].

    Step 0 is where a latent begins; step s + 1 is what the SDE solver adds after its step s.
    """
    rows, blocks = len(seeds), -(-width // 4)
    keys = np.array([seed & _SEED_BITS for seed in seeds], dtype=np.uint64).reshape(rows, 1, 1)
    shape = (rows, steps, blocks)
    counter = (
        np.broadcast_to(np.arange(blocks, dtype=np.uint64), shape),
        np.broadcast_to(np.arange(steps, dtype=np.uint64)[:, None], shape),
        np.broadcast_to(np.array(latents, dtype=np.uint64).reshape(rows, 1, 1), shape),
        np.zeros(shape, dtype=np.uint64),
    )
    words = philox(counter, (keys & _LOW, keys >> _HALF))  # [4, rows, steps, blocks]
    uniform = (words + 0.5) * 2.0**-32  # never 0, never 1
    radius = np.sqrt(-2.0 * np.log(uniform[:2]))
    angle = 2.0 * np.pi * uniform[2:]
    pairs = np.concatenate((radius * np.cos(angle), radius * np.sin(angle)))
    return np.moveaxis(pairs, 0, -1).reshape(rows, steps, -1)[..., :width].astype(np.float32)


def philox(counter: Sequence[NDArray[np.uint64]], key: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Four words of 32 bits (in 64) for a counter of four and a key of two, element by element: [4, …]."""
    (a, b, c, d), (k0, k1) = counter, key
    for _ in range(ROUNDS):
        left, right = _MULTIPLIERS[0] * a, _MULTIPLIERS[1] * c
        a, b, c, d = (right >> _HALF) ^ b ^ k0, right & _LOW, (left >> _HALF) ^ d ^ k1, left & _LOW
        k0, k1 = (k0 + np.uint64(_WEYL[0])) & _LOW, (k1 + np.uint64(_WEYL[1])) & _LOW
    return np.stack((a, b, c, d))
