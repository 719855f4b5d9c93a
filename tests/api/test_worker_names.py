"""worker/api/worker_names.py: workers come and go behind one name."""

from __future__ import annotations

import pytest

from worker.api.fleet_view import FleetView
from worker.api.worker_names import DEADLINE_S, KEPT_S, LOOK_S, WorkerNames, _resolve

NAME = "dns+http://workers:9090"


class Names:
    """A name server, and the time."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.addresses: list[str] | None = []
        self.asked = 0

    async def resolve(self, host: str, port: int) -> list[str]:
        assert (host, port) == ("workers", 9090)
        self.asked += 1
        if self.addresses is None:
            raise OSError("no such name")
        return self.addresses

    def clock(self) -> float:
        return self.now_s


@pytest.fixture
def names() -> Names:
    return Names()


def made(names: Names, *urls: str) -> WorkerNames:
    return WorkerNames(urls, clock=names.clock, resolve=names.resolve)


async def test_urls_without_a_prefix_stand_for_themselves(names: Names) -> None:
    assert await made(names, "http://a:1", "http://b:2").urls() == ["http://a:1", "http://b:2"]
    assert names.asked == 0


async def test_a_name_stands_for_all_of_its_addresses(names: Names) -> None:
    names.addresses = ["10.0.0.1", "fd00::2"]
    assert await made(names, "http://a:1", NAME).urls() == [
        "http://a:1",
        "http://10.0.0.1:9090",
        "http://[fd00::2]:9090",
    ]


async def test_it_looks_again_and_finds_who_came(names: Names) -> None:
    names.addresses = ["10.0.0.1"]
    workers = made(names, NAME)
    await workers.urls()
    names.addresses = ["10.0.0.1", "10.0.0.2"]
    assert len(await workers.urls()) == names.asked == 1
    names.now_s += LOOK_S
    assert len(await workers.urls()) == names.asked == 2


async def test_who_left_is_asked_for_a_while_longer_so_that_its_death_is_seen(names: Names) -> None:
    names.addresses = ["10.0.0.1", "10.0.0.2"]
    workers = made(names, NAME)
    await workers.urls()
    names.addresses = ["10.0.0.1"]
    names.now_s += KEPT_S - 1
    assert len(await workers.urls()) == 2
    names.now_s += LOOK_S
    assert await workers.urls() == ["http://10.0.0.1:9090"]


async def test_a_name_server_that_is_gone_loses_no_worker(names: Names) -> None:
    names.addresses = ["10.0.0.1"]
    workers = made(names, NAME)
    await workers.urls()
    names.addresses = None
    for _ in range(100):
        names.now_s += LOOK_S
        assert await workers.urls() == ["http://10.0.0.1:9090"]


async def test_addresses_of_a_metadata_service_are_not_asked(names: Names) -> None:
    names.addresses = ["169.254.169.254", "10.0.0.1"]
    assert await made(names, NAME).urls() == ["http://10.0.0.1:9090"]


async def test_the_fleet_view_asks_every_address(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    names.addresses = ["127.0.0.1", "127.0.0.2"]
    monkeypatch.setattr("worker.api.worker_names._resolve", names.resolve)
    view = FleetView([NAME])
    heard: list[str] = []
    view.on_answer = lambda url, _: heard.append(url)
    await view.poll()
    await view.aclose()
    assert sorted(heard) == ["http://127.0.0.1:9090", "http://127.0.0.2:9090"]
    assert DEADLINE_S < LOOK_S


async def test_the_system_is_asked_for_addresses() -> None:
    assert "127.0.0.1" in await _resolve("localhost", 9090)
    with pytest.raises(OSError, match="."):
        await _resolve("workers.invalid", 9090)
