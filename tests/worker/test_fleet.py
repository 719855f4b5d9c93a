import asyncio
import contextlib
import os
import resource
import signal
import subprocess

import pytest

from worker.fleet import Fleet, main_thread_cpu_s
from worker.job_link import JobLink


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def until(condition, what: str, deadline_s: float = 5) -> None:
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.01)
    assert condition(), what


@pytest.fixture
async def notes():
    return []


@pytest.fixture
async def fleet(notes):
    made = Fleet(
        note=lambda event, values, _: notes.append((event, values)), on_lost=lambda room: notes.append(("lost", room))
    )
    await made.start()
    yield made
    await made.aclose()


@pytest.fixture
async def link(fleet, monkeypatch):
    monkeypatch.setattr("worker.loop_watch.REPORT_S", 0.3)
    made = JobLink(fleet.path, job_id="AJ_1", room="room-1", room_sid="RM_1")
    made.start()
    await until(lambda: fleet.jobs(), "the job is in the table")
    yield made
    await made.aclose()


async def test_a_job_is_in_the_table_while_its_link_is_open(fleet, link):
    [job] = fleet.jobs()
    assert (job["job_id"], job["room"], job["room_sid"]) == ("AJ_1", "room-1", "RM_1")
    await link.aclose()
    await until(lambda: not fleet.jobs(), "the job left the table")


async def test_ticks_keep_the_age_small(fleet, link):
    await asyncio.sleep(0)
    for _ in range(3):
        await until(lambda: fleet.jobs()[0]["tick_age_s"] < 0.1, "a tick came")
    assert fleet.lost() == []


async def test_committed_turns_are_kept_for_a_successor(fleet, link):
    link.turn("user", "hello", interrupted=False)
    link.turn("assistant", "hi th", interrupted=True)
    await until(lambda: len(fleet.jobs()[0]["last_turns"]) == 2, "both turns came")
    assert fleet.jobs()[0]["last_turns"][1] == {"role": "assistant", "text": "hi th", "interrupted": True}


async def test_only_the_last_turns_are_kept(fleet, link):
    for number in range(50):
        link.turn("user", str(number), interrupted=False)
    await until(
        lambda: fleet.jobs()[0]["last_turns"][-1:] == [{"role": "user", "text": "49", "interrupted": False}], ""
    )
    assert len(fleet.jobs()[0]["last_turns"]) == 20


async def test_numbers_reach_the_metrics(link, notes):
    link.note("turn", voice_first=0.5)
    await until(lambda: ("turn", {"voice_first": 0.5}) in notes, "the note came")


async def test_a_job_that_ends_is_noted(link, notes):
    await link.aclose()
    await until(lambda: ("job_gone", {}) in notes, "the end was noted")


async def test_a_frozen_job_is_killed():
    clock, killed = Clock(), []
    fleet = Fleet(
        note=lambda *_: None,
        clock=clock,
        kill=lambda pid, number: killed.append((pid, number)),
        cpu_s=lambda _: 1.0,
    )
    await fleet.start()
    try:
        _, writer = await asyncio.open_unix_connection(str(fleet.path))
        writer.write(b'{"type":"hello","job_id":"j","room":"r","room_sid":"s","pid":4242}\n')
        await until(lambda: fleet.jobs(), "the job is in the table")
        fleet.kill_frozen(clock.now + 1.9)
        assert killed == []
        fleet.kill_frozen(clock.now + 2.1)  # takes the measure of its main thread
        assert killed == []
        fleet.kill_frozen(clock.now + 2.4)
        assert killed == [(4242, signal.SIGKILL)]
        assert fleet.jobs() == []
        writer.close()
    finally:
        await fleet.aclose()


async def test_a_starved_job_that_still_computes_has_ten_seconds():
    clock, killed, used = Clock(), [], iter(range(100))
    fleet = Fleet(
        note=lambda *_: None,
        clock=clock,
        kill=lambda pid, number: killed.append(pid),
        cpu_s=lambda _: float(next(used)),
    )
    await fleet.start()
    try:
        _, writer = await asyncio.open_unix_connection(str(fleet.path))
        writer.write(b'{"type":"hello","job_id":"j","room":"r","room_sid":"s","pid":4242}\n')
        await until(lambda: fleet.jobs(), "the job is in the table")
        for silent_s in (2.1, 2.4, 5.0, 9.9):
            fleet.kill_frozen(clock.now + silent_s)
        assert killed == []
        fleet.kill_frozen(clock.now + 10.1)
        assert killed == [4242]
        writer.close()
    finally:
        await fleet.aclose()


def test_a_process_has_a_main_thread_that_computes():
    before = main_thread_cpu_s(os.getpid())
    assert before is not None
    while main_thread_cpu_s(os.getpid()) == before:
        sum(range(10_000))


def test_a_process_that_is_gone_computes_nothing():
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert main_thread_cpu_s(gone.pid) is None


async def test_a_late_main_process_kills_nobody():
    clock, killed = Clock(), []
    fleet = Fleet(note=lambda *_: None, clock=clock, kill=lambda pid, number: killed.append(pid))
    await fleet.start()
    try:
        _, writer = await asyncio.open_unix_connection(str(fleet.path))
        writer.write(b'{"type":"hello","job_id":"j","room":"r","room_sid":"s","pid":4242}\n')
        await until(lambda: fleet.jobs(), "the job is in the table")
        clock.now += 30.0  # the whole machine stood still
        await until(lambda: fleet.jobs()[0]["tick_age_s"] < 1, "the job got a fresh start")
        assert killed == []
        writer.close()
    finally:
        await fleet.aclose()


