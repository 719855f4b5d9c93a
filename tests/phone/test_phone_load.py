"""More callers than one: all are answered, none is left over; and what they hear where no agent can be had."""

from __future__ import annotations

import threading
import time

import pytest
from conftest import MAX_CALLS
from phone_line import NUMBER
from sipp_calls import Heard, dial
from test_phone_call import is_over, until

pytestmark = [pytest.mark.phone, pytest.mark.timeout(180, method="signal")]


def test_ten_calls_one_a_second_are_all_answered_with_sound_and_none_is_left(phone_stack, tmp_path) -> None:
    until(lambda: is_over(phone_stack), "no call is left of an earlier test")
    heard = dial(phone_stack.line, tmp_path, calls=10, a_second=1.0, listen_s=4.0)
    assert heard == Heard(failed=0, voices=10)
    until(lambda: is_over(phone_stack), "every room is gone and every place free")


def test_where_every_place_is_taken_the_telephone_is_told_busy(phone_stack, phone, tmp_path) -> None:
    until(lambda: is_over(phone_stack), "no call is left of an earlier test")
    heard: list[Heard] = []
    full = threading.Thread(
        target=lambda: heard.append(dial(phone_stack.line, tmp_path, calls=MAX_CALLS, a_second=4.0, listen_s=12.0))
    )
    full.start()
    try:
        until(lambda: phone_stack.stack.free == 0, "every place is taken")
        at = phone.dial(NUMBER, phone_stack.line.sip_address)
        told, event = phone.wait_for("CALL_CLOSED", deadline_s=10.0)
        assert "486" in event["param"], event
        assert "CALL_ESTABLISHED" not in phone.kinds
        assert told - at < 8.0
    finally:
        full.join(60)
    assert heard == [Heard(failed=0, voices=MAX_CALLS)]
    until(lambda: is_over(phone_stack), "every room is gone and every place free")
    assert time.monotonic() > at
