"""`tts-ops load http`: requests for sound at a given rate, whatever becomes of them."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aiohttp
import psutil

from worker.bench.sentences import SENTENCES
from worker.load.clients import Client, HttpClient, SocketClient
from worker.load.schedule import Kind, due
from worker.load.spoken import Spoken

TAIL_S = 90.0  # after the last one, for what is still being said
MOST_AT_ONCE = 2_000  # sockets of this process; beyond it a request is counted as not sent
PROGRESS_S = 2.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """`rps` requests a second for `duration_s`; `texts` in turn."""

    url: str
    rps: float
    duration_s: float
    over_socket: bool = False
    key: str | None = None
    voice: str | None = None
    arrivals: Kind = "poisson"
    seed: int = 1
    texts: Sequence[str] = SENTENCES


@dataclass(frozen=True, slots=True)
class Run:
    """What came of all of them. `client_cores`: CPU of this process ÷ time, near 1 the figures are its own."""

    wanted: Wanted
    spoken: tuple[Spoken, ...]
    took_s: float
    peak: int
    client_cores: float
    late_starts_s: tuple[float, ...]  # how late this process sent what was due


async def offer(wanted: Wanted, progress: Callable[[str], None] = lambda _: None) -> Run:
    headers = {"Authorization": f"Bearer {wanted.key}"} if wanted.key else {}
    plan = list(due(wanted.rps, wanted.duration_s, kind=wanted.arrivals, seed=wanted.seed))
    connector = aiohttp.TCPConnector(limit=0, force_close=wanted.over_socket)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        client: Client = (SocketClient if wanted.over_socket else HttpClient)(session, wanted.url, wanted.voice)
        return await _offer(wanted, client, plan, progress)


async def _offer(wanted: Wanted, client: Client, plan: list[float], progress: Callable[[str], None]) -> Run:
    spoken, under_way, late_starts, peak = list[Spoken](), set[asyncio.Task[None]](), list[float](), 0
    cpu = psutil.Process().cpu_times()
    began, told_s = time.monotonic(), 0.0
    for number, at_s in enumerate(plan):
        await asyncio.sleep(max(0.0, began + at_s - time.monotonic()))
        one = Spoken(due_s=at_s)
        spoken.append(one)
        late_starts.append(time.monotonic() - began - at_s)
        if len(under_way) >= MOST_AT_ONCE:
            one.outcome = "not_sent"
            continue
        text = wanted.texts[number % len(wanted.texts)]
        task = asyncio.create_task(client.say(text, began + at_s, one), name=f"load-{number}")
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        peak = max(peak, len(under_way))
        if at_s - told_s >= PROGRESS_S:
            told_s = at_s
            progress(f"{at_s:.0f} of {wanted.duration_s:.0f} s: {len(spoken)} asked, {len(under_way)} under way")
    if under_way:
        progress(f"all asked, {len(under_way)} under way")
        _, left = await asyncio.wait(under_way, timeout=TAIL_S)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
    for one in spoken:
        if one.ended_s is None and one.outcome == "ok":
            one.outcome = "not_over"
    took_s, now = time.monotonic() - began, psutil.Process().cpu_times()
    cores = (now.user + now.system - cpu.user - cpu.system) / max(took_s, 1e-9)
    return Run(wanted, tuple(spoken), took_s, peak, cores, tuple(late_starts))


def tell(line: str) -> None:
    print(f"load: {line}", file=sys.stderr, flush=True)  # noqa: T201
