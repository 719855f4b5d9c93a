"""/health, /livez, /readyz and /metrics of the HTTP service."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from http_parts import Start, StartFleet, serving


async def test_health_names_what_is_missing_and_stays_200(start: Start) -> None:
    service = await start()
    async with service.client.get("/health") as response:
        said = await response.json()
    assert response.status == 200
    assert said["status"] == "degraded"
    assert said["engine"] == {"status": "unreachable"}
    assert said["livekit"] == {"status": "unreachable"}
    assert said["fleet"] == {"workers": 0, "capacity": 0, "active": 0, "free": 0}


async def test_health_is_ok_when_every_neighbour_answers(start: Start, start_fleet: StartFleet) -> None:
    fleet = await start_fleet()
    fleet.begin("a")

    async def engine(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "backend": "embedded", "device": "cpu", "slots": 4})

    async def livekit(_: web.Request) -> web.Response:
        return web.Response(text="OK")

    async with serving("GET", "/health", engine) as engine_url, serving("GET", "/", livekit) as livekit_url:
        service = await start(
            engine_url=engine_url, livekit_url=livekit_url.replace("http", "ws"), worker_urls=(fleet.url,)
        )
        said = await service.health(lambda said: said["status"] == "ok")
    assert said["parts"]["voice"] == "Hibari (embedded)"
    assert said["parts"]["device"] == "cpu"
    assert said["fleet"] == {"workers": 1, "capacity": 2, "active": 1, "free": 1}


async def test_parts_say_where_embedded_ones_are_weak_and_what_mends_it(start: Start) -> None:
    service = await start(tts_backend="embedded")
    parts = (await service.health(lambda _: True))["parts"]
    notes = " ".join(parts["notes"])
    assert parts.keys() == {"stt", "llm", "voice", "device", "notes"}
    for setting in ("STT_PROVIDER", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "TTS_BACKEND"):
        assert setting in notes


async def test_it_is_alive_and_ready_without_any_neighbour(start: Start) -> None:
    service = await start()
    await service.health(lambda _: True)
    for path in ("/livez", "/readyz"):
        async with service.client.get(path) as response:
            assert response.status == 200, path


async def test_metrics_name_routes_by_their_pattern(start: Start) -> None:
    service = await start()
    await service.client.get("/some/secret/path")
    await service.client.post("/synthesize", json={"text": "a"})
    async with service.client.get("/metrics") as response:
        text = await response.text()
    assert response.content_type == "text/plain"
    assert 'voice_http_requests_total{route="/{path:path}",status="404"} 1.0' in text
    assert 'voice_http_requests_total{route="/synthesize",status="503"} 1.0' in text
    assert 'voice_http_first_byte_seconds_count{route="/synthesize"} 1.0' in text
    assert "secret" not in text


async def test_how_late_its_loop_is_can_be_read(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.loop_watch.REPORT_S", 0.2)
    service = await start()
    async with asyncio.timeout(10):
        while True:
            async with service.client.get("/metrics") as response:
                text = await response.text()
            if 'voice_loop_lag_seconds_count{process="serve"} 0.0' not in text:
                break
            await asyncio.sleep(0.05)
    assert 'voice_loop_lag_seconds_bucket{le="5.0",process="serve"}' in text


async def test_many_who_ask_for_health_cost_the_engine_one_question(start: Start) -> None:
    asked = 0

    async def engine(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response({"status": "ok"})

    async with serving("GET", "/health", engine) as url:
        service = await start(engine_url=url)
        for _ in range(10):
            await service.client.get("/health")
    assert asked == 1
