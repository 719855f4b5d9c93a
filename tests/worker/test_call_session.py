"""The session of a call: what it keeps while the call goes on."""

from __future__ import annotations

from livekit.agents import AgentStateChangedEvent

from worker.call_session import KEPT_EVENTS, Session


async def test_a_long_call_keeps_its_last_events_only() -> None:
    session, told = Session(), list[str]()
    session.on("agent_state_changed", lambda event: told.append(event.new_state))
    for number in range(3 * KEPT_EVENTS):
        session.emit(
            "agent_state_changed",
            AgentStateChangedEvent(old_state="idle", new_state="thinking" if number % 2 else "listening"),
        )
    assert len(session._recorded_events) == KEPT_EVENTS
    assert told == ["listening", "thinking"] * (3 * KEPT_EVENTS // 2)