@pytest.mark.parametrize("line", [b"not json\n", b"[]\n", b'{"type":"hello"}\n', b"x" * 100_000 + b"\n", b'"x"\n'])
async def test_garbage_closes_that_link_only(fleet, link, line):
    reader, writer = await asyncio.open_unix_connection(str(fleet.path))
    writer.write(line)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    assert len(fleet.jobs()) == 1


async def test_a_worker_that_is_not_there_disturbs_nobody(tmp_path):
    link = JobLink(tmp_path / "none.sock", job_id="j", room="r", room_sid="s")
    link.start()
    for _ in range(300):
        link.note("turn", x=1.0)
    assert link.dropped == 300 - 256
    await link.aclose()


async def test_a_job_that_says_goodbye_is_not_lost(fleet, link, notes):
    await link.aclose()
    await until(lambda: ("job_gone", {}) in notes, "the end was noted")
    assert fleet.lost() == []
    assert ("lost", "room-1") not in notes


async def test_a_job_that_dies_is_told_of_with_its_last_turns(fleet, notes):
    _, writer = await asyncio.open_unix_connection(str(fleet.path))
    for line in (
        b'{"type":"hello","job_id":"AJ_2","room":"room-2","room_sid":"RM_2","pid":1}\n',
        b'{"type":"turn","role":"user","text":"hello","interrupted":false}\n',
    ):
        writer.write(line)
    await until(lambda: fleet.jobs() and fleet.jobs()[0]["last_turns"], "the turn came")
    writer.close()
    await until(fleet.lost, "the call is lost")
    [lost] = fleet.lost()
    assert (lost["job_id"], lost["room"], lost["cause"]) == ("AJ_2", "room-2", "gone")
    assert lost["last_turns"] == [{"role": "user", "text": "hello", "interrupted": False}]
    assert ("lost", "room-2") in notes


async def test_a_job_whose_link_comes_back_was_never_lost(fleet, link):
    hello = b'{"type":"hello","job_id":"AJ_2","room":"room-2","room_sid":"RM_2","pid":1}\n'
    _, first = await asyncio.open_unix_connection(str(fleet.path))
    first.write(hello)
    await until(lambda: len(fleet.jobs()) == 2, "the job is in the table")
    first.close()
    await until(fleet.lost, "it is taken for lost")
    _, again = await asyncio.open_unix_connection(str(fleet.path))
    again.write(hello)
    await until(lambda: len(fleet.jobs()) == 2, "the job is back")
    assert fleet.lost() == []
    again.close()


async def test_commands_reach_the_job_in_that_room_only(fleet):
    got: list[tuple[str, str]] = []
    links = [
        JobLink(fleet.path, job_id=r, room=r, room_sid=r, on_command=lambda command, r=r: got.append((r, command)))
        for r in ("one", "two")
    ]
    for link in links:
        link.start()
    await until(lambda: len(fleet.jobs()) == 2, "both are in the table")
    assert fleet.command("two", "goodbye")
    assert fleet.command("two", "release")
    assert not fleet.command("three", "release")
    await until(lambda: got == [("two", "goodbye"), ("two", "release")], f"the commands came: {got}")
    for link in links:
        await link.aclose()


async def test_a_command_that_fails_does_not_deafen_the_job(fleet):
    got: list[str] = []

    def on_command(command: str) -> None:
        got.append(command)
        if len(got) == 1:
            raise RuntimeError("not started yet")

    link = JobLink(fleet.path, job_id="AJ_1", room="room", room_sid="RM", on_command=on_command)
    link.start()
    await until(fleet.jobs, "it is in the table")
    fleet.command("room", "release")
    fleet.command("room", "goodbye")
    await until(lambda: got == ["release", "goodbye"], f"both came: {got}")
    await link.aclose()


async def test_without_file_descriptors_old_jobs_stay_and_new_ones_come_as_soon_as_there_are_some(fleet, link):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    new = JobLink(fleet.path, job_id="AJ_2", room="room-2", room_sid="RM_2")
    hog: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
        with contextlib.suppress(OSError):
            while True:
                hog.append(os.open(os.devnull, os.O_RDONLY))
        os.close(hog.pop())  # for the new job's end; none is left for the worker's
        new.start()
        await until(lambda: fleet.jobs()[0]["tick_age_s"] < 0.1, "the old job ticks on")
        assert [job["job_id"] for job in fleet.jobs()] == ["AJ_1"]
    finally:
        for descriptor in hog:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    await until(lambda: len(fleet.jobs()) == 2, "the new job is in the table", deadline_s=10)
    assert fleet.lost() == []
    await new.aclose()


async def test_an_endless_turn_is_cut_and_costs_no_link(fleet, link):
    link.turn("assistant", "\U0001f600" * 100_000, interrupted=False)
    await until(lambda: fleet.jobs()[0]["last_turns"], "the turn came")
    assert len(fleet.jobs()[0]["last_turns"][0]["text"]) == 4_000
    assert fleet.lost() == []


async def test_a_job_tells_how_late_its_loop_was(link, notes):
    await until(lambda: any(event == "loop_lag" for event, _ in notes), "the lag came")
