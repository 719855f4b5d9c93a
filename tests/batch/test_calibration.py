"""What the first steps say of a machine, with a runner whose steps take the time that they are told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from null_runner import NullRunner

from tts_plugin.engine.calibration import calibrate
from tts_plugin.engine.capacity import Capacity
from tts_plugin.engine.runner import Made, Row


class TimedRunner(NullRunner):
    """`cost(rows, step)` seconds pass in each step. Its clock is the test's."""

    def __init__(self, slots: int, cost: Callable[[int, int], float]) -> None:
        super().__init__(slots)
        self.now = 0.0
        self.open_slots: set[int] = set()
        self._cost = cost

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def reserve(self, slot: int) -> None:
        self.open_slots.add(slot)

    def close(self, slot: int) -> None:
        self.open_slots.discard(slot)

    def step(self, rows: Sequence[Row]) -> list[Made]:
        self.now += self._cost(len(rows), len(self.batches))
        return super().step(rows)


class EndingRunner(TimedRunner):
    def step(self, rows: Sequence[Row]) -> list[Made]:
        return [Made(one.samples, row.work.latent == 2) for one, row in zip(super().step(rows), rows, strict=True)]


def measure(runner: TimedRunner, limit_s: float = 0.1, share: float = 1.0) -> dict[int, float]:
    return dict(calibrate(runner, limit_s, share=share, clock=runner.clock, sleep=runner.sleep))


def test_rows_double_until_a_step_is_too_slow_and_one_size_between_is_tried() -> None:
    measured = measure(TimedRunner(64, lambda rows, _: 0.01 * rows))
    assert list(measured) == [1, 2, 4, 8, 12, 16]
    assert measured[8] == pytest.approx(0.08)


def test_a_fast_device_is_measured_up_to_its_slots() -> None:
    assert list(measure(TimedRunner(100, lambda rows, _: 0.001))) == [1, 2, 4, 8, 16, 32, 64, 100]


def test_the_first_steps_of_all_do_not_count() -> None:
    measured = measure(TimedRunner(4, lambda rows, step: 3.0 if step < 6 else 0.02))
    assert max(measured.values()) == pytest.approx(0.02)


def test_a_busy_moment_is_measured_again() -> None:
    def busy_at_first(rows: int, step: int) -> float:
        return 0.09 if 6 <= step < 12 and step % 3 else 0.02

    assert measure(TimedRunner(1, busy_at_first))[1] == pytest.approx(0.02)


def test_a_share_of_the_machine_makes_steps_longer() -> None:
    assert measure(TimedRunner(1, lambda *_: 0.04), share=0.5)[1] == pytest.approx(0.08)


def test_utterances_that_end_are_opened_again_and_none_is_left() -> None:
    runner = EndingRunner(4, lambda *_: 0.01)
    measured = measure(runner)
    assert measured[4] == pytest.approx(0.01)
    assert not runner.open_slots


def test_what_is_measured_makes_a_capacity() -> None:
    runner = TimedRunner(64, lambda rows, _: 0.01 + 0.005 * rows)
    steps = calibrate(runner, 0.1, clock=runner.clock, sleep=runner.sleep)
    capacity = Capacity(steps, latent_s=3_200 / 24_000, ttfa_target_s=0.202, most=64)
    assert capacity.rows == 18
