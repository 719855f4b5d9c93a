"""Attributes of participants that are telephones: those of livekit-sip, and our own."""

from __future__ import annotations

STATUS = "sip.callStatus"
RULE = "sip.ruleID"  # of a call that came in
NUMBER = "sip.phoneNumber"  # of the other side; absent where the rule hides it
HUMAN = "tts-ops.human"  # a second leg that an agent dialled: a person takes the call over
