import socket
import threading

import aiohttp
import pytest

from worker.admission import Admission
from worker.health import HealthServer, WorkerDesk, WorkerState
from worker.metrics import WorkerMetrics

KEY = "a-fleet-key-for-tests"
JSON = {"Content-Type": "application/json"}


class Desk:
    """The worker behind the routes: a real admission, and what a test says of the rest."""

    def __init__(self) -> None:
        self.state = WorkerState(registered=True, draining=False, was_ready=True)
        self.admission = Admission(lambda: ["AJ_1"])
        self.admission.capacity = 3
        self.metrics = WorkerMetrics(self.admission)
        self.commands: list[tuple[str, str]] = []
        self.threads: set[int] = set()

    def desk(self) -> WorkerDesk:
        return WorkerDesk(
            state=self._state,
            fleet=lambda: {"capacity": 3, "jobs": [{"room": "r", "last_turns": ["secret"]}], "lost": []},
            metrics=self.metrics.render,
            reserve=self.admission.reserve,
            unreserve=self.admission.unreserve,
            command=self._command,
        )

    def _state(self) -> WorkerState:
        self.threads.add(threading.get_ident())
        return self.state

    def _command(self, room: str, command: str) -> bool:
        self.commands.append((room, command))
        return room == "r"


@pytest.fixture
def worker() -> Desk:
    return Desk()


@pytest.fixture
async def url(worker):
    server = HealthServer("127.0.0.1", 0, worker.desk(), fleet_key=KEY)
    await server.start()
    yield f"http://127.0.0.1:{server.port}"
    await server.aclose()


@pytest.fixture
async def ask(url):
    async with aiohttp.ClientSession(url) as session:

        async def fetch(path: str, method: str = "GET", **more):
            async with session.request(method, path, **more) as response:
                return response.status, await response.text()

        yield fetch


async def test_fleet_tells_capacity_and_jobs(ask):
    status, body = await ask("/fleet")
    assert status == 200
    assert '"capacity": 3' in body
    assert '"room": "r"' in body


async def test_a_worker_that_is_registered_is_ready(ask):
    assert (await ask("/readyz"))[0] == 200


async def test_a_full_worker_is_still_ready(ask, worker):
    for room in ("a", "b", "c"):
        worker.admission.reserve(room)
    assert worker.admission.free <= 0
    assert (await ask("/readyz"))[0] == 200
    assert (await ask("/livez"))[0] == 200


@pytest.mark.parametrize("change", [{"registered": False}, {"draining": True}])
async def test_a_worker_that_takes_no_calls_is_not_ready_but_alive_and_started(ask, worker, change):
    worker.state = worker.state._replace(**change)
    assert (await ask("/readyz"))[0] == 503
    assert (await ask("/livez"))[0] == 200
    assert (await ask("/startupz"))[0] == 200


async def test_before_it_was_ready_it_has_not_started(ask, worker):
    worker.state = WorkerState(registered=False, draining=False)
    assert (await ask("/startupz"))[0] == 503


async def test_a_blocked_loop_is_said_aloud(ask, worker):
    """By a thread of its own: the blocked loop itself says nothing."""
    worker.state = worker.state._replace(blocked=True)
    assert (await ask("/livez"))[0] == 503
    assert worker.threads
    assert threading.get_ident() not in worker.threads
    assert (await ask("/fleet/reserve", "POST", json={"room": "a"}))[0] == 503
    assert worker.admission.reserved == frozenset()


async def test_a_place_is_held_refused_and_given_back(ask, worker):
    assert [(await ask("/fleet/reserve", "POST", json={"room": r}))[0] for r in ("a", "b", "c")] == [200, 200, 503]
    assert worker.admission.reserved == {"a", "b"}
    status, body = await ask("/fleet/reserve", "POST", json={"room": "c"})
    assert '"code": "at_capacity"' in body
    assert (await ask("/fleet/unreserve", "POST", json={"room": "a"}))[0] == 200
    assert worker.admission.reserved == {"b"}


async def test_the_answer_to_a_reservation_holds_nobody_s_words(ask):
    _, body = await ask("/fleet/reserve", "POST", json={"room": "a"})
    assert "secret" not in body


async def test_commands_go_to_the_job(ask, worker):
    assert (await ask("/fleet/release", "POST", json={"room": "r", "action": "goodbye"}))[0] == 200
    assert (await ask("/fleet/release", "POST", json={"room": "x", "action": "release"}))[0] == 404
    assert worker.commands == [("r", "goodbye"), ("x", "release")]


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/fleet/release", {"json": {"room": "r", "action": "shout"}}),
        ("/fleet/release", {"json": {"room": "r"}}),
        ("/fleet/reserve", {"json": {"room": ""}}),
        ("/fleet/reserve", {"json": {"room": "x" * 257}}),
        ("/fleet/reserve", {"json": {"room": 7}}),
        ("/fleet/reserve", {"json": ["room"]}),
        ("/fleet/reserve", {"data": b"not json", "headers": JSON}),
        ("/fleet/reserve", {"data": b'{"room": "r"}', "headers": {"Content-Type": "text/plain"}}),
    ],
)
async def test_nonsense_is_refused_and_does_nothing(ask, worker, path, more):
    status, body = await ask(path, "POST", **more)
    assert status == 422
    assert '"code": "invalid"' in body
    assert worker.commands == []
    assert worker.admission.reserved == frozenset()


async def test_a_large_body_is_refused(ask):
    assert (await ask("/fleet/reserve", "POST", json={"room": "r", "more": "x" * 5_000}))[0] == 413


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:8080"}, 403),
        ({"Host": "rebound.example.test"}, 403),
        ({"Host": "rebound.example.test", "Authorization": "Bearer wrong"}, 403),
        ({"Host": "worker-7.example.test", "Authorization": f"Bearer {KEY}"}, 200),
    ],
)
async def test_fleet_answers_to_this_machine_and_to_the_key_but_to_no_web_page(ask, headers, status):
    assert (await ask("/fleet", headers=headers))[0] == status
    assert (await ask("/fleet/unreserve", "POST", json={"room": "r"}, headers=headers))[0] == status


async def test_other_machines_need_the_key(worker):
    """As one of them would come: from an address that is not loopback."""
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address but loopback")
    server = HealthServer(address, 0, worker.desk(), fleet_key=None)
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://{address}:{server.port}") as session:
            for path, status in (("/fleet", 403), ("/readyz", 200)):
                async with session.get(path, headers={"Authorization": "Bearer "}) as response:
                    assert response.status == status
    finally:
        await server.aclose()


def own_address() -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return None
        address = str(s.getsockname()[0])
    return None if address.startswith("127.") else address


async def test_a_port_in_use_is_an_error_at_the_start(worker, url):
    taken = int(url.rsplit(":", 1)[1])
    server = HealthServer("127.0.0.1", taken, worker.desk())
    with pytest.raises(OSError, match="address"):
        await server.start()
    await server.aclose()


async def test_it_leaves_no_thread(worker):
    server = HealthServer("127.0.0.1", 0, worker.desk())
    await server.start()
    assert "health-routes" in {thread.name for thread in threading.enumerate()}
    await server.aclose()
    assert "health-routes" not in {thread.name for thread in threading.enumerate()}
