"""What a person sees of a download, on a terminal and in a log."""

from __future__ import annotations

import io

import pytest

from tts_plugin.pull.progress import Progress, amount


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_without_a_terminal_a_line_comes_every_few_seconds(shown, clock) -> None:
    progress = Progress(shown, terminal=False, clock=clock)
    progress.start("model.safetensors", 2_000_000_000)
    for second in range(1, 13):
        clock.now_s = second
        progress.at(second * 100_000_000)
    progress.say("model.safetensors: 2.00 GB, verified")
    assert shown.getvalue() == (
        "model.safetensors, 2.00 GB\n"
        "  model.safetensors   25%  500 MB of 2.00 GB  100 MB/s  0:15 left\n"
        "  model.safetensors   50%  1.00 GB of 2.00 GB  100 MB/s  0:10 left\n"
        "model.safetensors: 2.00 GB, verified\n"
    )


def test_on_a_terminal_one_line_is_redrawn(shown, clock) -> None:
    progress = Progress(shown, terminal=True, clock=clock)
    progress.start("v.pt", 1_000_000)
    clock.now_s = 1.0
    progress.at(250_000)
    assert shown.getvalue().endswith(
        "\r\x1b[Kv.pt  [######                  ]   25%  250 kB of 1 MB  250 kB/s  0:03 left"
    )
    assert "\n" not in shown.getvalue()
    progress.say("v.pt: verified")
    assert shown.getvalue().endswith("\r\x1b[Kv.pt: verified\n")


def test_a_resumed_file_counts_its_speed_from_where_it_goes_on(shown, clock) -> None:
    progress = Progress(shown, terminal=False, clock=clock)
    progress.start("m", 100_000_000, done=50_000_000)
    clock.now_s = 5.0
    progress.at(60_000_000)
    assert shown.getvalue() == "m, 100 MB, going on at 50 MB\n  m   60%  60 MB of 100 MB  2 MB/s  0:20 left\n"


def test_what_is_not_announced_is_silent_until_it_takes_long(shown, clock) -> None:
    progress = Progress(shown, terminal=False, clock=clock)
    progress.start("verifying m", 100, announce=False)
    clock.now_s = 4.9
    progress.at(50)
    assert shown.getvalue() == ""


def test_unknown_size_shows_what_came(shown, clock) -> None:
    progress = Progress(shown, terminal=False, clock=clock)
    progress.start("v", None)
    clock.now_s = 5.0
    progress.at(1_000_000)
    assert shown.getvalue() == "v\n  v  1 MB  200 kB/s\n"


def test_ten_thousand_reports_in_a_second_draw_at_most_ten_times(clock) -> None:
    shown = io.StringIO()
    progress = Progress(shown, terminal=True, clock=clock)
    progress.start("m", 10_000)
    for step in range(10_000):
        clock.now_s = step / 10_000
        progress.at(step)
    assert shown.getvalue().count("\r") <= 11


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (2_117, "2 kB"), (7_031_645, "7 MB"), (2_035_332_888, "2.04 GB")],
)
def test_amounts_are_for_people(count, text) -> None:
    assert amount(count) == text
