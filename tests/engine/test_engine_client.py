import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager

import pytest
from aiohttp import web

from tts_plugin.client import EngineClient, EngineFailed, EngineUnreachable, Utterance
from tts_plugin.engine.embedded import EmbeddedBackend
from tts_plugin.protocol import Audio, Started, Words

Serve = Callable[..., AbstractContextManager[str]]
LONG = " ".join(f"Sentence number {n} tells you something about the weather today." for n in range(1, 16))


@pytest.fixture
async def client(server_url: str) -> AsyncIterator[EngineClient]:
    client = EngineClient(server_url)
    yield client
    await client.aclose()


@pytest.fixture(autouse=True)
async def _no_task_is_left_behind() -> AsyncIterator[None]:
    yield
    left = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("engine-client")]
    assert not left


async def collect(utterance: Utterance) -> list[Started | Audio | Words]:
    async with asyncio.timeout(20):
        return [item async for item in utterance]


async def until(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        await asyncio.sleep(0.005)


async def speak(client: EngineClient, text: str, **options: object) -> list[Started | Audio | Words]:
    utterance = await client.say(**options)  # type: ignore[arg-type]
    utterance.feed(text)
    utterance.end()
    return await collect(utterance)


async def test_text_goes_up_and_audio_comes_down(client: EngineClient) -> None:
    utterance = await client.say()
    utterance.feed("Hello there, ")
    utterance.feed("my friend.")
    utterance.end()
    items = await collect(utterance)
    assert isinstance(items[0], Started)
    assert utterance.stats is not None
    assert utterance.samples == sum(item.samples for item in items if isinstance(item, Audio)) > 10_000
    assert utterance.stats.characters == len("Hello there, my friend.")


async def test_many_utterances_share_one_socket_and_none_gets_the_audio_of_another(client: EngineClient) -> None:
    texts = [f"Number {n} speaks." for n in range(8)]
    alone = [await speak(client, text, seed=n) for n, text in enumerate(texts)]
    together = await asyncio.gather(*(speak(client, text, seed=n) for n, text in enumerate(texts)))
    assert [pcm(items) for items in together] == [pcm(items) for items in alone]


async def test_a_long_text_is_heard_whole_because_credit_goes_back(client: EngineClient) -> None:
    utterance = await client.say(pace="fast")
    utterance.feed(LONG)
    utterance.end()
    await collect(utterance)
    assert utterance.samples > 35 * 24_000  # more than a window of 30 s


async def test_cancel_returns_at_once_ends_the_iteration_and_frees_the_slot(
    client: EngineClient, backend: EmbeddedBackend
) -> None:
    utterance = await client.say()
    utterance.feed(LONG)
    await anext(utterance)
    started = time.perf_counter()
    utterance.cancel()
    assert time.perf_counter() - started < 0.005
    assert await collect(utterance) == []
    await until(lambda: backend.statistics().active == 0, within_s=1)


async def test_after_the_end_nothing_raises_and_nothing_is_sent(client: EngineClient) -> None:
    utterance = await client.say()
    utterance.feed("Hi.")
    utterance.end()
    await collect(utterance)
    utterance.feed("more")
    utterance.end()
    utterance.played(3)
    utterance.cancel()
    assert await speak(client, "Still here.")


async def test_a_refusal_says_why_and_when_to_try_again(
    make_backend: Callable[..., EmbeddedBackend], serve: Serve
) -> None:
    with serve(make_backend(max_batch_size=1)) as url:
        client = EngineClient(url)
        first = await client.say()
        with pytest.raises(EngineFailed) as failed:
            await collect(await client.say())
        assert (failed.value.code, failed.value.retryable) == ("at_capacity", True)
        assert failed.value.retry_after_s
        first.cancel()
        await client.aclose()


async def test_an_unknown_voice_fails_with_what_is_allowed(client: EngineClient) -> None:
    with pytest.raises(EngineFailed, match="heart") as failed:
        await collect(await client.say(voice="bob"))
    assert failed.value.code == "unknown_voice"


async def test_a_refused_port_is_unreachable_at_once(unused_port: int) -> None:
    client = EngineClient(f"http://127.0.0.1:{unused_port}")
    with pytest.raises(EngineUnreachable):
        await client.say()
    await client.aclose()


async def test_an_engine_that_does_not_answer_is_unreachable_after_the_deadline() -> None:
    accepted = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await reader.read()  # until the client leaves
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    client = EngineClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", connect_timeout_s=0.2)
    started = time.monotonic()
    with pytest.raises(EngineUnreachable, match=r"within 0\.2 s"):
        await client.say()
    assert accepted.is_set()
    assert time.monotonic() - started < 1.0
    await client.aclose()
    server.close()
    await server.wait_closed()


async def test_a_server_that_speaks_no_protocol_is_unreachable() -> None:
    async def answer(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("hi")
        await socket.receive()
        return socket

    app = web.Application()
    app.router.add_get("/stream", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    client = EngineClient(f"http://127.0.0.1:{runner.addresses[0][1]}")
    with pytest.raises(EngineUnreachable, match="not JSON"):
        await client.say()
    await client.aclose()
    await runner.cleanup()


async def test_a_frozen_engine_ends_its_utterances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tts_plugin.connection._HEARTBEAT_S", 0.2)
    client_left = asyncio.Event()

    async def freeze(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        await socket.send_str('{"type":"hello","protocol":1}')
        await client_left.wait()
        return socket

    app = web.Application()
    app.router.add_get("/stream", freeze)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = EngineClient(f"http://127.0.0.1:{runner.addresses[0][1]}")
    utterance = await client.say()
    async with asyncio.timeout(3):
        with pytest.raises(EngineUnreachable):
            await anext(utterance)
    client_left.set()
    await client.aclose()
    await runner.cleanup()


async def test_when_the_engine_dies_open_utterances_end_and_the_next_say_connects_again(
    make_backend: Callable[..., EmbeddedBackend], serve: Serve, unused_port: int
) -> None:
    client = EngineClient(f"http://127.0.0.1:{unused_port}")
    with serve(make_backend(), unused_port):
        lost = await client.say()
        lost.feed("I will be cut off, ")
        await anext(lost)
    with pytest.raises(EngineUnreachable):
        await collect(lost)
    with serve(make_backend(), unused_port):
        assert await speak(client, "Back again.")
    await client.aclose()


async def test_closing_the_client_ends_its_utterances_and_frees_their_slots(
    server_url: str, backend: EmbeddedBackend
) -> None:
    client = EngineClient(server_url)
    utterance = await client.say()
    await anext(utterance)
    await client.aclose()
    with pytest.raises(EngineUnreachable):
        await collect(utterance)
    with pytest.raises(EngineUnreachable):
        await client.say()
    await until(lambda: backend.statistics().active == 0)


async def test_the_engine_lists_its_voices(client: EngineClient) -> None:
    assert [voice["id"] for voice in await client.voices()] == ["heart"]


async def test_lone_surrogates_in_a_delta_are_no_error(client: EngineClient) -> None:
    assert pcm(await speak(client, "Hello \ud83d there."))


@pytest.mark.parametrize("url", ["127.0.0.1:8001", "ftp://x", ""])
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="allowed"):
        EngineClient(url)


@pytest.mark.parametrize("url", ["ws://h:1/stream", "http://h:1/", "http://h:1"])
def test_every_way_to_write_the_address_is_taken(url: str) -> None:
    assert EngineClient(url).base_url == "http://h:1"


def pcm(items: list[Started | Audio | Words]) -> bytes:
    return b"".join(item.pcm for item in items if isinstance(item, Audio))
