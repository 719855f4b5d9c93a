"""deploy/docker/Dockerfile, read as far as the tests need it: stages, what is copied into them, what is run."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from worker.setup.places import ROOT

DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"


@dataclass(slots=True)
class Stage:
    name: str
    parent: str
    lines: list[tuple[str, str]] = field(default_factory=list)  # instruction, the rest

    def all(self, instruction: str) -> list[str]:
        return [rest for word, rest in self.lines if word == instruction]


def stages() -> dict[str, Stage]:
    text = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE.read_text()))
    found: dict[str, Stage] = {}
    stage = Stage("", "")
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            parent, _, name = rest.partition(" AS ")
            stage = found[name] = Stage(name, parent)
        else:
            stage.lines.append((word, rest.strip()))
    return found


def copied(stage: Stage) -> list[tuple[list[str], str]]:
    """Sources and target of every COPY from the build context."""
    pairs = [rest.split() for rest in stage.all("COPY") if not rest.startswith("--from")]
    return [(parts[:-1], parts[-1]) for parts in pairs]


def in_context(path: Path) -> bool:
    """Whether .dockerignore lets `path` (a file below the root) into the build context."""
    relative, seen = path.relative_to(ROOT).as_posix(), True
    for rule in filter(None, map(str.strip, (ROOT / ".dockerignore").read_text().splitlines())):
        if rule.startswith("#"):
            continue
        keeps, pattern = rule.startswith("!"), rule.removeprefix("!")
        if _matches(relative, pattern):
            seen = keeps
    return seen


def copy_context(stage: Stage, target: Path, until: str) -> None:
    """What the stage's COPY lines before the RUN that holds `until` put into `target`."""
    for word, rest in stage.lines:
        if word == "RUN" and until in rest:
            return
        if word != "COPY":
            continue
        *sources, place = rest.split()
        for source in sources:
            here, there = ROOT / source, target / place
            if here.is_dir():
                shutil.copytree(here, there, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                there = there / here.name if place.endswith("/") else there
                there.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(here, there)


def words(rest: str) -> list[str]:
    """An exec-form CMD or ENTRYPOINT."""
    parsed: list[str] = json.loads(rest)
    return parsed


def _matches(path: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return any(fnmatch.fnmatch(part, pattern[3:]) for part in path.split("/"))
    return any(fnmatch.fnmatch("/".join(path.split("/")[: n + 1]), pattern) for n in range(path.count("/") + 1))
