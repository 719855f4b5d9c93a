"""Programs that are built from the Go module index at a pinned version: one on PATH, else `.tools/bin/NAME`."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from worker.setup import go
from worker.setup.places import TOOLS
from worker.setup.process import Command, execute

BIN = TOOLS / "bin"
OLDEST_MODULE_GO = "1.25.0"  # what the module that only names another one is written for


@dataclass(frozen=True, slots=True)
class GoProgram:
    """`version` is built; from `oldest` on, one that is on PATH is taken instead (empty: none is looked for there)."""

    name: str
    package: str  # what is built
    module: str  # what its version is of
    version: str
    oldest: tuple[int, ...] = ()
    asks: tuple[str, ...] = ("--version",)
    by_require: bool = False  # its go.mod has replace directives, which `go install` refuses
    cgo: bool = False
    unsummed: str = ""  # modules that the checksum index does not have
    ldflags: str = "-s -w"

    @property
    def own(self) -> Path:
        return BIN / self.name

    @property
    def _stamp(self) -> Path:
        return BIN / f"{self.name}.version"

    def find(self) -> Path | None:
        """The program that is used, or None."""
        on_path = shutil.which(self.name) if self.oldest else None
        if on_path and self.version_of(Path(on_path)) >= self.oldest:
            return Path(on_path)
        return self.own if self._is_built() else None

    def version_of(self, program: Path) -> tuple[int, ...]:
        """What it says of itself, or () where it does not run."""
        try:
            done = subprocess.run([program, *self.asks], capture_output=True, text=True, timeout=20, check=True)
        except (OSError, subprocess.SubprocessError):
            return ()
        match = re.search(r"(\d+)\.(\d+)\.(\d+)", done.stdout + done.stderr)
        return tuple(map(int, match.groups())) if match else ()

    def build(self, program: Path, env: dict[str, str], life: Callable[[str], None]) -> None:
        work = _empty(TOOLS / "go-install")
        if self.cgo:
            env = env | {"CGO_ENABLED": "1"}
        if self.unsummed:
            env = env | {"GONOSUMDB": self.unsummed}
        made = work / "bin"
        flags = f"-ldflags={self.ldflags}"
        if self.by_require:
            env = env | {"GOFLAGS": f"{env.get('GOFLAGS', '')} -mod=mod".strip()}
            (work / "go.mod").write_text(
                f"module tools\n\ngo {OLDEST_MODULE_GO}\n\nrequire {self.module} v{self.version}\n"
            )
            command: Command = [program, "build", flags, "-o", str(made) + os.sep, self.package]
            made.mkdir()
        else:
            env = env | {"GOBIN": str(made)}
            command = [program, "install", flags, f"{self.package}@v{self.version}"]
        execute(f"go build of {self.name}", command, life=life, env=env, cwd=work)
        BIN.mkdir(parents=True, exist_ok=True)
        next(made.iterdir()).replace(self.own)
        self._stamp.write_text(self.version)
        shutil.rmtree(work, ignore_errors=True)

    def _is_built(self) -> bool:
        return self.own.exists() and self._stamp.exists() and self._stamp.read_text() == self.version


def ensure(programs: Iterable[GoProgram], life: Callable[[str], None]) -> bool:
    """Build those that are missing, with one toolchain. Returns whether there was anything to do; raises Problem."""
    missing = [program for program in programs if not program.find()]
    with contextlib.ExitStack() as stack:
        if missing:
            toolchain, env = stack.enter_context(go.toolchain(life))
        for program in missing:
            life(f"building {program.name} {program.version}")
            program.build(toolchain, env, life)
    return bool(missing)


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
