import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.logs import JsonFormatter, TextFormatter, redact

SECRETS = [
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYWxsZXIifQ.c2lnbmF0dXJl",
    "sk-ant-REDACTED",
    "Bearer abcdefghijklmnop",
    "api_secret=0123456789abcdef0123",
    "jane.doe@example.org",
    "+1 555 010 01234",
    "+15550100123",
    "555.010.01234",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_redacted(secret):
    assert secret not in redact(f"before {secret} after")


@pytest.mark.parametrize(
    "line",
    ["job AJ_5xY took 0.532 s", "delay 0.1234567890123", "on 127.0.0.1:8080", "3 of 4 calls", "2026-11-24 23:20:01"],
)
def test_ordinary_lines_stay_as_they_are(line):
    assert redact(line) == line


@given(
    st.text(alphabet="0123456789", min_size=10, max_size=13),
    st.text(max_size=20).filter(lambda t: not t[-1:].isalnum()),
)
def test_no_international_number_survives_in_any_line(digits, before):
    assert "+" + digits not in redact(f"{before} +{digits} called")


def record(**extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "worker.x", "levelname": "INFO", "msg": "hello %s", "args": ("there",)})
    vars(made).update(extra)
    return made


def test_json_lines_are_json_with_the_extra_fields():
    line = json.loads(JsonFormatter("worker").format(record(job_id="AJ_1")))
    assert (line["message"], line["process"], line["job_id"]) == ("hello there", "worker", "AJ_1")


def test_extra_fields_are_redacted_too():
    assert "example.org" not in TextFormatter().format(record(caller="jane@example.org"))


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter("worker")])
def test_what_a_caller_said_never_stands_in_a_line(formatter):
    assert "garden" not in formatter.format(record(**{"lk.pii.user_input": "Is the garden open?"}))
