"""One file over a real connection: whole, verified and resumed, whatever the server does."""

from __future__ import annotations

import hashlib
import random
import socket
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from file_server import Body, FileServer, serving

from tts_plugin.pull.fetch import fetch
from tts_plugin.pull.line import Line, Patience
from tts_plugin.pull.problem import PullProblem
from tts_plugin.pull.progress import Progress
from tts_plugin.pull.remote_file import RemoteFile

CONTENT = random.Random(1).randbytes(300_000)
PATH = "/model.safetensors"


@pytest.fixture
def file(server: FileServer) -> RemoteFile:
    server.files[PATH] = CONTENT
    return of(server.url + PATH, CONTENT)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "model.safetensors"


def of(url: str, content: bytes, size: int | None = -1) -> RemoteFile:
    digest = hashlib.sha256(content).hexdigest()
    return RemoteFile("model.safetensors", url, "sha256", digest, len(content) if size == -1 else size, 1_000_000)


def part_of(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def refused(file: RemoteFile, target: Path, line: Line, progress: Progress, says: str) -> str:
    with pytest.raises(PullProblem, match=says) as caught:
        fetch(file, target, line, progress)
    assert "\n" not in str(caught.value)
    assert not target.exists()
    return str(caught.value)


def test_whole_file_arrives_at_its_place(file, target, line, progress) -> None:
    assert fetch(file, target, line, progress)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_broken_connection_is_resumed_where_it_broke(server, file, target, line, progress, naps) -> None:
    server.faults[PATH] = [Body(cut=100_000), Body(cut=50_000)]
    fetch(file, target, line, progress)
    assert target.read_bytes() == CONTENT
    assert server.ranges_of(PATH) == [None, "bytes=100000-", "bytes=150000-"]
    assert len(naps) == 2


def test_a_later_run_goes_on_where_the_first_gave_up(server, file, target, line, progress) -> None:
    server.faults[PATH] = [Body(cut=100_000), *[Body(cut=0)] * 3]
    refused(
        file, target, line, progress, r"gave up at 100 kB: the connection ended .*; tts-ops pull goes on from there"
    )
    assert part_of(target).stat().st_size == 100_000
    fetch(file, target, line, progress)
    assert target.read_bytes() == CONTENT
    assert server.ranges_of(PATH)[-1] == "bytes=100000-"


def test_server_without_ranges_sends_it_all_again(server, file, target, line, progress) -> None:
    server.faults[PATH] = [Body(cut=100_000)]
    server.always[PATH] = Body(ranges=False)
    fetch(file, target, line, progress)
    assert target.read_bytes() == CONTENT


def test_server_that_answers_with_another_range_is_not_believed(server, file, target, line, progress) -> None:
    server.faults[PATH] = [Body(cut=100_000), Body(shift=7)]
    fetch(file, target, line, progress)
    assert target.read_bytes() == CONTENT
    assert server.ranges_of(PATH) == [None, "bytes=100000-", None]


def test_wrong_hash_is_thrown_away(server, file, target, line, progress) -> None:
    server.files[PATH] = bytes(len(CONTENT))
    text = refused(file, target, line, progress, "was thrown away")
    assert file.digest in text
    assert hashlib.sha256(bytes(len(CONTENT))).hexdigest() in text
    assert not part_of(target).exists()
    assert len(server.requests) == 1


def test_rotten_beginning_of_a_resumed_file_is_fetched_anew(server, file, target, line, progress) -> None:
    target.parent.mkdir()
    part_of(target).write_bytes(bytes(1_000))
    fetch(file, target, line, progress)
    assert target.read_bytes() == CONTENT
    assert server.ranges_of(PATH) == ["bytes=1000-", None]


def test_a_part_that_is_already_whole_needs_no_network(server, file, target, line, progress) -> None:
    target.parent.mkdir()
    part_of(target).write_bytes(CONTENT)
    fetch(file, target, line, progress)
    assert target.read_bytes() == CONTENT
    assert not server.requests


def test_a_part_longer_than_the_file_is_fetched_anew(server, file, target, line, progress) -> None:
    target.parent.mkdir()
    part_of(target).write_bytes(CONTENT + b"x")
    fetch(file, target, line, progress)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("found", [b"", CONTENT[:-1], CONTENT + b"x"], ids=["empty", "shorter", "longer"])
def test_wrong_size_is_refused_before_the_body(server, file, target, line, progress, found) -> None:
    server.files[PATH] = found
    refused(file, target, line, progress, rf"the server has {len(found)} bytes, expected 300000 bytes")
    assert part_of(target).stat().st_size == 0


def test_endless_body_is_cut_off(server, file, target, line, progress) -> None:
    server.files[PATH] = CONTENT * 3
    server.always[PATH] = Body(length=False)
    refused(file, target, line, progress, "the server has more, expected 300000 bytes")
    assert part_of(target).stat().st_size <= len(CONTENT)


def test_file_of_unknown_size_is_bounded(server, file, target, line, progress) -> None:
    server.files[PATH] = bytes(1_000_001)
    refused(replace(file, bytes=None), target, line, progress, "expected at most 1000000 bytes")


def test_file_of_unknown_size_starts_again_when_cut(server, target, line, progress) -> None:
    server.files[PATH] = CONTENT
    server.faults[PATH] = [Body(cut=100_000)]
    fetch(of(server.url + PATH, CONTENT, size=None), target, line, progress)
    assert target.read_bytes() == CONTENT
    assert server.ranges_of(PATH) == [None, None]


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (404, r"does not have it at the pinned revision \(404\): check HF_ENDPOINT"),
        (401, "answered 401: set HF_TOKEN"),
        (403, "answered 403: set HF_TOKEN"),
        (418, "answered 418: check HF_ENDPOINT"),
    ],
)
def test_final_refusal_is_said_at_once(server, file, target, line, progress, status, says) -> None:
    server.always[PATH] = Body(status=status)
    refused(file, target, line, progress, says)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_busy_server_is_asked_again_when_it_says(server, file, target, line, progress, status, naps) -> None:
    server.faults[PATH] = [Body(status=status, headers={"Retry-After": "7"})]
    fetch(file, target, line, progress)
    assert target.read_bytes() == CONTENT
    assert naps == [7]


