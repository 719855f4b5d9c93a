"""WS /stream of the HTTP service: the engine protocol, for whoever has a key; the real engine behind it."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from http_parts import Engine, Service, Start, until

from tts_plugin.client import EngineClient
from tts_plugin.protocol import Audio, Stats
from tts_plugin.wire import decode_audio
from worker.api import relayed, socket_guards, stream_socket
from worker.keys import KeyFile

HELLO = "Hello, this is a short sentence."
LONG = "The library opens at nine in the morning on weekdays. " * 60


class Client:
    """A socket of the service, after its hello."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.hello: dict[str, Any] = {}

    async def send(self, kind: str, **fields: Any) -> None:
        await self.ws.send_str(json.dumps({"type": kind, **fields}))

    async def next(self) -> dict[str, Any] | Audio:
        message = await self.ws.receive(timeout=10)
        if message.type is aiohttp.WSMsgType.BINARY:
            return decode_audio(message.data)
        assert message.type is aiohttp.WSMsgType.TEXT, (message.type, message.data, message.extra)
        told: dict[str, Any] = json.loads(message.data)
        return told

    async def say(self, id: str, text: str, *, end: bool = True, klass: str | None = None, **fields: Any) -> None:
        if klass is not None:
            fields["class"] = klass
        await self.send("say", id=id, pace="fast", **fields)
        await self.send("text", id=id, text=text)
        if end:
            await self.send("end", id=id)

    async def all(self) -> list[dict[str, Any] | Audio]:
        """Up to and with the next done or failed."""
        heard = [await self.next()]
        while isinstance(heard[-1], Audio) or heard[-1]["type"] not in ("done", "failed"):
            heard.append(await self.next())
        return heard

    async def closed(self) -> tuple[int | None, str]:
        """The code and the reason with which the service closed, whatever came before."""
        while (message := await self.ws.receive(timeout=10)).type is not aiohttp.WSMsgType.CLOSE:
            assert message.type is not aiohttp.WSMsgType.CLOSED, self.ws.close_code
        return message.data, str(message.extra)


@asynccontextmanager
async def talking(service: Service, **options: Any) -> AsyncIterator[Client]:
    async with service.client.ws_connect("/stream", **options) as ws:
        client = Client(ws)
        await client.send("hello", protocol=1)
        hello = await client.next()
        assert isinstance(hello, dict)
        client.hello = hello
        yield client


def sound(heard: list[dict[str, Any] | Audio]) -> bytes:
    pieces = [item for item in heard if isinstance(item, Audio)]
    ends = [piece.offset + piece.samples for piece in pieces]
    assert [piece.offset for piece in pieces] == [0, *ends[:-1]]
    return b"".join(piece.pcm for piece in pieces)


def last(heard: list[dict[str, Any] | Audio]) -> dict[str, Any]:
    assert isinstance(heard[-1], dict)
    return heard[-1]


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


async def test_who_gives_no_credit_is_not_waited_for(
    start: Start, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relayed, "CREDIT_S", 0.2)
    async with talking(await start(engine_url=engine.url)) as client:
        await client.say("a", LONG, credit_samples=1_000)
        assert last(await client.all())["code"] == "timed_out"
        await until(lambda: engine.active == 0)


async def test_a_reader_who_does_not_read_is_cut_off(
    start: Start, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_guards, "READER_TIMEOUT_S", 0.3)
    service = await start(engine_url=engine.url)
    host, port = service.url.removeprefix("http://").split(":")
    key = base64.b64encode(os.urandom(16)).decode()
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        raw.connect((host, int(port)))
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        upgrade = f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        head = f"GET /stream HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: Upgrade\r\n{upgrade}\r\n"
        await loop.sock_sendall(raw, head.encode())
        assert (await loop.sock_recv(raw, 4_096)).startswith(b"HTTP/1.1 101")
        for message in (
            {"type": "hello", "protocol": 1},
            *({"type": "say", "id": id, "pace": "fast"} for id in "abcd"),
            *({"type": "text", "id": id, "text": LONG} for id in "abcd"),
        ):
            await loop.sock_sendall(raw, frame(json.dumps(message).encode()))
        await until(lambda: engine.active > 0)
        await until(lambda: engine.active == 0, within_s=30)  # none of them can be over by itself: it has no credit


