"""A room with two jobs of one worker: one of them can be told to leave."""

from __future__ import annotations

import asyncio

from worker.api.fleet_view import FleetView
from worker.fleet import Fleet
from worker.health import HealthServer, WorkerDesk, WorkerState
from worker.job_link import JobLink


async def test_only_the_job_that_is_named_is_told() -> None:
    got: list[tuple[str, str]] = []
    fleet = Fleet(note=lambda *_: None)
    await fleet.start()
    links = [
        JobLink(fleet.path, job_id=j, room="a", room_sid="a", on_command=lambda c, j=j: got.append((j, c)))
        for j in ("old", "young")
    ]
    loop = asyncio.get_running_loop()

    def release(job_id: str) -> bool:
        loop.call_soon_threadsafe(fleet.release, job_id)
        return fleet.has_job(job_id)

    desk = WorkerDesk(
        state=lambda: WorkerState(registered=True, draining=False),
        fleet=dict,
        metrics=bytes,
        reserve=lambda _: None,
        unreserve=lambda _: None,
        command=lambda *_: False,
        release_job=release,
    )
    routes = HealthServer("127.0.0.1", 0, desk)
    await routes.start()
    view = FleetView([])
    try:
        for link in links:
            link.start()
        async with asyncio.timeout(10):
            while len(fleet.jobs()) < 2:
                await asyncio.sleep(0.01)
            url = f"http://127.0.0.1:{routes.port}"
            assert not await view.release(url, "a", "release", job_id="nobody")
            assert await view.release(url, "a", "release", job_id="young")
            while not got:
                await asyncio.sleep(0.01)
        assert got == [("young", "release")]
    finally:
        for link in links:
            await link.aclose()
        await view.aclose()
        await routes.aclose()
        await fleet.aclose()