def test_server_that_stays_busy_is_given_up(server, file, target, line, progress, naps) -> None:
    server.always[PATH] = Body(status=503)
    refused(file, target, line, progress, r"gave up at 0 bytes: .* answered 503")
    assert len(server.requests) == 3
    assert naps == [1, 2]


def test_redirect_is_followed_with_its_range(server, file, target, line, progress) -> None:
    server.files["/store"] = CONTENT
    server.always[PATH] = Body(status=302, headers={"Location": "/store"})
    server.faults["/store"] = [Body(cut=1_000)]
    fetch(file, target, line, progress)
    assert target.read_bytes() == CONTENT
    assert server.ranges_of("/store") == [None, "bytes=1000-"]


def test_token_goes_to_its_host_only(server, file, target, patience, progress) -> None:
    with serving() as store:
        store.files["/store"] = CONTENT
        server.always[PATH] = Body(status=302, headers={"Location": f"{store.url}/store"})
        line = Line(patience, token="hf_secret", token_host=server.url.removeprefix("http://"))
        fetch(file, target, line, progress)
        assert [request.authorization for request in server.requests] == ["Bearer hf_secret"]
        assert [request.authorization for request in store.requests] == [None]


def test_redirect_loop_ends(server, file, target, line, progress) -> None:
    server.always[PATH] = Body(status=302, headers={"Location": PATH})
    refused(file, target, line, progress, "redirects without end")
    assert len(server.requests) <= 11


def test_redirect_to_a_local_file_is_refused(server, file, target, line, progress) -> None:
    server.always[PATH] = Body(status=302, headers={"Location": "file:///etc/passwd"})
    refused(file, target, line, progress, "redirects to where it may not")


@pytest.mark.parametrize("how", [Body(start=False), Body(first=500)], ids=["never answers", "stops midway"])
def test_silent_server_meets_a_deadline(server, file, target, progress, patience, how) -> None:
    server.always[PATH] = how
    line = Line(replace(patience, silence_s=0.2, attempts=2))
    refused(file, target, line, progress, "silent until the deadline")


def test_slow_server_meets_a_deadline(server, file, target, progress, patience) -> None:
    server.always[PATH] = Body(drip=True)
    line = Line(replace(patience, window_s=0.2, attempts=2))
    refused(file, target, line, progress, r"only \d+ bytes came in 0.2 s")


def test_nobody_listening_is_said(target, line, progress) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/model.safetensors"
        refused(of(url, CONTENT), target, line, progress, r"Connection refused; .* set TTS_MODEL_PATH")


def test_full_disk_is_said(file, target, line, progress) -> None:
    target.parent.mkdir()
    part_of(target).symlink_to("/dev/full")  # every write there fails as on a full disk
    refused(file, target, line, progress, "the disk of .* is full: free some space, then tts-ops pull goes on")


def test_place_that_cannot_be_written_is_said(file, tmp_path, line, progress) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PullProblem, match="cannot write .*--to"):
        fetch(file, tmp_path / "file" / "model.safetensors", line, progress)


def test_right_file_is_not_fetched_again(server, file, target, line, progress) -> None:
    fetch(file, target, line, progress)
    server.requests.clear()
    assert not fetch(file, target, line, progress)
    assert not server.requests


def test_damaged_file_is_replaced_only_by_a_right_one(server, file, target, line, progress) -> None:
    target.parent.mkdir()
    target.write_bytes(bytes(len(CONTENT)))
    server.faults[PATH] = [Body(status=404)]
    with pytest.raises(PullProblem):
        fetch(file, target, line, progress)
    assert target.read_bytes() == bytes(len(CONTENT))
    fetch(file, target, line, progress)
    assert target.read_bytes() == CONTENT


def test_link_into_the_hubs_store_is_kept(file, tmp_path, line, progress) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "link").symlink_to("blobs/abc")
    fetch(file, tmp_path / "link", line, progress)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "blobs" / "abc").read_bytes() == CONTENT


def test_memory_does_not_grow_with_the_file(server, target, line, progress) -> None:
    content = bytes(48 << 20)
    server.files[PATH] = content
    file = of(server.url + PATH, content)
    tracemalloc.start()
    try:
        fetch(file, target, line, progress)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert target.stat().st_size == len(content)
    assert peak < 8 << 20


def test_offline_is_said_without_asking(server, file, target, progress) -> None:
    refused(file, target, Line(Patience(), offline=True), progress, "HF_HUB_OFFLINE is set")
    assert not server.requests
