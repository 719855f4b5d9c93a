"""`tts-ops phone setup|list|remove`: the plan without a server, and all of it against a real one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from livekit.protocol.sip import SIPDispatchRuleInfo, SIPInboundTrunkInfo

from worker.phone import trunks
from worker.phone.command import plan_text
from worker.phone.trunks import INBOUND, OUTBOUND, RULE
from worker.settings import Settings, SettingsError

PASSWORD = "a-word-that-nobody-sees"
GIVEN = {
    "livekit_api_secret": "s" * 40,
    "phone_numbers": "+15550142",
    "sip_user": "ada",
    "sip_password": PASSWORD,
    "sip_provider": "sip.example.com",
}


def wanted(**given: object) -> trunks.Wanted:
    return trunks.wanted(Settings(_env_file=None, **(GIVEN | given)))  # type: ignore[arg-type]


def signs(steps: list[trunks.Step]) -> dict[str, str]:
    return {step.name: step.sign for step in steps}


def made(want: trunks.Wanted) -> list:  # type: ignore[type-arg]
    """What the server would have, with ids."""
    there = []
    for number, (_, one) in enumerate(want.all()):
        copy = type(one)()
        copy.CopyFrom(one)  # type: ignore[arg-type]
        if isinstance(copy, SIPDispatchRuleInfo):
            copy.sip_dispatch_rule_id = f"ID{number}"
            copy.trunk_ids.append("ID0")
        else:
            copy.sip_trunk_id = f"ID{number}"
        there.append(copy)
    return there


def test_nothing_there_is_made_and_the_same_again_is_left_alone() -> None:
    want = wanted()
    assert signs(trunks.steps(want, [])) == {INBOUND: "+", OUTBOUND: "+", RULE: "+"}
    steps = trunks.steps(want, made(want))
    assert signs(steps) == {INBOUND: "=", OUTBOUND: "=", RULE: "="}
    assert plan_text(steps).startswith("All is as it should be")


@pytest.mark.parametrize(
    ("changed", "name", "said"),
    [
        ({"phone_numbers": "+15550143"}, INBOUND, "numbers: +15550142 → +15550143"),
        ({"sip_password": "another"}, INBOUND, "the password"),
        ({"sip_provider": "other.example.com"}, OUTBOUND, "address: sip.example.com → other.example.com"),
        ({"phone_show_number": True}, RULE, "hide_phone_number: True → False"),
        ({"agent_name": "ada"}, RULE, "room_config: tts-ops, 3 → ada, 3"),
    ],
)
def test_a_change_is_told_and_nothing_secret_is(changed: dict[str, object], name: str, said: str) -> None:
    steps = trunks.steps(wanted(**changed), made(wanted()))
    step = next(step for step in steps if step.name == name)
    assert step.sign == "~"
    assert said in step.lines
    assert PASSWORD not in plan_text(steps)
    assert "another" not in plan_text(steps)


def test_what_is_no_longer_wanted_goes_and_what_is_of_others_stays() -> None:
    others = SIPInboundTrunkInfo(name="reception", sip_trunk_id="ST_other")
    steps = trunks.steps(wanted(sip_provider=None), [*made(wanted()), others])
    assert signs(steps)[OUTBOUND] == "-"
    assert "ST_other" not in {step.id for step in steps}


def test_a_rule_is_told_of_the_trunk_that_was_made_anew() -> None:
    """Somebody deleted the trunk: a rule that keeps its id answers nothing."""
    _, outbound, rule = made(wanted())
    rule.trunk_ids[:] = ["ST_deleted"]
    assert signs(trunks.steps(wanted(), [outbound, rule])) == {INBOUND: "+", OUTBOUND: "=", RULE: "~"}


def test_a_provider_that_is_known_by_its_addresses_is_not_asked_to_log_in() -> None:
    want = wanted(sip_allowed_addresses="192.0.2.0/24")
    assert want.inbound is not None
    assert want.outbound is not None
    assert (want.inbound.auth_username, want.inbound.auth_password) == ("", "")
    assert (want.outbound.auth_username, want.outbound.auth_password) == ("ada", PASSWORD)


def test_a_second_trunk_of_our_name_is_surplus() -> None:
    want = wanted()
    twice = [*made(want), *made(want)]
    assert [step.sign for step in trunks.steps(want, twice) if step.name == INBOUND] == ["-", "="]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"phone_numbers": "", "sip_provider": None}, "neither PHONE_NUMBERS nor SIP_PROVIDER is set"),
        ({"sip_user": None}, "anybody could dial in"),
        ({"phone_numbers": "0555 142"}, "is no number; one is like [+]15550100"),
    ],
)
def test_settings_that_make_no_sense_are_told(given: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        wanted(**given)


def test_no_number_can_get_into_a_room_name_or_the_agent() -> None:
    rule = wanted().rule
    assert rule is not None
    assert rule.rule.WhichOneof("rule") == "dispatch_rule_callee"
    assert rule.rule.dispatch_rule_callee.randomize
    assert rule.hide_phone_number
    assert rule.room_config.max_participants == 3


def phone(stack, *words: str, code: int = 0, **env: str) -> str:  # type: ignore[no-untyped-def]
    ours = {name.upper(): str(value) for name, value in GIVEN.items() if name != "livekit_api_secret"}
    done = subprocess.run(
        [sys.executable, "-m", "worker.cli", "phone", *words],
        env=os.environ | ours | stack.line.environment | env,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.phone
@pytest.mark.timeout(150, method="signal")
def test_setup_is_a_plan_then_done_then_nothing_to_do_and_remove_leaves_others_alone(phone_stack) -> None:  # type: ignore[no-untyped-def]
    try:
        first = phone(phone_stack, "setup", "--yes")
        assert [line for line in first.splitlines() if line.startswith("+")] == [
            f"+ {n}" for n in (INBOUND, OUTBOUND, RULE)
        ]
        assert first.rstrip().endswith("Done.")
        assert "All is as it should be" in phone(phone_stack, "setup")
        changed = phone(phone_stack, "setup", "--yes", SIP_PROVIDER="other.example.com", PHONE_SHOW_NUMBER="true")
        assert f"~ {OUTBOUND}" in changed
        assert f"~ {RULE}" in changed
        listed = phone(phone_stack, "list")
        assert "other.example.com" in listed
        assert "inbound trunk  test" in listed
        assert "nobody is there to agree" in phone(phone_stack, "remove", code=1)
    finally:
        removed = phone(phone_stack, "remove", "--yes")
    assert removed.count("\n- ") + removed.startswith("- ") == 3
    assert "inbound trunk  test" in phone(phone_stack, "list")
    assert "nothing to do" in phone(phone_stack, "remove", "--yes")


@pytest.mark.phone
def test_a_wrong_key_and_a_silent_server_are_one_line(phone_stack) -> None:  # type: ignore[no-untyped-def]
    said = phone(phone_stack, "list", code=1, LIVEKIT_API_SECRET="w" * 40)
    assert "does not take our key" in said
    assert "does not answer" in phone(phone_stack, "list", code=1, LIVEKIT_URL="ws://127.0.0.1:9")
