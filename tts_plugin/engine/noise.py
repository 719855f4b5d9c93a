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

Words = NDArray[np.uint64]


def normal(seeds: Sequence[int], latents: Sequence[int], steps: int, width: int) -> NDArray[np.float32]:
    """[rows, steps, width] of the normal distribution; row r is addressed by seeds[r] (64 bits count) and latents[r].

    Step 0 is where a latent begins; step s + 1 is what the SDE solver adds after its step s.
    """
    rows, blocks = len(seeds), -(-width // 4)
    keys = np.array([seed & _SEED_BITS for seed in seeds], dtype=np.uint64).reshape(rows, 1, 1)
    shape = (rows, steps, blocks)
    counter = (
        np.broadcast_to(np.arange(blocks, dtype=np.uint64), shape),
        np.arange(steps, dtype=np.uint64)[:, None],
        np.array(latents, dtype=np.uint64).reshape(rows, 1, 1),
        np.zeros((), dtype=np.uint64),
    )
    uniform = philox(counter, (keys & _LOW, keys >> _HALF)).astype(np.float64)  # [4, rows, steps, blocks]
    uniform += 0.5
    uniform *= 2.0**-32  # never 0, never 1
    radius, angle = uniform[:2], uniform[2:]
    np.log(radius, out=radius)
    radius *= -2.0
    np.sqrt(radius, out=radius)
    angle *= 2.0 * np.pi
    pairs = np.empty((*shape, 4), np.float32)
    np.multiply(radius, np.cos(angle), out=np.moveaxis(pairs[..., :2], -1, 0), casting="same_kind")
    np.multiply(radius, np.sin(angle), out=np.moveaxis(pairs[..., 2:], -1, 0), casting="same_kind")
    return pairs.reshape(rows, steps, -1)[..., :width]


def philox(counter: Sequence[Words], key: Sequence[Words]) -> Words:
    """Four words of 32 bits (in 64) for a counter of four and a key of two, element by element: [4, …].

    All in place: allocating would take as long as computing.
    """
    words = np.stack(np.broadcast_arrays(*counter))
    a, b, c, d = words
    (k0, k1), left, right = key, np.empty_like(a), np.empty_like(a)
    for _ in range(ROUNDS):
        np.multiply(a, _MULTIPLIERS[0], out=left)
        np.multiply(c, _MULTIPLIERS[1], out=right)
        _mix(right, b, k0, out=a)
        _mix(left, d, k1, out=c)
        np.bitwise_and(right, _LOW, out=b)
        np.bitwise_and(left, _LOW, out=d)
        k0, k1 = (k0 + np.uint64(_WEYL[0])) & _LOW, (k1 + np.uint64(_WEYL[1])) & _LOW
    return words


def _mix(product: Words, word: Words, key: Words, *, out: Words) -> None:
    np.right_shift(product, _HALF, out=out)
    np.bitwise_xor(out, word, out=out)
    np.bitwise_xor(out, key, out=out)
