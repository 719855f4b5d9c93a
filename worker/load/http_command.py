"""What `tts-ops load http` does with its options, and what it prints."""

from __future__ import annotations

import asyncio
import operator
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

from worker.bench import machine
from worker.load import report
from worker.load.figures import Summary, summary
from worker.load.http import Run, Wanted, offer, tell
from worker.settings import SettingsError

_BOUND = re.compile(r"([a-z_.0-9]+)=([0-9.]+)")
SPREADS = ("first_byte", "audible", "lateness", "gap", "refusal", "late_start")


def run(wanted: Wanted, *, out: Path | None, bounds: Sequence[str] = ()) -> int:
    """0: every figure is within its bound and nothing failed. Raises SettingsError for options that make no sense."""
    limits = [_bound(text) for text in bounds]
    for name, _ in limits:
        _check(name)
    if urlsplit(wanted.url).scheme not in ("http", "https"):
        raise SettingsError(f"--url is {wanted.url!r}; it begins with http:// or https://")
    here = machine.describe()
    tell(f"{wanted.rps:g} requests a second for {wanted.duration_s:g} s to {wanted.url}")
    done = asyncio.run(offer(wanted, tell))
    made = summary(done)
    print(told(made))  # noqa: T201
    if out is not None:
        title = f"{wanted.rps:g} requests a second{' over WebSockets' if wanted.over_socket else ''}"
        page = report.write(out, title, {"asked": _asked(wanted), "figures": made.as_dict()}, here, _pictures(done))
        tell(f"wrote {page} and report.json beside it")
    missed = [
        f"{name} is {_shown(made.value(name))}, over {limit:g}" for name, limit in limits if _over(made, name, limit)
    ]
    for line in missed:
        tell(line)
    return 1 if missed or made.errors else 0


def told(made: Summary) -> str:
    whole = made.as_dict()
    outcomes = ", ".join(f"{count} {name}" for name, count in made.outcomes.items())
    rows = {name: whole[name] for name in SPREADS}
    return (
        f"\n{made.asked} requests, {made.asked_per_s:.1f} a second: {outcomes}; at most {made.peak} at once\n"
        f"{report.table(rows)}\n"  # type: ignore[arg-type]
        f"  {made.underruns} listeners ran dry; {made.sound_s:.0f} s of sound; this client took "
        f"{made.client_cores:.2f} cores\n"
    )


def _pictures(done: Run) -> list[report.Picture]:
    if not report.can_draw():
        return []
    heard = [one for one in done.spoken if one.outcome == "ok"]
    return [
        report.histogram(
            "First sound",
            {
                "first byte": [one.first_byte_s for one in heard if one.first_byte_s is not None],
                "audible": [one.audible_s for one in heard if one.audible_s is not None],
            },
        ),
        report.histogram("Lateness of pieces", {"pieces": [late for one in heard for late in one.lateness_s]}),
        report.timeline(
            "First byte over the run",
            {
                "answered": [(one.due_s, one.first_byte_s) for one in heard if one.first_byte_s is not None],
                "refused": [(one.due_s, one.ended_s) for one in done.spoken if one.refused and one.ended_s is not None],
            },
        ),
    ]


def _asked(wanted: Wanted) -> dict[str, object]:
    """All but the key and the texts."""
    return {name: value for name, value in asdict(wanted).items() if name not in ("key", "texts")}


def _bound(text: str) -> tuple[str, float]:
    match = _BOUND.fullmatch(text)
    if match is None:
        raise SettingsError(f"--fail-over is {text!r}; it is like p99=0.15, first_byte.p50=0.06 or underruns=0")
    return match[1], float(match[2])


def _check(name: str) -> None:
    """SettingsError for a figure that there is not, before anything is asked."""
    nothing = Run(Wanted("", 1, 1), (), 1, 0, 0, ())
    try:
        summary(nothing).value(name)
    except ValueError as error:
        raise SettingsError(f"--fail-over: {error}") from None


def _over(made: Summary, name: str, limit: float) -> bool:
    value = made.value(name)
    return value is None or operator.gt(value, limit)


def _shown(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"
