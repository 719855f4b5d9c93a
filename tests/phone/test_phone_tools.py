"""What an agent does with the keys and the wires of a call: reads digits, sends digits, puts callers through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from phone_ear import words
from phone_line import DESK
from telephone import Telephone, telephone
from test_phone_call import dialled, is_over, question, until  # noqa: F401

from worker.bench.scripted_llm import Reply

pytestmark = [pytest.mark.phone, pytest.mark.timeout(180, method="signal")]


@pytest.fixture
def desk(phone_stack, tmp_path: Path) -> Iterator[Telephone]:
    """The telephone of a person to whom calls are transferred: it answers at once."""
    line = phone_stack.line
    with telephone(
        line.wire, tmp_path / "desk", line.sip_address, user=DESK, port=line.desk_port, control_port=4445
    ) as made:
        yield made


def calls_tool(phone_stack, name: str, then: str, **arguments: object) -> None:
    """The model asks for the tool, and says `then` once it has its result."""
    phone_stack.llm.script = lambda request: Reply(then) if request.tool_result else Reply("", tool=(name, arguments))


def test_digits_that_are_asked_for_reach_the_model_alone(phone_stack, phone, question) -> None:  # noqa: F811
    asks = Reply("Please type your number now.", tool=("collect_digits", {"max_digits": 6}))
    phone_stack.llm.script = lambda request: Reply("I have noted that.") if request.tool_result else asks
    dialled(phone, phone_stack)
    phone.first_audible()
    greeted = phone.quiet()
    phone.say(question)
    phone.first_audible(after=greeted)
    phone.quiet()  # the tool begins once its words are said
    phone.press("8642#")
    until(lambda: any(r.tool_result for r in phone_stack.llm.requests), "the model has the digits")
    (digits,) = {r.tool_result.partition(": ")[2] for r in phone_stack.llm.requests if r.tool_result}
    kept = iter("8642")
    assert all(digit in kept for digit in digits), digits  # in their order; the bridge may have lost one
    assert len(digits) >= 3
    assert digits not in phone_stack.stack.log_path.read_text()
    assert not phone_stack.llm.asked("pressed")  # they are an answer to the tool, not a turn


def test_digits_that_the_agent_sends_arrive_as_keys(phone_stack, phone, question) -> None:  # noqa: F811
    calls_tool(phone_stack, "send_digits", "Done.", digits="42#")
    dialled(phone, phone_stack)
    phone.first_audible()
    phone.quiet()
    phone.say(question)
    until(lambda: phone.keys_heard() == "42#", "the keys arrived")


def test_a_caller_is_put_through_by_refer(phone_stack, phone, desk, question) -> None:  # noqa: F811
    calls_tool(phone_stack, "transfer", "It did not work.", target="front desk")
    dialled(phone, phone_stack)
    phone.first_audible()
    greeted = phone.quiet()
    phone.say(question)
    phone.wait_for("TRANSFER")
    desk.wait_for("CALL_ESTABLISHED")
    until(lambda: is_over(phone_stack), "our part of the call is over")
    assert "hold" in words(phone.recordings("dec")[0][greeted:])


def test_a_caller_is_introduced_to_a_person_and_then_talks_to_them(phone_stack, phone, desk, question) -> None:  # noqa: F811
    calls_tool(phone_stack, "transfer", "", target="billing", introduction="A caller asks about a capital city.")
    dialled(phone, phone_stack)
    phone.first_audible()
    phone.quiet()
    phone.say(question)
    desk.wait_for("CALL_ESTABLISHED")
    desk.first_audible()
    said = desk.quiet()
    assert "asks about a capital" in words(desk.heard())
    asked = len(phone_stack.llm.requests)
    phone.say(question)
    desk.first_audible(after=said)
    desk.quiet()
    assert "capital of france" in words(desk.heard()[said:])
    assert len(phone_stack.llm.requests) == asked  # the agent no longer listens
    desk.hang_up()
    phone.wait_for("CALL_CLOSED")
    until(lambda: is_over(phone_stack), "the room is gone and its place free")
