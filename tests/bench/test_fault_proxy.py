"""The proxy that goes wrong: each fault as a client sees it, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import aiohttp
import pytest

from worker.bench.fault_proxy import Fault, FaultProxy, fault_proxy
from worker.bench.scripted_llm import Reply, scripted_llm

TEXT = "The gate is open now, and it will be open all day, until the sun goes down behind the hills."


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    with scripted_llm() as llm, fault_proxy(int(llm.url.split(":")[2].split("/")[0])) as proxy:
        llm.script = lambda _: Reply(TEXT, tokens_per_s=200)
        yield proxy


async def ask(proxy: FaultProxy, *, within_s: float = 10.0) -> tuple[int, bytes]:
    """Status and what came of the answer, until it ended, broke or took too long."""
    got = b""
    timeout = aiohttp.ClientTimeout(total=within_s)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        body = {"messages": [{"role": "user", "content": "?"}], "stream": True}
        async with http.post(f"{proxy.url}/v1/chat/completions", json=body) as answer:
            try:
                async for piece in answer.content.iter_any():
                    got += piece
            except (aiohttp.ClientError, TimeoutError):
                got += b"<broken>"
            return answer.status, got


async def test_without_a_fault_everything_passes(proxy: FaultProxy) -> None:
    status, got = await ask(proxy)
    assert status == 200
    assert got.endswith(b"data: [DONE]\n\n")
    assert (proxy.struck, proxy.asked > 0) == (0, True)


@pytest.mark.parametrize("code", [429, 500])
async def test_a_status_is_answered_without_asking_the_other_side(proxy: FaultProxy, code: int) -> None:
    proxy.fault = Fault("status", status=code)
    assert (await ask(proxy))[0] == code


async def test_a_reset_breaks_the_connection(proxy: FaultProxy) -> None:
    proxy.fault = Fault("reset")
    with pytest.raises(aiohttp.ClientError):
        await ask(proxy)


@pytest.mark.parametrize("kind", ["reset", "cut", "garbage"])
async def test_a_fault_in_the_middle_lets_the_beginning_pass(proxy: FaultProxy, kind: str) -> None:
    proxy.fault = Fault(kind, after=1_500)  # type: ignore[arg-type]
    status, got = await ask(proxy)
    assert status == 200
    assert b"gate" in got
    assert b"[DONE]" not in got


async def test_a_stall_holds_the_answer_until_it_is_over(proxy: FaultProxy) -> None:
    proxy.fault = Fault("stall", after=1_500)
    asking = asyncio.create_task(ask(proxy))
    while proxy.struck == 0:
        await asyncio.sleep(0.01)
    await asyncio.wait({asking}, timeout=0.3)
    assert not asking.done()
    proxy.strike(Fault("none"))
    assert (await asking)[1].endswith(b"data: [DONE]\n\n")


async def test_a_drip_gives_a_byte_at_a_time(proxy: FaultProxy) -> None:
    proxy.fault = Fault("drip", after=1_500)
    status, got = await ask(proxy, within_s=2.5)
    assert status == 200
    assert got.endswith(b"<broken>")
    assert 1 <= proxy.struck <= 4


async def test_a_healed_proxy_serves_new_connections(proxy: FaultProxy) -> None:
    proxy.fault = Fault("stall")
    asking = asyncio.create_task(ask(proxy))
    while proxy.struck == 0:
        await asyncio.sleep(0.01)
    proxy.heal()
    with pytest.raises(aiohttp.ClientError):
        await asking
    assert (await ask(proxy))[1].endswith(b"data: [DONE]\n\n")
