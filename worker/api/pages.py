"""The call page at `/`: the files of web_demo, and LiveKit's browser client, which set-up installs beside them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.responses import FileResponse
from starlette.routing import Match
from starlette.staticfiles import StaticFiles

from worker.api.errors import ApiError
from worker.setup import web_client

VENDOR_PATH = "/vendor/livekit-client.esm.mjs"
# What a page is made of. Everything else in the folder (package files, Python) stays there.
SERVED = {".html", ".js", ".mjs", ".css", ".svg", ".png", ".ico", ".webp", ".woff2", ".wav"}
_NO_CACHE = {"Cache-Control": "no-cache"}  # an unchanged file still costs a 304 only


def routes(folder: Path | None = None) -> APIRouter:
    """`folder`: where the page lies; None: the installed package web_demo."""
    folder = folder or web_folder()
    files = StaticFiles(directory=folder, check_dir=False) if folder else None
    router = APIRouter()

    @router.api_route(VENDOR_PATH, methods=["GET", "HEAD"], include_in_schema=False)
    def vendor() -> Response:
        file = web_client.find()
        if file is None:
            raise ApiError(503, "not_set_up", "LiveKit's browser client is not installed; `make setup` installs it.")
        return FileResponse(file, media_type="text/javascript", headers=_NO_CACHE)

    @router.api_route("/{path:path}", methods=["GET", "HEAD"], include_in_schema=False)
    async def page(path: str, request: Request) -> Response:
        if files is None:
            raise ApiError(503, "not_set_up", "The call page is not installed; install tts-ops with web_demo.")
        if allowed := _methods_of(request):
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(allowed))})
        name = path or "index.html"
        if PurePosixPath(name).suffix not in SERVED or "\0" in name or any(p[:1] == "." for p in name.split("/")):
            raise HTTPException(404)
        response = await files.get_response(name, request.scope)
        response.headers.update(_NO_CACHE)
        return response

    return router


def _methods_of(request: Request) -> set[str]:
    """What a route of this very path takes, where there is one; the page takes every path, with GET."""
    asked = {method: {**request.scope, "method": method} for method in ("POST", "PUT", "PATCH", "DELETE")}
    return {m for m, scope in asked.items() if any(r.matches(scope)[0] == Match.FULL for r in request.app.routes)}


def web_folder() -> Path | None:
    """Where the package web_demo is installed."""
    spec = find_spec("web_demo")
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None
