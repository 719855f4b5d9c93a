"""One line of the doctor's table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "missing"]
COLOURS: dict[State, int] = {"ok": 32, "note": 33, "missing": 31}


@dataclass(frozen=True, slots=True)
class Finding:
    """`state` note: not needed, or worth knowing. `mend`: the command or setting that changes it."""

    state: State
    name: str
    text: str
    mend: str = ""


def ok(name: str, text: str) -> Finding:
    return Finding("ok", name, text)


def note(name: str, text: str, mend: str = "") -> Finding:
    return Finding("note", name, text, mend)


def missing(name: str, text: str, mend: str) -> Finding:
    return Finding("missing", name, text, mend)


def table(findings: list[Finding], *, colour: bool = False) -> str:
    return "\n".join(_line(f, colour) for f in findings)


def _line(f: Finding, colour: bool) -> str:
    state = f"{f.state:<8}"
    if colour:
        state = f"\x1b[{COLOURS[f.state]}m{state}\x1b[0m"
    arrow = f"  → {f.mend}" if f.mend else ""
    return f"  {state} {f.name:<20} {f.text}{arrow}"
