"""Programs and files beside Python: livekit-server, the web client, and what brings them."""

from __future__ import annotations

import shutil

from worker.doctor.finding import Finding, missing, note, ok
from worker.settings import Settings
from worker.setup import go, livekit_server, livekit_sip, uv, web_client


def look_at_tools(settings: Settings) -> list[Finding]:
    return [_livekit_server(settings), _web_client(), _uv(), _go(), _npm(), *_phone()]


def _livekit_server(settings: Settings) -> Finding:
    from worker.dev import starts_livekit

    name = "livekit-server"
    if program := livekit_server.find():
        version = ".".join(map(str, livekit_server.PROGRAM.version_of(program)))
        if version:
            return ok(name, f"{version} ({program})")
        return missing(name, f"{program} does not run", "remove it, then make setup")
    if not starts_livekit(settings):
        return note(name, "not here; LIVEKIT_URL names another one")
    return missing(name, "not found", "make setup")


def _web_client() -> Finding:
    found = web_client.find()
    return ok("web client", str(found)) if found else missing("web client", "livekit-client is not there", "make setup")


def _uv() -> Finding:
    found = uv.find()
    return ok("uv", str(found)) if found else note("uv", "not here; set-up brings it")


def _go() -> Finding:
    found = go.find()
    return ok("go", str(found)) if found else note("go", "none of 1.26 or newer; set-up brings one when it is needed")


def _npm() -> Finding:
    found = shutil.which("npm")
    return ok("npm", found) if found else note("npm", "not here; set-up brings one when it is needed")


def _phone() -> list[Finding]:
    """Only for telephones; nothing else misses them."""
    redis, bridge = shutil.which("redis-server"), livekit_sip.PROGRAM.find()
    return [
        ok("redis-server", redis)
        if redis
        else note("redis-server", "not here; for telephones: apt install redis-server"),
        ok("livekit-sip", str(bridge)) if bridge else note("livekit-sip", "not here; `make call PHONE=1` builds it"),
    ]
