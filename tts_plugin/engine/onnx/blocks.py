"""Weights of 8 or 4 bits: every row in blocks of 32 numbers with a scale each. The layout of MatMulNBits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK = 32


def quantised(weight: NDArray[np.float32], bits: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """weight [out, in] → numbers [out, blocks, bytes of a block] and scales [out, blocks].

    Numbers of 8 bits are around 128, of 4 around 8 and two to a byte. The number that is largest in its block becomes
    the end of the range exactly.
    """
    outputs, inputs = weight.shape
    if inputs % BLOCK:
        raise ValueError(f"rows of {inputs} numbers; blocks of {BLOCK} must divide them")
    blocks = weight.reshape(outputs, -1, BLOCK)
    middle = 1 << (bits - 1)
    if bits == 8:
        scales = np.abs(blocks).max(axis=-1) / (middle - 1)
    else:  # 4 bits reach from -8 to 7: the largest number takes the longer side
        largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=-1)[..., None], axis=-1)[..., 0]
        scales = largest / -middle
    safe = np.where(scales == 0, 1, scales)[..., None]
    numbers = np.clip(np.rint(blocks / safe) + middle, 0, 2 * middle - 1).astype(np.uint8)
    packed = numbers if bits == 8 else numbers[..., 0::2] | numbers[..., 1::2] << 4
    return packed, scales.astype(np.float32)


def restored(packed: NDArray[np.uint8], scales: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """What the numbers stand for: weight [out, in]."""
    middle = 1 << (bits - 1)
    numbers = packed if bits == 8 else np.stack((packed & 15, packed >> 4), axis=-1).reshape(*packed.shape[:2], BLOCK)
    values = (numbers.astype(np.float32) - middle) * scales[..., None]
    return values.reshape(len(packed), -1)
