"""`tts-ops load http` against a real service and engine, and its arithmetic against what can be reckoned by hand."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from http_parts import Engine, Start

from worker.keys import KeyFile
from worker.load.figures import Summary, spread, summary
from worker.load.http import Run, Wanted, offer
from worker.load.schedule import due
from worker.load.spoken import Spoken


def tone(samples: int, loudness: int = 8_000) -> bytes:
    return np.full(samples, loudness, np.int16).tobytes()


def test_constant_arrivals_are_equal_gaps_and_poisson_ones_have_the_rate() -> None:
    assert list(due(4, 1, kind="constant")) == pytest.approx([0.25, 0.5, 0.75])
    plan = list(due(50, 100))
    assert len(plan) == pytest.approx(5_000, rel=0.05)
    assert plan == sorted(plan)
    assert plan == list(due(50, 100))
    assert plan != list(due(50, 100, seed=2))


def test_a_piece_that_comes_after_its_time_is_late_and_the_listener_ran_dry() -> None:
    one = Spoken(due_s=0)
    one.take(tone(24_000), 0.5)  # a second of sound
    one.take(tone(24_000), 1.25)
    one.take(tone(24_000), 2.75)
    assert one.lateness_s == pytest.approx([-0.25, 0.25])
    assert one.gaps_s == pytest.approx([0.75, 1.5])
    assert one.underrun


def test_silence_before_the_first_word_is_not_audible() -> None:
    one = Spoken(due_s=0)
    one.take(tone(2_400, 0), 0.1)
    one.take(tone(2_400, 0) + tone(2_400), 0.12)
    assert one.first_byte_s == 0.1
    assert one.audible_s == pytest.approx(0.1 + 0.2)


def summed(*spoken: Spoken) -> Summary:
    return summary(Run(Wanted("http://nowhere", 1, 10), spoken, 10, 1, 0.1, (0.0,)))


def test_refusals_are_no_errors_and_failures_are() -> None:
    made = summed(Spoken(0), Spoken(0, outcome="at_capacity", ended_s=0.01), Spoken(0, outcome="engine_error"))
    assert made.outcomes == {"ok": 1, "at_capacity": 1, "engine_error": 1}
    assert made.errors == 1
    assert made.refusal.p99 == 0.01


def test_a_figure_is_found_by_its_name_and_an_unknown_one_is_told() -> None:
    one = Spoken(0)
    one.take(tone(2_400), 0.3)
    made = summed(one)
    assert made.value("p99") == made.value("audible.p99") == pytest.approx(0.3)
    assert made.value("underruns") == 0
    with pytest.raises(ValueError, match="there is no figure 'p100'"):
        made.value("p100")
    assert spread([]).p50 is None


@pytest.mark.parametrize("over_socket", [False, True])
async def test_every_request_is_sent_when_it_is_due_and_heard(start: Start, engine: Engine, over_socket: bool) -> None:
    service = await start(engine_url=engine.url, rate_per_minute=10_000)
    texts = ("Yes, of course.", "How can I help you today?")
    run = await offer(Wanted(service.url, 4, 2, over_socket, arrivals="constant", texts=texts))
    made = summary(run)
    assert made.outcomes == {"ok": 7}
    assert made.audible.n == 7
    assert made.first_byte.worst is not None
    assert made.sound_s > 7 * 0.5


async def test_requests_do_not_wait_for_those_before(start: Start, start_engine: Callable[..., Engine]) -> None:
    """An engine with one slot refuses what comes meanwhile: a client that waits its turn would see no refusal."""
    service = await start(engine_url=start_engine(max_batch_size=1).url, rate_per_minute=10_000)
    long_text = "This sentence is long enough that the next request comes while it is being spoken. " * 8
    run = await offer(Wanted(service.url, 20, 1.5, arrivals="constant", texts=(long_text,)))
    made = summary(run)
    assert made.outcomes["at_capacity"] > 5
    assert made.refusal.n == made.outcomes["at_capacity"]
    assert made.errors == 0


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ([], 0, "2 requests"),
        (["--fail-over", "first_byte.p99=0.000001"], 1, "first_byte.p99 is"),
        (["--fail-over", "speed"], 2, "--fail-over is 'speed'"),
        (["--fail-over", "speed=1"], 2, "there is no figure"),
        (["--url", "ftp://x"], 2, "begins with http"),
    ],
)
async def test_the_command_reports_and_fails_over_a_bound(
    start: Start, engine: Engine, tmp_path: Path, options: list[str], code: int, said: str
) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    _, key = keys.add("load")
    service = await start(engine_url=engine.url, api_keys_file=keys.path, open_on_loopback=False)
    command = ["load", "http", "--rps", "2", "--duration", "1.2", "--constant", "--out", str(tmp_path / "out")]
    asked = [sys.executable, "-m", "worker.cli", *command, "--url", service.url, "--key", key, *options]
    process = await asyncio.create_subprocess_exec(*asked, stdout=-1, stderr=-1, cwd=tmp_path)
    out, err = await asyncio.wait_for(process.communicate(), 50)
    assert process.returncode == code, (out + err).decode()
    assert said in (out + err).decode()
    if code == 0:
        report = json.loads((tmp_path / "out" / "report.json").read_text())
        assert report["figures"]["outcomes"] == {"ok": 2}
        page = (tmp_path / "out" / "report.html").read_text()
        assert page.count("data:image/png;base64,") == 3
        assert key not in page + json.dumps(report)
