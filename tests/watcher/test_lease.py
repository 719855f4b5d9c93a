"""Which of two watchers acts, decided by a real redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from worker.watch import lease as lease_module
from worker.watch.lease import Lease


@pytest.fixture
async def leases(redis_url: str) -> AsyncIterator[tuple[Lease, Lease]]:
    both = Lease(redis_url, agent_name="a"), Lease(redis_url, agent_name="a")
    yield both
    for lease in both:
        await lease.aclose()


async def test_one_of_two_watchers_acts(leases: tuple[Lease, Lease]) -> None:
    first, second = leases
    await first.renew()
    await second.renew()
    assert (first.held, second.held) == (True, False)
    await first.renew()
    assert first.held


async def test_the_other_acts_when_the_lease_is_given_back(leases: tuple[Lease, Lease]) -> None:
    first, second = leases
    await first.renew()
    await first.aclose()
    await second.renew()
    assert (first.held, second.held) == (False, True)


async def test_the_other_acts_when_the_first_is_gone(
    leases: tuple[Lease, Lease], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "LEASE_S", 0.2)
    first, second = leases
    await first.renew()
    async with asyncio.timeout(10):
        while not second.held:
            await second.renew()
            await asyncio.sleep(0.02)
    await first.renew()
    assert not first.held
    await first.aclose()  # and gives nothing back that is not its own
    await second.renew()
    assert second.held


async def test_watchers_of_other_agents_do_not_count(leases: tuple[Lease, Lease], redis_url: str) -> None:
    await leases[0].renew()
    other = Lease(redis_url, agent_name="b")
    await other.renew()
    assert other.held
    await other.aclose()


async def test_without_redis_every_watcher_acts(tmp_path: Path) -> None:
    lease = Lease(f"unix://{tmp_path}/nobody.sock", agent_name="a")
    await lease.start()
    assert lease.held
    await lease.aclose()
