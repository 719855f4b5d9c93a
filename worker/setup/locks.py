"""`make lock`: compiles requirements/*.txt again, for every platform, with hashes and without a registry's address."""

from __future__ import annotations

import os
from pathlib import Path

from worker.setup import uv
from worker.setup.places import REQUIREMENTS
from worker.setup.process import execute
from worker.setup.steps import Steps

EXTRAS = {
    "call": ("worker", "embedded"),
    "cpu": ("worker", "embedded", "cpu"),
    "vibevoice": ("worker", "embedded", "cpu", "engine"),
    # What the images hold (deploy/docker): the engine of a CPU is the models' image too.
    "image-service": ("worker", "redis", "c2pa", "postgres", "tracing"),
    "image-engine-cpu": ("worker", "embedded", "cpu", "redis", "tracing"),
    "image-engine": ("worker", "engine", "tracing"),
    "test": ("worker", "embedded", "dev"),
}
TOOLS = ("uv", "go", "node", "llm", "pipecat")
OPTIONS = ("--quiet", "--universal", "--generate-hashes", "--python-version", "3.11", "--no-emit-index-url")


def compile_all(*, upgrade: bool = False) -> None:
    """Versions stay as they are unless `upgrade`. "call" comes first: the others are held to its versions."""
    steps = Steps(len(EXTRAS) + len(TOOLS))
    for name in EXTRAS:
        sources = ["pyproject.toml", "requirements/build.in"]
        options = [option for extra in EXTRAS[name] for option in ("--extra", extra)]
        if name != "call":
            options += ["-c", "requirements/call.txt"]
        _compile(name, [*sources, *options], steps, upgrade)
    for name in TOOLS:
        no_deps = ["--no-deps"] if name == "llm" else []  # its dependency has no wheel, and we do not use it
        _compile(name, [f"requirements/{name}.in", *no_deps], steps, upgrade)


def _compile(name: str, arguments: list[str], steps: Steps, upgrade: bool) -> None:
    with steps.step(f"requirements/{name}.txt"):
        command: list[str | Path] = [uv.ensure(steps.life), "pip", "compile", *OPTIONS, *arguments]
        if upgrade:
            command.append("--upgrade")
        output = REQUIREMENTS / f"{name}.txt"
        env = os.environ | {"UV_CUSTOM_COMPILE_COMMAND": "make lock"}
        execute(f"uv pip compile of {name}", [*command, "-o", output], life=steps.life, env=env)
