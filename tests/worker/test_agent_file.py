import pytest

from worker.agent_file import AgentFile, AgentFileError, load, parse


def error_of(text: str) -> str:
    with pytest.raises(AgentFileError) as caught:
        parse(text.encode(), "agent.yaml")
    return str(caught.value)


def test_an_empty_file_is_the_built_in_agent():
    assert parse(b"", "agent.yaml") == AgentFile()


def test_the_built_in_greeting_says_that_it_is_an_ai():
    assert "AI" in AgentFile().greeting


def test_fields_are_read():
    file = parse(
        b"name: Ada\ngreeting: Hi, I am an AI.\nvoice: en-emma_woman\nlimits:\n  max_call_s: 60\n", "agent.yaml"
    )
    assert (file.name, file.voice, file.limits.max_call_s) == ("Ada", "en-emma_woman", 60)


def test_an_unknown_field_is_named_with_its_line_and_what_is_allowed():
    message = error_of("name: Ada\nvoise: emma\n")
    assert message.startswith("agent.yaml:2: voise:")
    assert "voice" in message.split("allowed:")[1]


def test_an_unknown_limit_names_the_limits_that_exist():
    message = error_of("name: Ada\nlimits:\n  max_call: 60\n")
    assert message.startswith("agent.yaml:3: limits.max_call:")
    assert "max_call_s" in message


def test_a_wrong_value_is_named_with_its_line():
    assert error_of("name: Ada\n\nlimits:\n  max_call_s: 1\n").startswith("agent.yaml:4: limits.max_call_s:")


def test_a_field_given_twice_is_refused():
    assert error_of("name: Ada\nname: Bob\n") == "agent.yaml:2: name: given twice"


@pytest.mark.parametrize("text", ["name: [", "name: 'x", "\tname: x", "a: *b"])
def test_broken_yaml_is_one_line_with_its_line_number(text):
    message = error_of(text)
    assert message.startswith("agent.yaml:")
    assert "\n" not in message


@pytest.mark.parametrize("text", ["- a", "just words", "3"])
def test_something_that_is_no_mapping_is_refused(text):
    assert "a mapping of fields is expected" in error_of(text)


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(AgentFileError):
        parse(b"\xff\xfe\x00name", "agent.yaml")


def test_the_default_file_may_be_absent(tmp_path):
    assert load(tmp_path / "agent.yaml") == AgentFile()


def test_a_file_that_was_named_must_exist(tmp_path):
    with pytest.raises(AgentFileError, match="no such file"):
        load(tmp_path / "mine.yaml", must_exist=True)


def test_a_huge_file_is_refused(tmp_path):
    path = tmp_path / "agent.yaml"
    path.write_bytes(b"#" * 300_000)
    with pytest.raises(AgentFileError, match="at most"):
        load(path)


def test_an_edit_is_read_by_the_next_load(tmp_path):
    path = tmp_path / "agent.yaml"
    path.write_text("name: Ada")
    assert load(path).name == "Ada"
    path.write_text("name: Bob")
    assert load(path).name == "Bob"
