"""livekit-sip as a child of `tts-ops dev --phone`: its configuration, handed over by environment. Starts nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass

from worker.settings import Settings


@dataclass(frozen=True, slots=True)
class Bridge:
    """`listen` is the address that telephones reach; the rest is for LiveKit's side."""

    listen: str
    sip_port: int
    rtp_ports: str  # first-last
    redis_port: int
    livekit_port: int

    @classmethod
    def of(cls, settings: Settings) -> Bridge:
        return cls(
            settings.phone_listen, settings.sip_port, settings.sip_rtp_ports, settings.redis_port, settings.livekit_port
        )

    def environment(self, key: str, secret: str) -> dict[str, str]:
        """What livekit-sip reads instead of a file."""
        config = {
            "api_key": key,
            "api_secret": secret,
            "ws_url": f"ws://127.0.0.1:{self.livekit_port}",
            "redis": {"address": f"127.0.0.1:{self.redis_port}"},
            "sip_port": self.sip_port,
            "listen_ip": self.listen,
            "nat_1_to_1_ip": self.listen,
            "rtp_port": self.rtp_ports,
            "max_cpu_utilization": 1.0,  # 0.9 by default: on two cores each start of a process would refuse a call
            "logging": {"level": "warn"},
        }
        return {"SIP_CONFIG_BODY": json.dumps(config)}
