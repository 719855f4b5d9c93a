"""The servers between a telephone and the product, real ones: redis, livekit-server, livekit-sip, and a wire to a
network namespace in which the telephones live (Debian's baresip does not talk over loopback)."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from livekit import api
from livekit.protocol.agent_dispatch import RoomAgentDispatch
from livekit.protocol.room import RoomConfiguration
from livekit.protocol.sip import (
    CreateSIPDispatchRuleRequest,
    CreateSIPInboundTrunkRequest,
    CreateSIPOutboundTrunkRequest,
    SIPDispatchRule,
    SIPDispatchRuleCallee,
    SIPDispatchRuleInfo,
    SIPInboundTrunkInfo,
    SIPOutboundTrunkInfo,
)

from worker.dev.livekit import LiveKitKey, config_body

NUMBER = "+15550100"
DESK = "+15550123456"  # to whom callers are put through
USER, PASSWORD = "alice", "a-word-for-the-test"
RTP_PORTS = 400


@dataclass(frozen=True, slots=True)
class Wire:
    """A veth pair: `here` is this machine's end, `there` the end in `namespace`."""

    namespace: str
    here: str
    there: str


@dataclass(slots=True)
class Line:
    """`sip_address` is what a telephone dials; `livekit` what a worker needs to know."""

    wire: Wire
    key: LiveKitKey
    livekit_port: int
    redis_port: int
    sip_port: int
    logs: Path
    outbound_trunk: str = ""
    desk_port: int = 5066  # of the telephone that the outbound trunk leads to
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def sip_address(self) -> str:
        return f"{self.wire.here}:{self.sip_port}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LIVEKIT_URL": f"ws://127.0.0.1:{self.livekit_port}",
            "LIVEKIT_API_KEY": self.key.name,
            "LIVEKIT_API_SECRET": self.key.secret,
        }

    def api(self) -> api.LiveKitAPI:
        return api.LiveKitAPI(f"http://127.0.0.1:{self.livekit_port}", self.key.name, self.key.secret)

    def log(self, name: str, lines: int = 40) -> str:
        path = self.logs / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "(no log)"


@contextmanager
def wire() -> Iterator[Wire]:
    """Needs root and iproute2. Gone afterwards, with all that still runs in it."""
    tag = secrets.token_hex(3)
    net = f"10.{secrets.randbelow(100) + 100}.{secrets.randbelow(254) + 1}"
    made = Wire(f"phone-{tag}", f"{net}.1", f"{net}.2")
    near, far = f"vh{tag}", f"vp{tag}"
    _ip("netns", "add", made.namespace)
    try:
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", made.namespace)
        _ip("addr", "add", f"{made.here}/30", "dev", near)
        _ip("link", "set", near, "up")
        _ip("-n", made.namespace, "addr", "add", f"{made.there}/30", "dev", far)
        _ip("-n", made.namespace, "link", "set", far, "up")
        _ip("-n", made.namespace, "link", "set", "lo", "up")
        yield made
    finally:
        pids = subprocess.run(["ip", "netns", "pids", made.namespace], capture_output=True, text=True).stdout.split()
        if pids:
            subprocess.run(["kill", "-9", *pids], check=False)
        _ip("netns", "del", made.namespace)  # the veth pair goes with it


