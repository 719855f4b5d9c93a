"""The whole call where every address but this machine's own is unreachable, and everything is embedded."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("offline_call.py")
DEADLINE_S = 150
# An interface without any route, as of a laptop without network: WebRTC's native library makes no use of `lo` alone.
NETWORK = (
    "ip link set lo up && ip link add here type veth peer name nowhere && ip addr add 192.0.2.9/32 dev here"
    " && ip link set here up && ip link set nowhere up"
)


@pytest.fixture(scope="module")
def offline_call(missing, livekit_server, tmp_path_factory) -> dict:
    """What happened in a call within a network namespace that leads nowhere."""
    namespace = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        missing("unshare or ip (Debian: util-linux, iproute2)")
    if subprocess.run([*namespace, "true"], capture_output=True).returncode:
        missing("the permission to make a network namespace")
    log = tmp_path_factory.mktemp("offline") / "dev.log"
    inner = ["sh", "-c", f'{NETWORK} && exec "$@"', "sh", sys.executable, str(PROGRAM), str(log)]
    done = subprocess.run([*namespace, *inner], capture_output=True, text=True, timeout=DEADLINE_S)
    assert '"understood"' in done.stdout, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_nothing_outside_can_be_reached(offline_call) -> None:
    assert offline_call["outside_is_unreachable"]


def test_the_greeting_is_heard(offline_call) -> None:
    assert offline_call["greeting_s"] > 0.5


def test_typed_text_is_answered_aloud(offline_call) -> None:
    assert offline_call["typed_answer_s"] > 0.3


def test_a_spoken_question_is_understood(offline_call) -> None:
    assert "capital of france" in offline_call["understood"].lower()


def test_a_spoken_question_is_answered_aloud(offline_call) -> None:
    assert offline_call["spoken_answer_s"] > 0.3
