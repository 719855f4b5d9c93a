"""A caller at the far end of a bad line, as a program: joins, asks once, tells what it heard as JSON lines.

Standard input: {"server_url", "token", "room"}. Output: {"heard_s"} when the answer begins, then the account of it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from livekit import rtc

from worker.bench.caller import Caller, in_room
from worker.bench.invitation import Invitation


async def main() -> None:
    given = json.loads(sys.stdin.readline())
    async with in_room(Invitation(given["server_url"], given["token"], given["room"])) as caller:
        await caller.heard_after(0.0, deadline_s=30)
        await caller.quiet(for_s=0.5)
        asked_s = await caller.type("Tell me a story.")
        heard_s = await caller.heard_after(asked_s, deadline_s=20)
        before = await counted(caller)
        tell(heard_s=heard_s)
        await caller.until(lambda: "tall tower" in " ".join(caller.agent_text) or None, "it was told", deadline_s=60)
        last_s = await caller.quiet(for_s=1.5)
        after = await counted(caller)
        tell(
            last_s=last_s,
            gaps=gaps(caller, heard_s, last_s),
            grown={name: after[name] - before[name] for name in after},
        )
        sys.stdin.readline()  # until we may go


def gaps(caller: Caller, from_s: float, until_s: float) -> list[tuple[float, float]]:
    """From and until of each silence of more than 0.6 s."""
    audible = [from_s, *(f.at_s for f in caller.hearing._between(from_s, until_s) if f.audible), until_s]
    return [(a, b) for a, b in zip(audible, audible[1:], strict=False) if b - a > 0.6]


async def counted(caller: Caller) -> dict[str, int]:
    """Samples received, and how many of them WebRTC made up."""
    found: dict[str, int] = {"total": 0, "concealed": 0, "silent": 0}
    for person in caller._room.remote_participants.values():
        for publication in person.track_publications.values():
            if isinstance(publication.track, rtc.RemoteAudioTrack):
                for stat in await publication.track.get_stats():
                    if stat.HasField("inbound_rtp"):
                        inbound = stat.inbound_rtp.inbound
                        found["total"] += inbound.total_samples_received
                        found["concealed"] += inbound.concealed_samples
                        found["silent"] += inbound.silent_concealed_samples
    return found


def tell(**values: Any) -> None:
    print(json.dumps({"at_s": time.monotonic(), **values}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
