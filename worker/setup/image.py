"""What is installed into a container image (deploy/docker/Dockerfile): in two steps, so that code alone changes little.

`packages` needs requirements/, worker/setup/ and web_demo's package files only; `project` needs the tree.
"""

from __future__ import annotations

import shutil
import sys

from worker.setup import sbom, uv, web_client
from worker.setup.places import REQUIREMENTS, ROOT, TOOLS, VENV, VENV_PYTHON
from worker.setup.problem import Problem
from worker.setup.process import Command, execute

# image → (its lock, whether it holds the embedded language model, whether it serves the call page)
KINDS = {
    "engine": ("image-engine", False, False),
    "engine-cpu": ("image-engine-cpu", True, False),
    "worker": ("image-service", False, False),
    "service": ("image-service", False, True),
}


def packages(kind: str) -> None:
    """Everything from the package indexes. Raises Problem."""
    lock, language_model, page = _parts(kind)
    program = uv.ensure(_tell)
    execute("uv venv", [program, "venv", "--clear", "--python", sys.executable, VENV], life=_tell)
    locks = [REQUIREMENTS / f"{lock}.txt", *([REQUIREMENTS / "llm.txt"] if language_model else [])]
    sync: Command = [program, "pip", "sync", "--python", VENV_PYTHON, "--require-hashes", "--compile-bytecode", *locks]
    execute("uv pip sync", sync, life=_tell)
    if page:
        web_client.ensure(_tell)


def project(kind: str) -> None:
    """This project itself, and the list of all that is in the image. Removes what only the installation needed."""
    _parts(kind)
    command: Command = [uv.ensure(_tell), "pip", "install", "--python", VENV_PYTHON, "--no-deps", "--offline"]
    execute("uv pip install", [*command, "--no-build-isolation", "--editable", ROOT], life=_tell)
    sbom.write(ROOT / "sbom.cdx.json", VENV_PYTHON, name=f"tts-ops-{kind}")
    shutil.rmtree(TOOLS / "uv", ignore_errors=True)


def _parts(kind: str) -> tuple[str, bool, bool]:
    if kind not in KINDS:
        raise Problem(f"there is no image {kind!r}; there are {', '.join(KINDS)}")
    return KINDS[kind]


def _tell(text: str) -> None:
    print(text, flush=True)
