"""A typed and a spoken call on an installation where everything is embedded. Prints what happened as JSON.

test_offline.py runs it where nothing but this machine can be reached; it is a program because a network namespace
belongs to a process.
"""

import asyncio
import json
import socket
import sys
from pathlib import Path

from worker.bench.caller import Caller, calling
from worker.bench.speech import speak
from worker.bench.stack import EMBEDDED, running_stack


def main(log_path: Path) -> None:
    told: dict[str, object] = {"outside_is_unreachable": _outside_is_unreachable()}
    with running_stack(log_path, EMBEDDED) as stack:
        told |= asyncio.run(_call(stack.http_url))
    print(json.dumps(told))


def _outside_is_unreachable() -> bool:
    try:
        socket.create_connection(("198.51.100.1", 443), timeout=1).close()  # an address that belongs to nobody
    except OSError as error:
        return "unreachable" in str(error)
    return False


async def _call(http_url: str) -> dict[str, object]:
    question = await speak(http_url, "What is the capital of France?")
    async with calling(http_url) as caller:
        greeted_s = await caller.greeted()
        typed = await _heard_s(caller, await caller.type("What do bees make?"))
        said = await caller.say(question.pcm)
        spoken = await _heard_s(caller, said.last_s)
        return {
            "greeting_s": caller.hearing.audible_s(greeted_s - 1, greeted_s + 10),
            "typed_answer_s": typed,
            "spoken_answer_s": spoken,
            "understood": " ".join(caller.own_text),
        }


async def _heard_s(caller: Caller, after_s: float) -> float:
    """Seconds of sound in the answer."""
    first_s = await caller.heard_after(after_s, deadline_s=20)
    await caller.over(first_s)
    return caller.hearing.audible_s(first_s - 0.01, float("inf"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
