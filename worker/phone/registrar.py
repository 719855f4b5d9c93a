"""Reads and writes LiveKit's trunks and rules through its API, as trunks.py says. Every call has a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp
from google.protobuf.message import Message
from livekit import api
from livekit.protocol import sip

from worker.phone import trunks
from worker.phone.trunks import INBOUND, OUTBOUND, RULE, Step, Wanted
from worker.settings import Settings, SettingsError

DEADLINE_S = 10.0


class PhoneError(Exception):
    """One line a person can act on."""


class Registrar:
    """Use as an async context manager."""

    def __init__(self, settings: Settings) -> None:
        if settings.livekit_api_secret is None:
            raise SettingsError("LIVEKIT_API_SECRET is not set; it is the secret that the LiveKit server was given")
        self._url = "http" + settings.livekit_url.removeprefix("ws")
        self._key, self._secret = settings.livekit_api_key, settings.livekit_api_secret.get_secret_value()
        self._api: api.LiveKitAPI | None = None

    async def __aenter__(self) -> Registrar:
        self._api = api.LiveKitAPI(self._url, self._key, self._secret, timeout=aiohttp.ClientTimeout(total=DEADLINE_S))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._api is not None:
            await self._api.aclose()

    @property
    def livekit(self) -> api.LiveKitAPI:
        assert self._api is not None
        return self._api

    async def there(self) -> list[Message]:
        """Every trunk and rule, also those of others. Raises PhoneError."""
        lk = self.livekit.sip
        try:
            inbound, outbound, rules = await asyncio.gather(
                lk.list_inbound_trunk(sip.ListSIPInboundTrunkRequest()),
                lk.list_outbound_trunk(sip.ListSIPOutboundTrunkRequest()),
                lk.list_dispatch_rule(sip.ListSIPDispatchRuleRequest()),
            )
        except (api.TwirpError, aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._told(error) from error
        return [*inbound.items, *outbound.items, *rules.items]

    async def apply(self, steps: Sequence[Step], want: Wanted) -> None:
        """In the order of the steps: the rule comes last and is told its trunk. Raises PhoneError."""
        ids = {step.name: step.id for step in steps if step.sign in "~="}
        try:
            for step in steps:
                if step.sign == "-":
                    await self.remove(step)
                elif step.sign == "+":
                    ids[step.name] = await self._make(step.name, want, ids)
                elif step.sign == "~":
                    await self._change(step, want, ids)
        except (api.TwirpError, aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._told(error) from error

    async def remove(self, step: Step) -> None:
        lk = self.livekit.sip
        if step.name == RULE:
            await lk.delete_dispatch_rule(sip.DeleteSIPDispatchRuleRequest(sip_dispatch_rule_id=step.id))
        else:
            await lk.delete_trunk(sip.DeleteSIPTrunkRequest(sip_trunk_id=step.id))

    async def _make(self, name: str, want: Wanted, ids: dict[str, str]) -> str:
        lk = self.livekit.sip
        if name == INBOUND and want.inbound is not None:
            made = await lk.create_inbound_trunk(sip.CreateSIPInboundTrunkRequest(trunk=want.inbound))
            return made.sip_trunk_id
        if name == OUTBOUND and want.outbound is not None:
            out = await lk.create_outbound_trunk(sip.CreateSIPOutboundTrunkRequest(trunk=want.outbound))
            return out.sip_trunk_id
        rule = _of_trunk(want, ids)
        made_rule = await lk.create_dispatch_rule(sip.CreateSIPDispatchRuleRequest(dispatch_rule=rule))
        return made_rule.sip_dispatch_rule_id

    async def _change(self, step: Step, want: Wanted, ids: dict[str, str]) -> None:
        lk = self.livekit.sip
        if step.name == INBOUND and want.inbound is not None:
            await lk.update_inbound_trunk(step.id, want.inbound)
        elif step.name == OUTBOUND and want.outbound is not None:
            await lk.update_outbound_trunk(step.id, want.outbound)
        else:
            await lk.update_dispatch_rule(step.id, _of_trunk(want, ids))

    def _told(self, error: Exception) -> PhoneError:
        if isinstance(error, api.TwirpError):
            if error.status in (401, 403):
                return PhoneError(f"LiveKit at {self._url} does not take our key: see LIVEKIT_API_KEY and _SECRET")
            if "sip not connected" in error.message or error.code == "unimplemented":
                return PhoneError(f"LiveKit at {self._url} has no redis, which telephones need: livekit_config/")
            return PhoneError(f"LiveKit at {self._url} refuses: {error.message}")
        return PhoneError(f"LiveKit at {self._url} does not answer: is it running, is LIVEKIT_URL right?")


def _of_trunk(want: Wanted, ids: dict[str, str]) -> sip.SIPDispatchRuleInfo:
    rule = sip.SIPDispatchRuleInfo()
    if want.rule is not None:
        rule.CopyFrom(want.rule)
    rule.trunk_ids[:] = [ids[trunks.INBOUND]]
    return rule
