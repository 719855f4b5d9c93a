"""What LiveKit's SIP bridge has to know of our numbers: an inbound trunk, an outbound one, and who answers.

Pure: from settings to what should be there, and from that and what is there to the steps between. Ours are known by
their names. A caller's number is hidden, and rooms have random names, so none stands in a log.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from google.protobuf.message import Message
from livekit.protocol.agent_dispatch import RoomAgentDispatch
from livekit.protocol.room import RoomConfiguration
from livekit.protocol.sip import (
    SIPDispatchRule,
    SIPDispatchRuleCallee,
    SIPDispatchRuleInfo,
    SIPInboundTrunkInfo,
    SIPOutboundTrunkInfo,
)

from worker.settings import Settings, SettingsError

INBOUND, OUTBOUND, RULE = "tts-ops inbound", "tts-ops outbound", "tts-ops answer"
ROOM_PREFIX = "call-"
PEOPLE = 3  # in a room: the caller, and a second leg of a warm transfer; agents are not counted
Sign = Literal["+", "~", "-", "="]
_GIVEN = ("sip_trunk_id", "sip_dispatch_rule_id", "created_at", "updated_at", "auth_password", "trunk_ids")
_IDS = ("sip_trunk_id", "sip_dispatch_rule_id")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The rule's trunk_ids are filled in when the inbound trunk has its id."""

    inbound: SIPInboundTrunkInfo | None
    outbound: SIPOutboundTrunkInfo | None
    rule: SIPDispatchRuleInfo | None

    def all(self) -> tuple[tuple[str, Message | None], ...]:
        return (INBOUND, self.inbound), (OUTBOUND, self.outbound), (RULE, self.rule)


@dataclass(frozen=True, slots=True)
class Step:
    """`-` removes, `~` changes and `=` leaves what has `id`; `+` makes it. `lines` say what, without a password."""

    sign: Sign
    name: str
    lines: tuple[str, ...]
    id: str = ""


def wanted(settings: Settings) -> Wanted:
    """SettingsError when there is nothing to set up, or it would let anybody in."""
    inbound = outbound = rule = None
    if not settings.phone_numbers and not settings.sip_provider:
        raise SettingsError(
            "neither PHONE_NUMBERS nor SIP_PROVIDER is set: there is no number to answer and none to call from"
        )
    password = settings.sip_password.get_secret_value() if settings.sip_password else ""
    mark = _mark(settings, password)
    if settings.phone_numbers:
        if not (settings.sip_user and password) and not settings.sip_allowed_addresses:
            raise SettingsError(
                "anybody could dial in: set SIP_USER and SIP_PASSWORD, or SIP_ALLOWED_ADDRESSES to your provider's"
            )
        inbound = SIPInboundTrunkInfo(
            name=INBOUND,
            metadata="" if settings.sip_allowed_addresses else mark,
            numbers=settings.phone_numbers,
            allowed_addresses=settings.sip_allowed_addresses,
            # A provider that is known by its addresses does not log in, and would be refused if it were asked to.
            auth_username="" if settings.sip_allowed_addresses else settings.sip_user or "",
            auth_password="" if settings.sip_allowed_addresses else password,
        )
        inbound.max_call_duration.FromSeconds(int(settings.max_call_s) + 60)  # the agent's own goodbye comes first
        inbound.ringing_timeout.FromSeconds(int(settings.phone_ring_s) + 10)  # the watcher says busy before
        rule = SIPDispatchRuleInfo(
            name=RULE,
            rule=SIPDispatchRule(dispatch_rule_callee=SIPDispatchRuleCallee(room_prefix=ROOM_PREFIX, randomize=True)),
            hide_phone_number=not settings.phone_show_number,
            room_config=RoomConfiguration(
                agents=[RoomAgentDispatch(agent_name=settings.agent_name)],
                max_participants=PEOPLE,
                empty_timeout=60,
                departure_timeout=5,
            ),
        )
    if settings.sip_provider:
        outbound = SIPOutboundTrunkInfo(
            name=OUTBOUND,
            metadata=mark,
            address=settings.sip_provider,
            numbers=settings.phone_numbers or ["*"],
            auth_username=settings.sip_user or "",
            auth_password=password,
        )
    return Wanted(inbound, outbound, rule)


def steps(want: Wanted, there: Sequence[Message]) -> list[Step]:
    """From what is there to what is wanted. Others' trunks and rules are not looked at."""
    made: list[Step] = []
    for name, should in want.all():
        ours = [one for one in there if getattr(one, "name", "") == name]
        for surplus in ours[1:] if should is not None else ours:
            made.append(Step("-", name, (), id_of(surplus)))
        if should is None:
            continue
        if not ours:
            made.append(Step("+", name, describe(should)))
        elif changed := (*_difference(ours[0], should), *_other_trunk(ours[0], made)):
            made.append(Step("~", name, changed, id_of(ours[0])))
        else:
            made.append(Step("=", name, (), id_of(ours[0])))
    return made


def _other_trunk(is_now: Message, made: Sequence[Step]) -> tuple[str, ...]:
    """A rule that answers for a trunk which is not, or no longer, ours."""
    if not isinstance(is_now, SIPDispatchRuleInfo):
        return ()
    inbound = [step.id for step in made if step.name == INBOUND and step.sign in "~="]
    return () if list(is_now.trunk_ids) == inbound else ("the trunk that it answers for",)


def describe(one: Message) -> tuple[str, ...]:
    """Its fields in words, without the password."""
    lines = []
    if isinstance(one, SIPInboundTrunkInfo | SIPOutboundTrunkInfo):
        lines.append(f"numbers: {', '.join(one.numbers) or 'any'}")
        if one.auth_username:
            lines.append(f"user: {one.auth_username}, with a password")
    if isinstance(one, SIPInboundTrunkInfo):
        lines.append(f"may come from: {', '.join(one.allowed_addresses) or 'anywhere'}")
    if isinstance(one, SIPOutboundTrunkInfo):
        lines.append(f"address: {one.address}")
    if isinstance(one, SIPDispatchRuleInfo):
        agents = ", ".join(agent.agent_name for agent in one.room_config.agents)
        lines.append(f"answered by: {agents}, each call in a room of its own with a random name")
        lines.append(f"the caller's number is {'hidden' if one.hide_phone_number else 'shown to the agent'}")
    return tuple(lines)


def _difference(is_now: Message, should: Message) -> tuple[str, ...]:
    """What would change, by field; empty: nothing."""
    lines = []
    for field in should.DESCRIPTOR.fields:
        if field.name in _GIVEN:
            continue
        old, new = getattr(is_now, field.name), getattr(should, field.name)
        if field.name == "rule":  # the server fills in what we leave open
            old, new = old.WhichOneof("rule"), new.WhichOneof("rule")
        if field.name == "room_config":
            old, new = ([a.agent_name for a in c.agents] + [c.max_participants] for c in (old, new))
        if old != new:
            lines.append("the password" if field.name == "metadata" else f"{field.name}: {_short(old)} → {_short(new)}")
    return tuple(lines)


def _mark(settings: Settings, password: str) -> str:
    """Tells whether the password is still the same, to who has LiveKit's secret; the server shows no password."""
    secret = settings.livekit_api_secret.get_secret_value() if settings.livekit_api_secret else ""
    return hmac.new(secret.encode(), password.encode(), hashlib.sha256).hexdigest()[:16] if password else ""


def id_of(one: Message) -> str:
    """LiveKit's id of a trunk or rule; empty before it is made."""
    return next((str(getattr(one, name)) for name in _IDS if getattr(one, name, "")), "")


def _short(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
    return " ".join(text.split()) or "nothing"
