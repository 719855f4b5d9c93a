"""The `tools` and `phone` sections of agent.yaml, and which tools come of them."""

import pytest

from worker import agent_file
from worker.agent_tools import Tools
from worker.phone.phone_tools import build_tools

TRANSFER = b"""\
tools:
  collect_digits: true
  transfer:
    - name: billing
      number: "+15550123456"
      about: invoices and refunds
    - name: front desk
      number: sip:desk@example.org
      mode: warm
"""


def names(tools: Tools, *, on_phone: bool) -> list[str]:
    return [tool.info.name for tool in build_tools(tools, object(), on_phone=on_phone)]  # type: ignore[arg-type]


def error_of(text: bytes) -> str:
    with pytest.raises(agent_file.AgentFileError) as caught:
        agent_file.parse(text, "agent.yaml")
    return str(caught.value)


def test_without_the_section_an_agent_can_hang_up_a_telephone_and_nothing_else():
    assert names(Tools(), on_phone=True) == ["hang_up"]
    assert names(Tools(), on_phone=False) == []


def test_hang_up_can_be_allowed_everywhere_and_forbidden_everywhere():
    assert names(Tools(hang_up=True), on_phone=False) == ["hang_up"]
    assert names(Tools(hang_up=False), on_phone=True) == []


def test_a_browser_has_no_keys_and_cannot_be_transferred():
    file = agent_file.parse(TRANSFER, "agent.yaml")
    assert names(file.tools, on_phone=True) == ["hang_up", "transfer", "collect_digits"]
    assert names(file.tools, on_phone=False) == []


def test_the_model_is_told_the_names_of_targets_and_never_their_numbers():
    file = agent_file.parse(TRANSFER, "agent.yaml")
    tools = build_tools(file.tools, object(), on_phone=True)  # type: ignore[arg-type]
    said = str(next(t for t in tools if t.info.name == "transfer").info.raw_schema)
    assert "billing" in said
    assert "invoices and refunds" in said
    assert "5550123456" not in said
    assert "desk@" not in said


def test_numbers_do_not_show_in_what_is_printed():
    assert "5550123456" not in repr(agent_file.parse(TRANSFER, "agent.yaml"))


def test_a_wrong_number_is_refused_with_its_line_and_not_repeated():
    said = error_of(TRANSFER.replace(b"+15550123456", b"call 555 0199"))
    assert said.startswith("agent.yaml:5: tools.transfer.0.number:")
    assert "0199" not in said


def test_an_unknown_field_of_a_target_names_those_that_exist():
    said = error_of(TRANSFER.replace(b"about:", b"abuot:"))
    assert said.startswith("agent.yaml:6:")
    assert "about, mode, name, number" in said


def test_a_field_given_twice_in_a_list_is_refused():
    assert "given twice" in error_of(
        TRANSFER.replace(b"      about: invoices", b"      name: again\n      about: invoices")
    )


def test_an_unknown_tool_names_those_that_exist():
    assert "allowed: collect_digits, hang_up, send_digits, transfer" in error_of(b"tools:\n  dance: true\n")


def test_what_a_machine_hears_is_set_in_the_phone_section():
    file = agent_file.parse(b"phone:\n  voicemail: leave_message\n  message: Please call us back.\n", "agent.yaml")
    assert (file.phone.voicemail, file.phone.message) == ("leave_message", "Please call us back.")
    assert "voicemail" in error_of(b"phone:\n  voicemail: shout\n")
