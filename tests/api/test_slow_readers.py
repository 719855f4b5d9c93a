"""Who asks for sound and does not read it is cut off, on every route that streams; the voice stops, others go on."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
from http_parts import Engine, Service, Start, until

from worker.api import guards
from worker.bench.scripted_llm import ScriptedLlm

LONG = "The library opens at nine in the morning on weekdays. " * 160
HELLO = "Hello, this is a short sentence."
SPEECH = {"model": "any", "input": LONG, "response_format": "pcm"}
ROUTES: dict[str, tuple[str, dict[str, Any]]] = {
    "wav": ("/synthesize", {"text": LONG, "stream": True}),
    "events": ("/synthesize", {"text": LONG, "timestamps": True}),
    "parts": ("/synthesize", {"text": LONG, "timestamps": True, "sample_rate": 48_000}),
    "chat": ("/chat", {"text": "Tell me.", "sample_rate": 48_000}),
    "chat events": ("/chat", {"text": "Tell me.", "format": "sse"}),
    "openai": ("/v1/audio/speech", SPEECH),
    "openai events": ("/v1/audio/speech", SPEECH | {"stream_format": "sse"}),
}


def deaf(service: Service, path: str, asked: dict[str, Any], accept: str) -> socket.socket:
    """Asks, and reads nothing: as little as can be waits for it in the machine's own buffers."""
    host, port = service.url.removeprefix("http://").split(":")
    each = socket.socket()
    each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    each.connect((host, int(port)))
    body = json.dumps(asked)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: {accept}\r\n"
    each.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    return each


def rest_of(each: socket.socket) -> bytes:
    """The last of what had been sent when it was cut off."""
    each.settimeout(10)
    last = b""
    try:
        while piece := each.recv(1_000_000):
            last = (last + piece)[-16:]
    except ConnectionResetError:
        return b""
    return last


@pytest.mark.parametrize("name", ROUTES)
async def test_who_does_not_read_is_cut_off_and_the_voice_stops(
    start: Start, engine: Engine, scripted: ScriptedLlm, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(guards, "READER_TIMEOUT_S", 0.3)
    scripted.answer(LONG, tokens_per_s=5_000)
    service = await start(engine_url=engine.url, openai_base_url=scripted.url)
    path, asked = ROUTES[name]
    each = deaf(service, path, asked, "multipart/mixed" if name == "parts" else "*/*")
    try:
        await until(lambda: engine.active == 1)
        admitted = engine.backend.statistics().admitted_total
        await until(lambda: engine.active == 0, within_s=20)
        assert engine.backend.statistics().admitted_total <= admitted + 1  # not spoken to its end, part after part
        async with service.client.post("/synthesize", json={"text": HELLO}) as response:
            assert response.status == 200
        assert not (await asyncio.to_thread(rest_of, each)).endswith(b"\r\n0\r\n\r\n")  # it has no end
    finally:
        each.close()
