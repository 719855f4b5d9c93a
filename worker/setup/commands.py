"""What `python -m worker.setup WORD` does: the order of the steps of each make target."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator

from worker.setup import (
    charts,
    debian,
    environment,
    go_program,
    image,
    kubernetes,
    livekit_server,
    livekit_sip,
    locks,
    machine,
    pipecat,
    stages,
    uv,
    web_client,
)
from worker.setup.places import ROOT, TOOLS, VENV, VENV_PYTHON
from worker.setup.problem import Problem, from_os_error
from worker.setup.steps import Steps

USAGE = (
    "usage: python -m worker.setup call|phone|test|test-phone|test-deploy|test-k8s|test-fault|test-soak|unit|"
    "lint|setup|vibevoice|vibevoice-cpu|doctor|lock [--upgrade]|clean"
)


def main(arguments: list[str]) -> int:
    """Exit code; whatever goes wrong ends in one line on standard error."""
    try:
        return _run(arguments)
    except Problem as problem:
        print(f"make: {problem}", file=sys.stderr)
    except OSError as error:
        print(f"make: {from_os_error(error)}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nmake: stopped; what is done already is kept", file=sys.stderr)
        return 130
    return 1


def _run(arguments: list[str]) -> int:
    match arguments:
        case ["call"]:
            set_up("call")
            _become("dev")
        case ["phone"]:
            set_up("call", phone=True)
            _become("dev", "--phone")
        case ["doctor"]:
            if not VENV_PYTHON.exists():  # it tells what is old in an environment; it does not change one
                raise Problem("there is no .venv yet: `make setup` makes it, then `make doctor` looks at it")
            _become("doctor")
        case ["setup"]:
            set_up("call")
        case ["vibevoice"]:
            set_up("vibevoice")
        case ["vibevoice-cpu"]:
            set_up("cpu")
        case ["test"]:
            set_up("test")
            return stages.run_all(stages.ALL)
        case ["unit"]:
            set_up("test")
            return stages.run_all((stages.UNIT,))
        case ["test-fault"]:
            set_up("test")
            return stages.run_all((stages.ALL_FAULTS,))
        case ["test-soak"]:
            set_up("test")
            return stages.run_all((stages.SOAK,))
        case ["test-phone"]:
            set_up("test")
            return stages.run_all((stages.PHONE,))
        case ["test-deploy"]:
            set_up("test")
            return stages.run_all((stages.DEPLOY,))
        case ["test-k8s"]:
            set_up("test")
            with _alone():
                debian.ensure(print, kubernetes.DEBIAN)
                kubernetes.ensure(print)
            return stages.run_all((stages.K8S,))
        case ["lint"]:
            with _alone():
                environment.ensure("test", print)
            return stages.run_all(stages.STATIC)
        case ["image-packages", str() as kind]:
            image.packages(kind)
        case ["image-project", str() as kind]:
            image.project(kind)
        case ["lock"]:
            locks.compile_all()
        case ["lock", "--upgrade"]:
            locks.compile_all(upgrade=True)
        case ["clean"]:
            clean()
        case _:
            raise Problem(USAGE)
    return 0


def set_up(kind: environment.Kind, *, phone: bool = False) -> None:
    """Everything that a call needs, or that the tests need on top; what is there already is left alone."""
    phone = phone or kind == "test"
    steps = Steps(5 + 2 * phone + (kind == "test"))
    with _alone():
        with steps.step("This machine"):
            machine.check()
            debian.ensure_openmp(steps.life)
            if not VENV_PYTHON.exists() and not livekit_server.find():
                machine.check_disk(machine.COLD_BYTES[kind])
        if phone:
            with steps.step("System packages"):
                debian.ensure(steps.life, debian.TESTS if kind == "test" else debian.PHONE)
        with steps.step("uv, the installer"):
            if not environment.is_current(kind):
                uv.ensure(steps.life)
        with steps.step("Python packages"):
            environment.ensure(kind, steps.life)
        with steps.step("livekit-server"):
            livekit_server.ensure(steps.life)
        with steps.step("Web client"):
            web_client.ensure(steps.life)
        if kind == "test":
            with steps.step("livekit-sip, helm, helm-unittest, compose-go"):
                go_program.ensure([livekit_sip.PROGRAM, *charts.PROGRAMS], steps.life)
            with steps.step("pipecat, for a test"):
                pipecat.ensure(steps.life)
        elif phone:
            with steps.step("livekit-sip"):
                go_program.ensure([livekit_sip.PROGRAM], steps.life)


def clean() -> None:
    """Remove what set-up and tests made in this checkout."""
    for folder in (VENV, TOOLS, ROOT / "build", ROOT / "dist"):
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One set-up at a time in a checkout."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up is at work in this folder; waiting for it …", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _become(*words: str) -> None:
    sys.stdout.flush()
    os.chdir(ROOT)
    os.execv(VENV_PYTHON, [str(VENV_PYTHON), "-m", "worker.cli", *words])  # noqa: S606 - Ctrl-C goes straight to it
