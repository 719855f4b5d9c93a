"""Deadlines must survive a clock that is set: only the stamps of a turn, which LiveKit makes, are wall time."""

import ast
from pathlib import Path

import worker

PACKAGE = Path(worker.__file__).parent
WALL = {"time", "time_ns"}
STAMPS = {"call.py", "turns.py", "agent.py", "call_phone.py"}  # LiveKit's own stamps of a turn, a room are unix times
# The rate's library tells its own in Retry-After; a certificate has a date; machines that share a redis share no other.
OTHERS = {"limits.py", "credential.py", "at_once.py", "shared_answers.py", "shared_turns.py", "sound_links.py"}
MEASURING = {"bench", "setup", "verify"}  # no part of a running service


def test_nothing_that_waits_looks_at_the_wall_clock():
    found = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name not in STAMPS | OTHERS and path.relative_to(PACKAGE).parts[0] not in MEASURING
        for line in wall_clocks(path.read_text())
    ]
    assert found == []


def test_the_search_finds_what_it_looks_for():
    code = "\n".join(
        ["import time", "from time import time as now", "time.time()", "datetime.datetime.now()", "time.monotonic()"]
    )
    assert wall_clocks(code) == [2, 3, 4]


def wall_clocks(code: str) -> list[int]:
    lines = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module == "time" and WALL & {name.name for name in node.names}:
            lines.append(node.lineno)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "time.time",
            "time.time_ns",
            "datetime.datetime.now",
            "datetime.now",
            "datetime.datetime.utcnow",
        ):
            lines.append(node.lineno)
    return sorted(lines)
