"""A caller on a bad line: 5 % loss and 60 ± 10 ms each way, and a line that is cut for three seconds."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import pytest
from fault_rig import LONG, Rig
from lossy_link import LossyLink, interface, lossy_link

from worker.bench.invitation import invite
from worker.setup.places import ROOT

CONCEALED = 0.10
RESUMES_S = 3.0

pytestmark = pytest.mark.long


@pytest.fixture
def line(rig: Rig, missing: Callable[[str], NoReturn]) -> Iterator[LossyLink]:
    """LiveKit's server also listens at the near end of the line."""
    old = rig.cluster.livekit.env
    try:
        with lossy_link() as link:
            config = json.loads(old["LIVEKIT_CONFIG"])
            config["bind_addresses"] = ["127.0.0.1", link.near]
            del config["rtc"]["node_ip"]  # one address for all would be told instead of each socket's own
            config["rtc"]["interfaces"] = {"includes": ["lo", interface(link)]}
            rig.cluster.livekit.kill()
            rig.cluster.livekit.env = {**old, "LIVEKIT_CONFIG": json.dumps(config)}
            rig.reset()
            yield link
    except (OSError, subprocess.CalledProcessError) as error:
        missing(f"the right to make TUN devices and network namespaces ({error})")
    finally:
        rig.cluster.livekit.kill()
        rig.cluster.livekit.env = old


@asynccontextmanager
async def far_call(rig: Rig, line: LossyLink) -> AsyncIterator[Callable[[], Any]]:
    """A caller at the far end; gives a function that awaits its next account."""
    rig.llm.script = lambda _: LONG
    invitation = await invite(rig.http_url)
    port = rig.cluster.livekit.url.rsplit(":", 1)[1]
    process = await asyncio.create_subprocess_exec(
        *line.command(sys.executable, str(ROOT / "tests" / "fault" / "far_caller.py")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    told = {"server_url": f"ws://{line.near}:{port}", "token": invitation.token, "room": invitation.room}
    process.stdin.write(json.dumps(told).encode() + b"\n")

    async def account() -> dict[str, Any]:
        assert process.stdout is not None
        async with asyncio.timeout(90):
            text = await process.stdout.readline()
        assert text, "the caller at the far end gave up"
        return dict(json.loads(text))

    try:
        yield account
        process.stdin.write(b"\n")
        async with asyncio.timeout(20):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_loss_and_delay_are_concealed(rig: Rig, line: LossyLink) -> None:
    line.loss, line.delay_s, line.jitter_s = 0.05, 0.060, 0.010
    async with far_call(rig, line) as account:
        await account()
        heard = await account()
    grown = heard["grown"]
    share = (grown["concealed"] - grown["silent"]) / grown["total"]
    lost = line.lost / (line.lost + line.passed)
    print(f"5 % loss, 60 ± 10 ms: concealed={share:.1%} of the sound, {lost:.1%} of {line.passed} packets lost")
    rig.record("concealed", round(share, 3))
    assert 0.03 < lost < 0.08
    assert 0 < share < CONCEALED
    assert not heard["gaps"]


@pytest.mark.parametrize("cut_s", [3.0, 1.0])
async def test_a_line_that_is_cut_for_a_while_resumes(rig: Rig, line: LossyLink, cut_s: float) -> None:
    async def attempt() -> float:
        async with far_call(rig, line) as account:
            await account()
            line.cut = True
            await asyncio.sleep(cut_s)  # the fault's own time
            line.cut = False
            back_s = asyncio.get_running_loop().time()
            heard = await account()
        silence_s = max((until - max(begin, back_s) for begin, until in heard["gaps"] if until > back_s), default=0.0)
        print(f"line cut for {cut_s:g} s: gaps {[round(b - a, 2) for a, b in heard['gaps']]}")
        assert heard["gaps"], "the cut was not heard"
        return max(0.0, silence_s)

    await rig.row(f"line cut for {cut_s:g} s: silence after that", RESUMES_S, attempt)
