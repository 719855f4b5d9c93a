"""Attributes of participants that are telephones: those of livekit-sip, and our own."""

from __future__ import annotations

STATUS = "sip.callStatus"
RULE = "sip.ruleID"  # of a call that came in
HUMAN = "tts-ops.human"  # a second leg that an agent dialled: a person takes the call over
