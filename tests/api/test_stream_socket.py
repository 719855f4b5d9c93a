"""WS /stream of the HTTP service: the engine protocol, with the real engine behind it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from http_parts import Engine, Start, until
from stream_parts import HELLO, LONG, Client, last, sound, talking

from tts_plugin.client import EngineClient
from tts_plugin.protocol import Audio, Stats
from worker.api import stream_socket


async def test_text_goes_up_as_it_comes_and_sound_comes_down(start: Start, engine: Engine) -> None:
    async with talking(await start(engine_url=engine.url)) as client:
        assert client.hello["engine"] == "embedded"
        assert "alloy" in client.hello["voices"]
        await client.say("a", "Hello the", end=False)
        started = await client.next()
        assert started == {"type": "started", "id": "a", "sample_rate_hz": 24_000, "voice": "heart"}
        await client.send("text", id="a", text="re. And more of")
        await client.send("text", id="a", text=" it.")
        await client.send("end", id="a")
        heard = await client.all()
    words = [word for item in heard if isinstance(item, dict) and item["type"] == "words" for word in item["words"]]
    assert "".join("Hello there. And more of it."[w["source_start"] : w["source_end"]] for w in words) == (
        "Hello there. And more of it."
    )
    assert last(heard)["samples"] == len(sound(heard)) // 2 > 24_000
    assert last(heard)["stats"]["characters"] > 0


async def test_a_client_of_the_engine_is_a_client_of_the_service(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    client = EngineClient(service.url)
    try:
        utterance = await client.say(seed=3)
        utterance.feed(HELLO)
        utterance.end()
        samples = sum([item.samples async for item in utterance if isinstance(item, Audio)])
    finally:
        await client.aclose()
    assert samples == utterance.samples > 24_000
    assert isinstance(utterance.stats, Stats)


async def test_many_utterances_on_one_socket_do_not_mix(start: Start, start_engine: Callable[..., Engine]) -> None:
    engine = start_engine(max_batch_size=3)
    async with talking(await start(engine_url=engine.url)) as client:
        for id, text in (("a", HELLO), ("b", "Something else is said here."), ("a2", HELLO)):
            await client.say(id, text, seed=5)
        heard: dict[str, list[dict[str, Any] | Audio]] = {"a": [], "b": [], "a2": []}
        done = 0
        while done < len(heard):
            item = await client.next()
            heard[item.id if isinstance(item, Audio) else item["id"]].append(item)
            done += isinstance(item, dict) and item["type"] == "done"
    assert sound(heard["a"]) == sound(heard["a2"]) != sound(heard["b"])


async def test_a_cancel_frees_the_engine_within_300_ms_and_the_socket_lives(start: Start, engine: Engine) -> None:
    async with talking(await start(engine_url=engine.url)) as client:
        await client.say("a", LONG)
        await until(lambda: engine.active == 1)
        begun_s = time.monotonic()
        await client.send("cancel", id="a")
        await until(lambda: engine.active == 0)
        assert time.monotonic() - begun_s < 0.6  # 0.3, and as much for a busy machine
        assert last(await client.all())["cancelled"] is True
        await client.say("b", HELLO)
        assert last(await client.all())["type"] == "done"


async def test_a_client_who_vanishes_frees_the_engine_within_300_ms(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    async with talking(service) as client:
        await client.say("a", LONG)
        await client.say("b", LONG)
        await until(lambda: engine.active > 0)
        begun_s = time.monotonic()
        transport = client.ws.get_extra_info("socket")
        transport.shutdown(socket.SHUT_RDWR)
        await until(lambda: engine.active == 0)
        assert time.monotonic() - begun_s < 0.6


async def test_nobody_speaks_as_a_call(start: Start, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    classes: list[str] = []
    admit = engine.backend.admit

    def noted(say: Any, emit: Any) -> Any:
        classes.append(say.klass)
        return admit(say, emit)

    monkeypatch.setattr(engine.backend, "admit", noted)
    async with talking(await start(engine_url=engine.url)) as client:
        for id, klass in (("a", None), ("b", "call"), ("c", "file")):
            await client.say(id, HELLO, klass=klass)
            await client.all()
    assert classes == ["interactive", "interactive", "file"]


async def test_sound_waits_for_credit(start: Start, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking(await start(engine_url=engine.url)) as client:
        await client.say("a", HELLO, credit_samples=1_000)
        heard = [await client.next()]
        while not any(isinstance(item, Audio) for item in heard):
            heard.append(await client.next())
        with pytest.raises(TimeoutError):
            await client.ws.receive(timeout=0.3)
        await client.send("credit", id="a", samples=500_000)
        heard += await client.all()
    assert min(item.samples for item in heard if isinstance(item, Audio)) <= 1_000
    assert len(sound(heard)) == 2 * last(heard)["samples"]


async def test_a_full_engine_refuses_and_the_socket_lives(start: Start, start_engine: Callable[..., Engine]) -> None:
    engine = start_engine(max_batch_size=1)
    async with talking(await start(engine_url=engine.url)) as client:
        await client.say("a", LONG, credit_samples=1_000)
        await until(lambda: engine.active == 1)
        await client.say("b", HELLO)
        refused = last(await client.all())
        assert (refused["id"], refused["code"], refused["retryable"]) == ("b", "at_capacity", True)
        await client.send("cancel", id="a")
        assert last(await client.all())["cancelled"] is True


async def test_refusals_do_not_end_what_is_being_said(start: Start, start_engine: Callable[..., Engine]) -> None:
    """All of them go over the one socket that the service has to the engine."""
    engine = start_engine(max_batch_size=1)
    service = await start(engine_url=engine.url)
    async with talking(service) as client:
        await client.say("a", LONG, credit_samples=1_000)
        await until(lambda: engine.active == 1)
        for _ in range(25):
            async with service.client.post("/synthesize", json={"text": HELLO, "stream": True}) as response:
                assert response.status == 503
        assert engine.active == 1
        await client.send("cancel", id="a")
        assert last(await client.all())["cancelled"] is True


async def test_a_socket_carries_so_many_utterances_at_once(start: Start, engine: Engine) -> None:
    async with talking(await start(engine_url=engine.url)) as client:
        for n in range(stream_socket.MAX_UTTERANCES + 1):
            await client.send("say", id=str(n))
        refused = [await client.next() for _ in range(stream_socket.MAX_UTTERANCES + 1)]
    assert [r["message"] for r in refused if isinstance(r, dict) and r.get("id") == str(stream_socket.MAX_UTTERANCES)]


async def test_without_an_engine_it_says_try_again_later(start: Start) -> None:
    service = await start()
    async with service.client.ws_connect("/stream") as ws:
        await ws.send_str('{"type": "hello", "protocol": 1}')
        assert await Client(ws).closed() == (1013, "the voice engine does not answer")


async def test_a_lost_engine_ends_what_is_said_and_the_next_one_is_found(
    start: Start, start_engine: Callable[..., Engine]
) -> None:
    first = start_engine()
    async with talking(await start(engine_url=first.url)) as client:
        await client.say("a", LONG, credit_samples=1_000)
        await until(lambda: first.active == 1)
        await asyncio.to_thread(first.stop)
        failed = last(await client.all())
        assert failed["retryable"] is True
        assert "127.0.0.1" not in failed["message"]
        await client.say("b", HELLO)
        assert last(await client.all())["code"] == "engine_error"
        start_engine(first.port)
        await client.say("c", HELLO)
        told = last(await client.all())
        assert told["type"] == "done", told


async def test_sockets_and_utterances_are_counted(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)

    async def metric(name: str) -> float:
        async with service.client.get("/metrics") as response:
            lines = (await response.text()).splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name)), 0.0)

    async with talking(service) as client:
        await client.say("a", HELLO)
        await client.all()
        await client.say("b", HELLO, voice="nobody")
        assert last(await client.all())["code"] == "unknown_voice"
        assert await metric("voice_http_streams") == 1
    for result in ("done", "unknown_voice"):
        assert await metric(f'voice_http_stream_utterances_total{{result="{result}"}}') == 1
    async with asyncio.timeout(5):
        while await metric("voice_http_streams"):
            await asyncio.sleep(0.02)
