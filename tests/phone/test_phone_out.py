"""`tts-ops phone call`: answered, busy, declined, nobody there; each with its words and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from livekit.api import TwirpError
from telephone import telephone

from worker.phone.outbound import CODES, TEXTS, result_of

NUMBER = "+15550177"
ANSWER = """<?xml version="1.0" encoding="UTF-8"?>
<scenario name="refuse">
  <recv request="INVITE"/>
  <send><![CDATA[
SIP/2.0 {status} No
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

  ]]></send>
  <recv request="ACK" optional="true" timeout="2000"/>
</scenario>
"""


@pytest.mark.parametrize(
    ("status", "result"),
    [("486", "busy"), ("600", "busy"), ("603", "declined"), ("404", "unknown_number"), ("480", "no_answer"),
     ("403", "refused"), ("503", "unreachable"), ("499", "refused"), ("", "unreachable")],
)  # fmt: skip
def test_what_a_sip_status_means(status: str, result: str) -> None:
    error = TwirpError("unavailable", "sip status", status=503, metadata={"sip_status_code": status} if status else {})
    assert result_of(error) == (result, int(status) if status else None)


def test_every_result_has_words_and_a_code_of_its_own() -> None:
    assert CODES.keys() == TEXTS.keys()
    assert len(set(CODES.values())) == len(CODES)


@pytest.fixture
def outbound(phone_stack) -> Iterator[dict[str, str]]:  # type: ignore[no-untyped-def]
    """The environment of an operator whose provider is the telephone's end of the wire."""
    env = (
        os.environ
        | phone_stack.line.environment
        | {
            "SIP_PROVIDER": f"{phone_stack.line.wire.there}:5060",
            "AGENT_NAME": phone_stack.stack.env["AGENT_NAME"],
            "PHONE_RING_S": "8",
        }
    )
    command = [sys.executable, "-m", "worker.cli", "phone"]
    subprocess.run([*command, "setup", "--yes"], env=env, check=True, capture_output=True, timeout=50)
    yield env
    subprocess.run([*command, "remove", "--yes"], env=env, check=True, capture_output=True, timeout=50)


def called(env: dict[str, str], *words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "worker.cli", "phone", "call", *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=80)
    return done.returncode, done.stdout + done.stderr


@contextmanager
def refusing(wire, status: int, folder: Path) -> Iterator[None]:  # type: ignore[no-untyped-def]
    (folder / "refuse.xml").write_text(ANSWER.format(status=status))
    command = ["sipp", "-sf", "refuse.xml", "-i", wire.there, "-p", "5060", "-m", "1", "-nostdin"]
    process = subprocess.Popen(
        ["ip", "netns", "exec", wire.namespace, *command], cwd=folder, stdout=-3, stderr=-3, stdin=-3
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.phone
@pytest.mark.timeout(150, method="signal")
def test_who_answers_hears_the_agent(phone_stack, outbound, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with telephone(phone_stack.line.wire, tmp_path / "phone", phone_stack.line.sip_address, user=NUMBER) as phone:
        code, said = called(outbound, NUMBER)
        assert code == 0, said
        assert "answered after" in said
        phone.first_audible()
        phone.hang_up()


@pytest.mark.phone
@pytest.mark.timeout(150, method="signal")
@pytest.mark.parametrize(("status", "code", "words"), [(486, 10, "the line is busy"), (603, 12, "declined")])
def test_who_does_not_answer_is_told_with_a_code(  # type: ignore[no-untyped-def]
    phone_stack, outbound, tmp_path: Path, status: int, code: int, words: str
) -> None:
    with refusing(phone_stack.line.wire, status, tmp_path):
        found, said = called(outbound, NUMBER)
    assert (found, words in said) == (code, True), said


@pytest.mark.phone
def test_a_number_that_is_none_is_told_before_anything_is_done(phone_stack, outbound) -> None:  # type: ignore[no-untyped-def]
    code, said = called(outbound, "0555-12")
    assert code == 1
    assert "is no number; one is like +15550100" in said