def frame(payload: bytes, *, opcode: int = 1, final: bool = True) -> bytes:
    """A client's frame, its mask all zeros."""
    head = bytes([opcode | (0x80 if final else 0)])
    if len(payload) < 126:
        return head + bytes([0x80 | len(payload)]) + bytes(4) + payload
    return head + bytes([0x80 | 126]) + len(payload).to_bytes(2, "big") + bytes(4) + payload


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


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("{", "not JSON"),
        ("[1]", "JSON object"),
        ('{"type": "shout"}', "allowed: hello, say"),
        ('{"type": "say", "id": ""}', "new and not empty"),
        ('{"type": "say", "id": "x", "speed": 2}', "no field 'speed'"),
        ('{"type": "say", "id": "x", "class": "king"}', "allowed: call, interactive, file"),
        ('{"type": "say", "id": "x", "seed": -1}', "0 to 2^63"),
        ('{"type": "say", "id": "x", "credit_samples": -1}', "negative"),
        ('{"type": "credit", "id": "x", "samples": -1}', "negative"),
        ('{"type": "text", "id": "nobody", "text": "x"}', "nobody"),
        ('{"type": "text", "id": "a\\ud800", "text": "x"}', "printable"),
    ],
)
async def test_a_bad_message_is_named_and_costs_nothing_else(
    start: Start, engine: Engine, message: str, why: str
) -> None:
    async with talking(await start(engine_url=engine.url)) as client:
        await client.ws.send_str(message)
        refused = await client.next()
        assert isinstance(refused, dict)
        assert (refused["type"], refused["code"]) == ("failed", "bad_message")
        assert why in refused["message"]
        await client.say("a", HELLO)
        assert last(await client.all())["type"] == "done"


async def test_too_many_bad_messages_end_the_socket(start: Start, engine: Engine) -> None:
    async with talking(await start(engine_url=engine.url)) as client:
        for _ in range(21):
            await client.ws.send_bytes(b"\x00")
        assert await client.closed() == (1008, "more than 20 bad messages")


async def test_too_much_text_fails_that_utterance(start: Start, engine: Engine) -> None:
    async with talking(await start(engine_url=engine.url)) as client:
        await client.send("say", id="a", credit_samples=0)
        await client.send("text", id="a", text="x" * 20_001)
        assert last(await client.all())["code"] == "too_long"


