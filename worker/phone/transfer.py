"""A call goes to a person: cold, by REFER, or warm, by a second leg into the same room.

Numbers come from the agent file and go to the bridge: never to the language model, a log or an error.
"""

from __future__ import annotations

import logging

import aiohttp
from google.protobuf.duration_pb2 import Duration
from livekit import api
from livekit.api.sip_service import SipService
from livekit.protocol.sip import (
    CreateSIPParticipantRequest,
    SIPTransferStatus,
    TransferSIPParticipantRequest,
)

from worker.agent_tools import Target
from worker.phone.attributes import HUMAN

RING_S = 25.0
HUMAN_IDENTITY = "transfer-target"

log = logging.getLogger(__name__)


class TransferFailed(Exception):
    """The text is for the language model: no number in it."""


async def refer(sip: SipService, target: Target, *, room: str, identity: str) -> None:
    """Cold: the caller's telephone is asked to call the target. Raises TransferFailed."""
    number = target.number
    to = number if number.startswith(("sip:", "tel:")) else f"tel:{number}"
    request = TransferSIPParticipantRequest(
        participant_identity=identity, room_name=room, transfer_to=to, ringing_timeout=Duration(seconds=int(RING_S))
    )
    try:
        done = await sip.transfer_sip_participant(request, timeout=RING_S + 5)
    except (api.ServerError, aiohttp.ClientError, TimeoutError, OSError) as error:
        log.warning("a transfer failed: %s", _cause(error))
        raise TransferFailed("The call could not be transferred.") from None
    if done.status not in (SIPTransferStatus.STS_TRANSFER_SUCCESSFUL, SIPTransferStatus.STS_TRANSFER_ONGOING):
        log.warning("a transfer failed: status %d", done.status)
        raise TransferFailed("The call could not be transferred.")


async def invite(sip: SipService, target: Target, *, room: str, trunk: str | None) -> str:
    """Warm: the target is called into the room; its identity there, once it has answered. Raises TransferFailed."""
    if not trunk:
        raise TransferFailed("A warm transfer needs an outbound trunk (SIP_OUTBOUND_TRUNK).")
    request = CreateSIPParticipantRequest(
        sip_trunk_id=trunk,
        sip_call_to=target.number.removeprefix("tel:"),
        room_name=room,
        participant_identity=HUMAN_IDENTITY,
        participant_name=target.name,
        participant_attributes={HUMAN: "1"},
        hide_phone_number=True,
        ringing_timeout=Duration(seconds=int(RING_S)),
        wait_until_answered=True,
    )
    try:
        await sip.create_sip_participant(request, timeout=RING_S + 5)
    except (api.ServerError, aiohttp.ClientError, TimeoutError, OSError) as error:
        log.warning("the target of a transfer did not answer: %s", _cause(error))
        raise TransferFailed("Nobody answered there.") from None
    return HUMAN_IDENTITY


def _cause(error: Exception) -> str:
    """Without the server's words: they may hold the number."""
    return error.code if isinstance(error, api.ServerError) else type(error).__name__
