"""A caller dials a number and talks to the agent, over the real bridge."""

from __future__ import annotations

import time

import pytest
from phone_line import NUMBER

pytestmark = [pytest.mark.phone, pytest.mark.timeout(120)]


def test_try(phone_stack, phone):
    at = phone.dial(NUMBER, phone_stack.line.sip_address)
    est, _ = phone.wait_for("CALL_ESTABLISHED")
    first = phone.first_audible()
    print("established", est - at, "audible", first - at)
    n0 = phone.packets_in(); t0 = time.monotonic()
    phone.quiet()
    for _ in range(8):
        a = phone.packets_in(); k = len(phone.heard()); time.sleep(1); print("packets/s", phone.packets_in() - a, "samples", len(phone.heard()) - k)
    print(phone.kinds)
    phone.press("12#")
    time.sleep(2)
    print(phone.log())
    print(phone_stack.stack.log_tail(30))
    print(phone_stack.line.log("sip", 60))
