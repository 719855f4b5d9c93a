"""Many telephones at once: sipp dials, and one socket hears what the bridge sends to each call."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from phone_line import NUMBER, PASSWORD, USER, Line

SCENARIO = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="a caller who listens">
  <send retrans="500"><![CDATA[{invite_1}]]></send>
  <recv response="100" optional="true"/>
  <recv response="407" auth="true"/>
  <send><![CDATA[{ack_1}]]></send>
  <send retrans="500"><![CDATA[{invite_2}]]></send>
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="183" optional="true"/>
  <recv response="{expected}" rrs="true" timeout="25000"/>
  <send><![CDATA[{ack_2}]]></send>
  {rest}
</scenario>
"""
REST = """<pause milliseconds="{listen_ms}"/>
  <send retrans="500"><![CDATA[{bye}]]></send>
  <recv response="200"/>"""
SDP = """v=0
o=user1 53655765 2353687637 IN IP4 {ip}
s=-
c=IN IP4 {ip}
t=0 0
m=audio {port} RTP/AVP 0
a=rtpmap:0 PCMU/8000
"""


@dataclass(frozen=True, slots=True)
class Heard:
    """`voices`: of how many calls something audible arrived. `failed`: calls that did not go as expected."""

    failed: int
    voices: int


def dial(line: Line, folder: Path, *, calls: int, a_second: float, listen_s: float, expected: int = 200) -> Heard:
    """Place calls from the telephones' namespace; each listens for `listen_s` after it was answered."""
    folder.mkdir(parents=True, exist_ok=True)
    scenario = folder / "caller.xml"
    port = 30_000
    scenario.write_text(_scenario(line, port, listen_s, expected))
    inside = ["ip", "netns", "exec", line.wire.namespace]
    ear = subprocess.Popen(
        [*inside, sys.executable, str(Path(__file__).with_name("rtp_ear.py")), line.wire.there, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert ear.stdout is not None
        assert ear.stdout.readline().strip() == "ready"
        command = [*inside, "sipp", line.sip_address, "-sf", str(scenario), "-s", NUMBER, "-i", line.wire.there]
        command += ["-m", str(calls), "-r", str(a_second), "-l", str(calls), "-p", "5070", "-mp", "31000", "-nostdin"]
        command += ["-timeout", "60", "-trace_err", "-error_file", str(folder / "errors.log")]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90)
    finally:
        said, _ = ear.communicate("", timeout=10)
    failed = 0 if ran.returncode == 0 else _failed(ran.stdout)
    return Heard(failed, int(said.split()[-1] if said.split() else 0))


def _failed(screen: str) -> int:
    rows = [row for row in screen.splitlines() if "Failed call" in row]
    return int(rows[-1].split("|")[-1]) if rows else -1


def _scenario(line: Line, port: int, listen_s: float, expected: int) -> str:
    there, target = line.wire.there, line.sip_address

    def message(method: str, number: int, *, to_tag: bool, auth: bool = False, sdp: bool = False, branch: str) -> str:
        body = SDP.format(ip=there, port=port)
        uri = f"sip:{NUMBER}@{target}"
        rows = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {there}:5070;branch={branch}",
            f"From: <sip:{USER}@{there}>;tag=[pid]a[call_number]",
            f"To: <{uri}>" + ("[peer_tag_param]" if to_tag else ""),
            "Call-ID: [call_id]",
            f"CSeq: {number} {method}",
            f"Contact: <sip:{USER}@{there}:5070>",
            *([f"[authentication username={USER} password={PASSWORD}]"] if auth else []),
            "Max-Forwards: 70",
            *(["Content-Type: application/sdp"] if sdp else []),
            "Content-Length: [len]",
            "",
            body if sdp else "",
        ]
        return "\n" + "\n".join(rows) + "\n"

    own = "[branch]"
    rest = ""
    if expected == 200:
        rest = REST.format(listen_ms=int(listen_s * 1000), bye=message("BYE", 3, to_tag=True, branch=own))
    return SCENARIO.format(
        invite_1=message("INVITE", 1, to_tag=False, sdp=True, branch=own),
        ack_1=message("ACK", 1, to_tag=True, branch="[branch-3]"),
        invite_2=message("INVITE", 2, to_tag=False, auth=True, sdp=True, branch=own),
        ack_2=message("ACK", 2, to_tag=True, branch=own),
        expected=expected,
        rest=rest,
    )
