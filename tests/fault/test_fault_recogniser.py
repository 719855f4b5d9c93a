"""The recogniser dies in mid call: the caller is told, can type, and is heard again when it is back."""

from __future__ import annotations

import json
import time

import pytest
from fault_rig import Rig, answers

from worker.bench.caller import Caller
from worker.bench.fault_proxy import Fault

TOLD_S = 5.0


def listen(caller: Caller) -> list[dict[str, str]]:
    notices: list[dict[str, str]] = []

    async def read(reader) -> None:
        notices.append(json.loads(await reader.read_all()))

    caller._room.register_text_stream_handler("tts-ops.notice", lambda reader, _: caller._start(read(reader), "notice"))
    return notices


@pytest.mark.long
@pytest.mark.parametrize("how", ["killed", "reset"])
async def test_a_dead_recogniser_is_told_and_typing_works(rig: Rig, how: str) -> None:
    async def attempt() -> float:
        async with rig.call() as caller:
            notices = listen(caller)
            lost_s = time.monotonic()
            if how == "killed":
                rig.cluster.models.kill()
            else:
                rig.stt.strike(Fault("reset"))
            await caller.heard_after(lost_s, deadline_s=20)
            await caller.until(
                lambda: [n for n in notices if n["code"] == "cannot_hear"] or None, "told", deadline_s=20
            )
            told_s = time.monotonic()
            await answers(rig, caller, "You can type.")
            rig.stt.heal()
            rig.cluster.models.start()
            await caller.until(
                lambda: [n for n in notices if n["code"] == "hears_again"] or None, "back", deadline_s=60
            )
            return told_s - lost_s

    await rig.row(f"recogniser {how}: the caller is told", TOLD_S, attempt)