@contextmanager
def line(programs: dict[str, Path], wire: Wire, logs: Path, *, webhook: str | None, agent_name: str) -> Iterator[Line]:
    """The servers, started and with one number: `NUMBER`, which `USER` may dial with `PASSWORD`."""
    livekit_port, udp_port, redis_port, sip_port = _free_ports(4, wire.here)
    made = Line(wire, LiveKitKey.fresh(), livekit_port, redis_port, sip_port, logs)
    with ExitStack() as stack:
        redis = ("--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
        stack.enter_context(_running(made, "redis", [str(programs["redis-server"]), *redis], {}))
        _until(lambda: _answers("127.0.0.1", redis_port), "redis")
        hook = (webhook, made.key.name) if webhook else None
        config = json.loads(config_body(port=livekit_port, udp_port=udp_port, webhook=hook))
        config["redis"] = {"address": f"127.0.0.1:{redis_port}"}
        env = {"LIVEKIT_CONFIG": json.dumps(config), "LIVEKIT_KEYS": f"{made.key.name}: {made.key.secret}"}
        stack.enter_context(_running(made, "livekit", [str(programs["livekit-server"])], env))
        _until(lambda: _answers("127.0.0.1", livekit_port), "livekit-server")
        bridge = _bridge_config(made, rtp_from=20_000 + secrets.randbelow(100) * RTP_PORTS)
        stack.enter_context(_running(made, "sip", [str(programs["livekit-sip"])], {"SIP_CONFIG_BODY": bridge}))
        _until(lambda: "service ready" in made.log("sip", 400), "livekit-sip")  # it serves no health route
        asyncio.run(_open_number(made, agent_name))
        yield made


def _bridge_config(made: Line, *, rtp_from: int) -> str:
    return json.dumps(
        {
            "api_key": made.key.name,
            "api_secret": made.key.secret,
            "ws_url": f"ws://127.0.0.1:{made.livekit_port}",
            "redis": {"address": f"127.0.0.1:{made.redis_port}"},
            "sip_port": made.sip_port,
            "listen_ip": made.wire.here,
            "nat_1_to_1_ip": made.wire.here,
            "rtp_port": f"{rtp_from}-{rtp_from + RTP_PORTS - 1}",
            "max_cpu_utilization": 1.0,
            "logging": {"level": "debug"},
        }
    )


async def _open_number(made: Line, agent_name: str) -> None:
    async with made.api() as lk:
        trunk = SIPInboundTrunkInfo(
            name="test", numbers=[NUMBER], auth_username=USER, auth_password=PASSWORD, include_headers=0
        )
        inbound = await lk.sip.create_inbound_trunk(CreateSIPInboundTrunkRequest(trunk=trunk))
        callee = SIPDispatchRuleCallee(room_prefix="call-", randomize=True)
        agents = [RoomAgentDispatch(agent_name=agent_name)]
        rule = SIPDispatchRuleInfo(
            name="test",
            rule=SIPDispatchRule(dispatch_rule_callee=callee),
            trunk_ids=[inbound.sip_trunk_id],
            hide_phone_number=True,
            room_config=RoomConfiguration(agents=agents, max_participants=3),
        )
        await lk.sip.create_dispatch_rule(CreateSIPDispatchRuleRequest(dispatch_rule=rule))
        out = SIPOutboundTrunkInfo(name="test", address=f"{made.wire.there}:{made.desk_port}", numbers=[NUMBER])
        outbound = await lk.sip.create_outbound_trunk(CreateSIPOutboundTrunkRequest(trunk=out))
        made.outbound_trunk = outbound.sip_trunk_id


@contextmanager
def _running(made: Line, name: str, command: list[str], env: dict[str, str]) -> Iterator[None]:
    import os

    with (made.logs / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=os.environ | env, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=made.logs
        )
    try:
        yield
        assert process.poll() is None, f"{name} ended by itself:\n{made.log(name)}"
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def _free_ports(count: int, host: str) -> list[int]:
    """Free for TCP on 127.0.0.1 and for UDP on `host`."""
    found: list[int] = []
    while len(found) < count:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u,
        ):
            tcp.bind(("127.0.0.1", 0))
            try:
                u.bind((host, tcp.getsockname()[1]))
            except OSError:
                continue
            if tcp.getsockname()[1] not in found:
                found.append(tcp.getsockname()[1])
    return found


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False


def _until(condition: Callable[[], bool], what: str, deadline_s: float = 30.0) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come up within {deadline_s:g} s"
        time.sleep(0.05)
