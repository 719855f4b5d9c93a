"""Noise by address: the published vectors, repeatability, independence, the right distribution."""

from __future__ import annotations

import numpy as np
import pytest

from tts_plugin.engine.noise import normal, philox


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # Random123's known answers
        ((0,) * 4, (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_answers(counter, key, expected) -> None:
    words = philox([np.array([w], np.uint64) for w in counter], [np.array([w], np.uint64) for w in key])
    assert tuple(int(word) for word in words[:, 0]) == expected


def test_a_row_does_not_depend_on_its_batch() -> None:
    alone = normal([7], [3], 6, 64)
    together = normal([1, 7, 2**63], [9, 3, 0], 6, 64)
    assert np.array_equal(together[1], alone[0])


def test_a_step_does_not_depend_on_how_many_steps_there_are() -> None:
    assert np.array_equal(normal([7], [3], 1, 64)[0, 0], normal([7], [3], 21, 64)[0, 0])


def test_seed_latent_and_step_each_change_the_numbers() -> None:
    rows = normal([1, 2, 1, 1 + 2**32, 2**33], [0, 0, 1, 0, 0], 2, 64).reshape(-1, 64)
    assert len({row.tobytes() for row in rows}) == len(rows)


def test_seeds_may_be_negative_or_huge() -> None:
    assert np.isfinite(normal([-1, 10**30], [0, 0], 1, 16)).all()


def test_the_numbers_are_normal_and_uncorrelated() -> None:
    numbers = normal(range(64), range(64), 10, 64).astype(np.float64)
    assert abs(numbers.mean()) < 0.02
    assert abs(numbers.std() - 1) < 0.02
    assert abs((numbers**4).mean() - 3) < 0.15
    assert abs(np.corrcoef(numbers.reshape(-1, 64).T) - np.eye(64)).max() < 0.2
