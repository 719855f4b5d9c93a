"""One file from there to here: resumed, verified, and at its place whole or not at all.

The bytes go to `<target>.part`, never through memory as a whole; a later run goes on where it ends. Only a file that is
what it was said to be is renamed to its target.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import BinaryIO

from tts_plugin.pull.line import Answer, Line
from tts_plugin.pull.problem import Interrupted, PullProblem
from tts_plugin.pull.progress import Progress, amount
from tts_plugin.pull.remote_file import RemoteFile, digest_of

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
MAX_WAIT_S = 30.0


def fetch(file: RemoteFile, target: Path, line: Line, progress: Progress) -> bool:
    """Sees that `target` is the file; False when it already was. Raises PullProblem."""
    target = target.resolve()  # in huggingface's cache it may be a link to where the bytes lie
    part = target.with_name(target.name + ".part")
    try:
        if target.is_file() and is_right(file, target, progress):
            progress.say(f"{file.name}: already there, verified")
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch(file, part, line, progress)
        os.replace(part, target)
    except OSError as error:
        raise disk_problem(file.name, error, target.parent) from error
    progress.say(f"{file.name}: {amount(target.stat().st_size)}, verified")
    return True


def remaining_bytes(file: RemoteFile, target: Path, guess_bytes: int) -> int:
    """What is still to come, by sizes alone."""
    expected = guess_bytes if file.bytes is None else file.bytes
    for path in (target, target.with_name(target.name + ".part")):
        if path.is_file():
            return max(0, expected - path.stat().st_size)
    return expected


def is_right(file: RemoteFile, path: Path, progress: Progress) -> bool:
    size = path.stat().st_size
    if file.bytes is not None and size != file.bytes:
        return False
    progress.start(f"verifying {file.name}", size, announce=False)
    return digest_of(file, path, progress.at) == file.digest


def disk_problem(name: str, error: OSError, folder: Path) -> PullProblem:
    if error.errno in FULL:
        return PullProblem(
            f"{name}: the disk of {folder} is full: free some space, then tts-ops pull goes on where it stopped"
        )
    return PullProblem(
        f"{name}: cannot write {error.filename or folder}: {error.strerror}; name another place with --to"
    )


def _fetch(file: RemoteFile, part: Path, line: Line, progress: Progress) -> None:
    resumed = part.is_file() and part.stat().st_size > 0
    for fresh in (not resumed, True):
        if fresh and resumed:
            part.unlink(missing_ok=True)
        _download(file, part, line, progress)
        progress.start(f"verifying {file.name}", part.stat().st_size, announce=False)
        found = digest_of(file, part, progress.at)
        if found == file.digest:
            return
        part.unlink()
        if fresh:
            break
    raise PullProblem(
        f"{file.name} came with {file.digest_kind} {found}, expected {file.digest}: it was thrown away; "
        "something on the way changes it: check the proxy and HF_ENDPOINT, then tts-ops pull again"
    )


def _download(file: RemoteFile, part: Path, line: Line, progress: Progress) -> None:
    """Brings `part` to its full size, in as many attempts as patience allows."""
    patience, idle = line.patience, 0
    with part.open("ab") as out:
        if file.bytes is None or out.tell() > file.bytes:
            _empty(out)
        progress.start(file.name, file.bytes, out.tell())
        while out.tell() != file.bytes:
            before = out.tell()
            try:
                with line.get(file.name, file.url, before) as answer:
                    _receive(file, answer, out, progress)
                break
            except Interrupted as interrupted:
                idle = 0 if out.tell() - before >= patience.window_bytes else idle + 1
                if idle >= patience.attempts:
                    raise _gave_up(file, out.tell(), interrupted) from interrupted
                _prepare_again(file, out, interrupted)
                patience.sleep(max(min(patience.wait_s * 2**idle / 2, MAX_WAIT_S), interrupted.retry_after_s))
        out.flush()
        os.fsync(out.fileno())


def _receive(file: RemoteFile, answer: Answer, out: BinaryIO, progress: Progress) -> None:
    """Appends an answer. Raises Interrupted when it ends early, PullProblem when it is of another size."""
    total = answer.total
    if (total or 0) > file.limit_bytes or (total is not None and file.bytes not in (None, total)):
        raise _wrong_size(file, f"{total} bytes")
    progress.expect(total or file.bytes)
    if answer.start != out.tell():
        _empty(out)
        if answer.start != 0:
            raise Interrupted("the server sent another part than was asked for")
    while block := answer.read():
        if out.tell() + len(block) > file.limit_bytes:
            raise _wrong_size(file, "more")
        out.write(block)
        progress.at(out.tell())
    expected = file.bytes or total
    if expected is not None and out.tell() != expected:
        raise Interrupted(f"the connection ended at {out.tell()} of {expected} bytes")


def _prepare_again(file: RemoteFile, out: BinaryIO, interrupted: Interrupted) -> None:
    if file.bytes is None or "answered 416" in str(interrupted):
        _empty(out)


def _empty(out: BinaryIO) -> None:
    if out.tell():
        out.truncate(0)
        out.seek(0)


def _wrong_size(file: RemoteFile, found: str) -> PullProblem:
    expected = f"at most {file.max_bytes}" if file.bytes is None else str(file.bytes)
    return PullProblem(
        f"{file.name}: the server has {found}, expected {expected} bytes: not the published file; "
        "check HF_ENDPOINT and the network's proxy"
    )


def _gave_up(file: RemoteFile, have: int, why: Interrupted) -> PullProblem:
    return PullProblem(
        f"{file.name}: gave up at {amount(have)}: {why}; tts-ops pull goes on from there once the network is back, "
        "or fetch on another machine with tts-ops pull --to FOLDER and set TTS_MODEL_PATH"
    )