async def test_a_message_may_have_64_kib(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    async with talking(service) as client:
        await client.ws.send_bytes(bytes(65_537))
        assert (await client.closed())[0] == 1009
    async with talking(service) as client:
        raw(client).write(frame(bytes(40_000), final=False) + frame(bytes(40_000), opcode=0))
        assert (await client.closed())[0] == 1009


def raw(client: Client) -> asyncio.Transport:
    """What lies under the socket: its client sends no wrong frames."""
    transport = client.ws._response.connection.transport  # type: ignore[union-attr]
    assert isinstance(transport, asyncio.Transport)
    return transport


async def test_text_that_is_no_utf8_ends_the_socket(start: Start, engine: Engine) -> None:
    async with talking(await start(engine_url=engine.url)) as client:
        raw(client).write(frame(b"\xff\xfe"))
        code, _ = await client.closed()
        assert code == 1007


@pytest.mark.parametrize("first", ['{"type": "hello", "protocol": 2}', '{"type": "say", "id": "a"}', "{"])
async def test_hello_comes_first(start: Start, engine: Engine, first: str) -> None:
    service = await start(engine_url=engine.url)
    async with service.client.ws_connect("/stream") as ws:
        await ws.send_str(first)
        assert await Client(ws).closed() == (1002, "the first message must be hello, protocol 1")


async def test_who_says_nothing_is_sent_away(start: Start, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    service = await start(engine_url=engine.url)
    monkeypatch.setattr(stream_socket, "HELLO_S", 0.1)
    async with service.client.ws_connect("/stream") as ws:
        assert await Client(ws).closed() == (1002, "no hello within 0.1 s")
    monkeypatch.setattr(stream_socket, "HELLO_S", 10.0)
    monkeypatch.setattr(stream_socket, "IDLE_S", 0.2)
    async with talking(service) as client:
        await client.say("a", HELLO, credit_samples=1_000)
        for _ in range(3):  # words are owed: it is not idle
            await client.next()
        await asyncio.sleep(0.5)
        await client.send("cancel", id="a")
        assert last(await client.all())["cancelled"] is True
        assert await client.closed() == (1000, "nothing was said for 0.2 s")


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


async def test_too_many_sockets_are_told_to_come_again(
    start: Start, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_socket, "MAX_SOCKETS", 1)
    service = await start(engine_url=engine.url)
    async with talking(service):
        async with service.client.ws_connect("/stream") as second:
            assert await Client(second).closed() == (1013, "1 sockets are open")
    async with talking(service) as client:
        assert client.hello["protocol"] == 1


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


# Who may: the gate and the limits.


@pytest.fixture
async def shop(start: Start, engine: Engine, tmp_path: Path) -> tuple[Service, str]:
    """A service that asks for keys, and a key of it."""
    keys = KeyFile(tmp_path / "api-keys.json")
    secret = keys.add("shop")[1]
    service = await start(
        engine_url=engine.url, api_keys_file=keys.path, open_on_loopback=False, requests_at_once=2, rate_per_minute=12
    )
    return service, secret


async def test_a_key_comes_in_the_header_or_as_a_protocol(shop: tuple[Service, str]) -> None:
    service, secret = shop
    async with talking(service, headers={"Authorization": f"Bearer {secret}"}) as client:
        assert client.ws.protocol is None
    async with talking(service, protocols=("tts-ops", f"tts-ops.key.{secret}")) as client:
        assert client.ws.protocol == "tts-ops"  # never the one that holds the key


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"headers": {"Authorization": "Bearer ttsops_wrong"}},
        {"protocols": ("tts-ops", "tts-ops.key.ttsops_wrong")},
        {"protocols": ("tts-ops", "tts-ops.key.")},
    ],
)
async def test_without_a_right_key_there_is_no_socket(shop: tuple[Service, str], options: dict[str, Any]) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await shop[0].client.ws_connect("/stream", **options)
    assert refused.value.status == 401


async def test_a_key_in_the_address_is_not_taken(shop: tuple[Service, str]) -> None:
    service, secret = shop
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await service.client.ws_connect(f"/stream?key={secret}")
    assert refused.value.status == 401


async def test_a_page_of_another_site_gets_no_socket(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await service.client.ws_connect("/stream", origin="https://elsewhere.example.test")
    assert refused.value.status == 403
    async with talking(service, origin=service.url) as client:
        assert client.hello["protocol"] == 1


async def test_sockets_of_a_key_are_counted(shop: tuple[Service, str]) -> None:
    service, secret = shop
    key: dict[str, Any] = {"headers": {"Authorization": f"Bearer {secret}"}}
    async with talking(service, **key), talking(service, **key):
        async with service.client.ws_connect("/stream", **key, protocols=("tts-ops",)) as third:
            assert third.protocol == "tts-ops"
            code, reason = await Client(third).closed()
            assert (code, "2 requests at once" in reason) == (1013, True)


async def test_utterances_of_a_key_are_counted_across_its_sockets(shop: tuple[Service, str]) -> None:
    service, secret = shop
    key: dict[str, Any] = {"headers": {"Authorization": f"Bearer {secret}"}}
    async with talking(service, **key) as one, talking(service, **key) as two:
        for id in "ab":
            await one.send("say", id=id)
            assert isinstance(await one.next(), dict)
        await two.send("say", id="c")
        assert last(await two.all())["message"] == "2 utterances at once are allowed"
        await one.send("cancel", id="a")
        assert last(await one.all())["cancelled"] is True
        await two.say("d", HELLO)
        assert last(await two.all())["type"] == "done"


async def test_each_utterance_counts_as_a_request(shop: tuple[Service, str]) -> None:
    service, secret = shop
    async with talking(service, headers={"Authorization": f"Bearer {secret}"}) as client:
        for n in range(20):
            await client.send("say", id=str(n))
            await client.send("cancel", id=str(n))
            told = last(await client.all())
            if told["type"] == "failed":
                break
    assert (told["code"], told["message"]) == ("at_capacity", "that is too many utterances a minute")
    assert n == 11  # the socket was the first of the 12 requests
    assert 1.0 <= told["retry_after_s"] <= 60.0
