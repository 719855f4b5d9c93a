"""Workers come and go by load, rollout, eviction and crash, and no call is cut; with too short a grace one is.

Calls go straight through LiveKit's dispatch, as a telephone's do. `pytest -s` shows the figures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from control_plane import Refused
from k8s_calls import Callers, until
from k8s_rig import CALL_S, MAX_PODS, PODS, READY_S, SHORT, Rig
from pod_process import Stopped

LONG = (
    "I will now tell you the long story of the old town at the river, where many people lived and worked and sang. "
    "They traded in wool and salt and glass for more than a thousand years before the railway came."
)
STILL_S = 6.0  # the watchdog speaks before
pytestmark = [pytest.mark.k8s, pytest.mark.timeout(300)]


async def so(rig: Rig, is_so: Callable[[], bool], what: str, deadline_s: float = READY_S) -> float:
    try:
        return await until(is_so, what, deadline_s)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{rig.story()}") from None


async def one_idle_worker(rig: Rig) -> None:
    def settled() -> bool:
        return rig.wanted == 1 and len(rig.api.get(PODS)["items"]) == len(rig.ready()) == 1 and rig.serving() == 0

    await so(rig, settled, "one idle worker was left")


def busiest(rig: Rig) -> str:
    """The ready worker with the most calls."""
    return max(rig.ready(), key=lambda name: rig.active(rig.kubelet.pod(name).address))


def drained(rig: Rig, before: int) -> list[Stopped]:
    """The pods that ended since; each in order, by itself, the engine after the worker."""
    ended = rig.kubelet.stopped[before:]
    for pod in ended:
        assert (pod.code, pod.killed) == (0, False), pod
        assert pod.order == ("worker", "engine"), pod
    return ended


def told(ended: list[Stopped]) -> str:
    return ", ".join(f"{pod.told} calls at SIGTERM, gone after {pod.seconds:.1f} s" for pod in ended)


def test_installed(rig: Rig, figures: list[str]) -> None:
    rig.helm(rig.values())

    async def go() -> None:
        figures.append(f"installed → first worker ready: {await so(rig, lambda: len(rig.ready()) == 1, 'ready'):.1f} s")
        await one_idle_worker(rig)
        callers = rig.callers()
        (call,) = await callers.add()
        await call.answered()
        await call.hang_up()
        assert callers.cut == []

    asyncio.run(go())


def test_scales_up_and_down(rig: Rig, figures: list[str]) -> None:
    async def go() -> None:
        await one_idle_worker(rig)
        before, refused = len(rig.kubelet.stopped), rig.refused()
        callers = rig.callers()
        for pods in range(2, MAX_PODS + 1):  # two calls more than 70 % of what is there: one pod more
            dialled = time.monotonic()
            talking = asyncio.create_task(callers.add(2))
            wanted = await so(rig, lambda n=pods: rig.wanted == n, f"{pods} workers were wanted", 30)  # type: ignore[misc]
            await talking
            await so(rig, lambda n=pods: len(rig.ready()) == n, f"{pods} workers were ready")  # type: ignore[misc]
            took = time.monotonic() - dialled
            figures.append(f"2 calls more: {pods} workers wanted after {wanted:.1f} s, ready after {took:.1f} s")
        assert rig.refused() == refused
        await asyncio.gather(*(call.hang_up() for call in callers.calls[:2]))
        await so(rig, lambda: rig.wanted == 2, "two workers were wanted", 60)
        await callers.calls[2].hang_up()
        await so(rig, lambda: rig.wanted == 1, "one worker was wanted", 60)
        await callers.calls[3].answered(2)  # whether its worker is the one that goes or not
        await end(rig, callers)
        await one_idle_worker(rig)
        ended = drained(rig, before)
        assert len(ended) == MAX_PODS - 1
        figures.append(f"{MAX_PODS} → 1: {told(ended)}; {len(callers.calls)} calls, 0 cut, 0 refused")

    asyncio.run(go())


def test_rollout(rig: Rig, figures: list[str]) -> None:
    async def go() -> None:
        await one_idle_worker(rig)
        before, (old,) = len(rig.kubelet.stopped), rig.ready()
        callers = rig.callers()
        (first,) = await callers.add()
        began = time.monotonic()
        rig.helm(rig.values(restartedAt="now"))
        await so(rig, lambda: len(new := rig.ready()) == 1 and new != [old], "another worker was ready alone")
        took = time.monotonic() - began
        (second,) = await callers.add()
        await asyncio.gather(first.answered(2), second.answered())
        assert rig.active(rig.kubelet.pod(old).address) == 1, "the first call is still where it was"
        await end(rig, callers)
        await one_idle_worker(rig)
        figures.append(f"rollout: new worker alone after {took:.1f} s; old one {told(drained(rig, before))}; 0 cut")

    asyncio.run(go())


def test_eviction(rig: Rig, figures: list[str]) -> None:
    async def go() -> None:
        await one_idle_worker(rig)
        before = len(rig.kubelet.stopped)
        callers = rig.callers()
        await callers.add(2)
        await so(rig, lambda: len(rig.ready()) == 2, "two workers were ready")
        busy = busiest(rig)
        evict(rig, busy)
        (other,) = [name for name in rig.ready() if name != busy]
        with pytest.raises(Refused) as refused:
            evict(rig, other)
        assert refused.value.status == 429
        await asyncio.gather(*(call.answered(2) for call in callers.calls))
        await end(rig, callers)
        await one_idle_worker(rig)
        ended = drained(rig, before)
        assert max(pod.told for pod in ended) >= 1, "it had a call"
        figures.append(f"eviction: {told(ended)}; the budget refused a second one (429); 0 cut")

    asyncio.run(go())


def test_engine_crash(rig: Rig, figures: list[str]) -> None:
    """A pod's only engine dies in the middle of an answer, and there is no standby voice here.

    The caller hears that something went wrong instead of the rest, the kubelet starts the engine anew, and the next
    question is answered.
    """

    async def go() -> None:
        await one_idle_worker(rig)
        callers = rig.callers()
        (call,) = await callers.add()
        engine = rig.kubelet.pod(rig.ready()[0]).container("engine")
        restarts = engine.restarts
        rig.llm.answer(LONG)
        await call.answered()
        killed_s = time.monotonic()
        engine.kill()
        rig.llm.answer(SHORT)
        await call.answered()
        assert call.hearing is not None
        assert not call.cut, call.cut
        over_s = call.hearing.last_audible(before_s=call.asked_s) or 0.0
        heard, gap = call.hearing.audible_s(killed_s, over_s), call.hearing.longest_silence(killed_s, over_s)
        assert heard > 1.0, "the caller was left in silence after the engine died"
        assert gap < STILL_S, f"nothing was heard for {gap:.1f} s after the engine died"
        await so(rig, lambda: engine.restarts == restarts + 1 and engine.is_ready, "the engine was started anew", 60)
        await end(rig, callers)
        figures.append(
            f"engine killed in mid answer: longest silence until the caller was told {gap:.1f} s,"
            f" next answer after {call.answers_s[-1]:.1f} s; 0 cut"
        )

    asyncio.run(go())


def test_short_grace_cuts(rig: Rig, figures: list[str]) -> None:
    """The negative control: this suite sees a call that is cut, and the chart refuses such a grace."""
    worker = rig.values()["worker"] | {"terminationGracePeriodSeconds": CALL_S - 1}
    with pytest.raises(AssertionError, match="terminationGracePeriodSeconds"):
        rig.helm(rig.values(worker=worker))

    async def go() -> None:
        await one_idle_worker(rig)
        callers = rig.callers()
        (call,) = await callers.add()
        await call.answered()
        (name,) = rig.ready()
        rig.api.delete(f"{PODS}/{name}", gracePeriodSeconds=3)
        await asyncio.wait_for(call.answered(1_000), 60)
        assert callers.cut, "a worker was killed under its call, and nobody saw it"
        await so(rig, lambda: any(p.pod == name and p.killed for p in rig.kubelet.stopped), "it was killed", 30)
        figures.append("negative control, a grace of 3 s: SIGKILL, and the call is cut as it must be")

    asyncio.run(go())


def evict(rig: Rig, name: str) -> None:
    kind = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    rig.api.create(f"{PODS}/{name}/eviction", kind)


async def end(rig: Rig, callers: Callers) -> None:
    """All hang up; none was cut before."""
    await asyncio.gather(*(call.hang_up() for call in callers.calls))
    assert callers.cut == [], rig.story()
