"""The call page and LiveKit's browser client."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from http_parts import Start

from worker.api import pages
from worker.setup import web_client


async def test_the_page_is_served_at_the_root(start: Start, root: Path) -> None:
    service = await start()
    async with service.client.get("/") as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        assert await response.read() == (root / "web_demo" / "index.html").read_bytes()


async def test_a_script_has_a_type_that_browsers_run(start: Start) -> None:
    service = await start()
    async with service.client.get("/main.js") as response:
        assert response.status == 200
        assert response.content_type == "text/javascript"


@pytest.mark.parametrize(
    "path",
    [
        "/__init__.py",
        "/package.json",
        "/../worker/settings.py",
        "/..%2fREADME.md",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/%2e%2e/worker/api/app.js",
        "/%2fetc%2fpasswd.html",
        "/main.js%00.html",
        "/.hidden.js",
        "/" + "a" * 5000 + ".js",
    ],
)
async def test_nothing_else_is_served(start: Start, path: str) -> None:
    from yarl import URL

    service = await start()
    async with service.client.get(URL(service.url + path, encoded=True)) as response:
        assert response.status == 404


async def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    from fastapi import FastAPI
    from starlette.testclient import TestClient

    (tmp_path / "secret.html").write_text("secret")
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "link.html").symlink_to(tmp_path / "secret.html")
    app = FastAPI()
    app.include_router(pages.routes(folder))
    assert TestClient(app).get("/link.html").status_code == 404


async def test_livekits_client_is_served_beside_the_page(start: Start, missing: Callable[[str], NoReturn]) -> None:
    file = web_client.find() or missing("LiveKit's browser client (`make setup` installs it)")
    service = await start()
    async with service.client.get(pages.VENDOR_PATH) as response:
        assert response.content_type == "text/javascript"
        assert await response.read() == file.read_bytes()


async def test_without_livekits_client_the_answer_says_what_mends_it(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(web_client, "OWN", tmp_path / "none.mjs")
    service = await start()
    async with service.client.get(pages.VENDOR_PATH) as response:
        assert response.status == 503
        assert "make setup" in (await response.json())["message"]


async def test_an_unchanged_file_is_not_sent_again(start: Start) -> None:
    service = await start()
    async with service.client.get("/main.js") as response:
        tag = response.headers["ETag"]
    async with service.client.get("/main.js", headers={"If-None-Match": tag}) as response:
        assert response.status == 304
