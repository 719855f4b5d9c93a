"""Calls over the telephone network, through livekit-sip."""
