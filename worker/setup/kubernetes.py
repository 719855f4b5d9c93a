"""A Kubernetes control plane for `make test-k8s`: three servers, built at a pinned version into `.tools/kubernetes`.

etcd and Prometheus are Debian's, or whatever PATH has. Nothing here starts anything.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from worker.setup import go
from worker.setup.places import TOOLS
from worker.setup.problem import Problem
from worker.setup.process import Command, execute

VERSION = "1.37.2"
SERVERS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
DEBIAN = {"etcd": "etcd-server", "prometheus": "prometheus", "ip": "iproute2"}  # programs → their packages
FOLDER = TOOLS / "kubernetes"
BIN = FOLDER / "bin"
_STAMP = FOLDER / "version"
_MODULE = "k8s.io/kubernetes"


def find() -> Path | None:
    """The folder that holds the three servers at VERSION, or None."""
    built = _STAMP.exists() and _STAMP.read_text() == VERSION and all((BIN / name).exists() for name in SERVERS)
    return BIN if built else None


def absent() -> tuple[str, ...]:
    """What the test needs and this machine lacks, by name."""
    servers = () if find() else (f"a control plane {VERSION} (`make test-k8s` builds it)",)
    return servers + tuple(name for name in DEBIAN if shutil.which(name) is None)


def ensure(life: Callable[[str], None]) -> bool:
    """Build the servers where they are missing: 6 minutes on two idle cores, 3 GB of memory. Raises Problem."""
    if find():
        return False
    work = FOLDER / "build"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    with go.toolchain(life) as (program, env):
        env = env | {"GOFLAGS": f"{env.get('GOFLAGS', '')} -mod=mod".strip()}
        life(f"fetching Kubernetes {VERSION}")
        (work / "go.mod").write_text(go_mod(_own_go_mod(program, env, work)))
        life(f"building {', '.join(SERVERS)} {VERSION}")
        packages = [f"{_MODULE}/cmd/{name}" for name in SERVERS]
        BIN.mkdir(parents=True, exist_ok=True)
        command: Command = [program, "build", "-p", "2", f"-ldflags={_ldflags()}", "-o", f"{BIN}/", *packages]
        execute("go build of Kubernetes", command, life=life, env=env, cwd=work)
    _STAMP.write_text(VERSION)
    shutil.rmtree(work, ignore_errors=True)
    return True


def go_mod(own: str) -> str:
    """Our module over theirs. `own`: their go.mod, which takes its parts from a folder that no module carries."""
    parts = sorted(set(re.findall(r"\./staging/src/(k8s\.io/[a-z0-9-]+)", own)))
    if not parts:
        raise Problem(f"the go.mod of {_MODULE} {VERSION} names no part below ./staging/src")
    version = f"v0{VERSION[VERSION.index('.') :]}"  # 1.37.2 is made of parts 0.37.2
    replaced = "\n".join(f"\t{part} => {part} {version}" for part in parts)
    head = f"module tools\n\ngo {go.OLDEST[0]}.{go.OLDEST[1]}.0\n\ngodebug default=go{go.OLDEST[0]}.{go.OLDEST[1]}\n"
    return f"{head}\nrequire {_MODULE} v{VERSION}\n\nreplace (\n{replaced}\n)\n"


def _own_go_mod(program: Path, env: dict[str, str], work: Path) -> str:
    command = [str(program), "mod", "download", "-json", f"{_MODULE}@v{VERSION}"]
    try:
        done = subprocess.run(command, env=env, cwd=work, capture_output=True, text=True, timeout=900)
    except (OSError, subprocess.SubprocessError) as error:
        raise Problem(f"Kubernetes {VERSION} could not be fetched: {error}") from error
    if done.returncode:
        raise Problem(f"Kubernetes {VERSION} could not be fetched: {(done.stdout + done.stderr).strip()[-300:]}")
    return Path(json.loads(done.stdout)["GoMod"]).read_text()


def _ldflags() -> str:
    """Without the version, helm takes the cluster for a v0.0.0."""
    where = "k8s.io/component-base/version"
    major, minor, _ = VERSION.split(".")
    told = {"gitVersion": f"v{VERSION}", "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s", "-w", *(f"-X {where}.{name}={value}" for name, value in told.items())])
