"""The livekit-server of one machine: `livekit.yaml` with our ports and a fresh key, handed over by environment.

Never on a command line: those are readable by every user of the machine.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

CONFIG = Path(__file__).resolve().parents[2] / "livekit.yaml"
WEBHOOK_EVENTS = ("room_started", "participant_joined", "participant_left", "participant_connection_aborted")


@dataclass(frozen=True, slots=True)
class LiveKitKey:
    name: str
    secret: str = field(repr=False)

    @classmethod
    def fresh(cls) -> LiveKitKey:
        return cls(f"dev{secrets.token_hex(6)}", secrets.token_urlsafe(36))


def server_environment(
    key: LiveKitKey, *, port: int, udp_port: int, webhook_url: str | None = None, redis: str | None = None
) -> dict[str, str]:
    """What livekit-server reads instead of flags and files. OSError where livekit.yaml is missing."""
    webhook = (webhook_url, key.name) if webhook_url else None
    return {
        "LIVEKIT_CONFIG": config_body(port=port, udp_port=udp_port, webhook=webhook, redis=redis),
        "LIVEKIT_KEYS": f"{key.name}: {key.secret}",
    }


def config_body(*, port: int, udp_port: int, webhook: tuple[str, str] | None = None, redis: str | None = None) -> str:
    """`webhook`: where LiveKit tells what happens, and the name of the key that it signs with. `redis`: host:port."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    config["port"] = port
    config["rtc"]["udp_port"] = udp_port
    if redis is not None:
        config["redis"] = {"address": redis}
    if webhook is not None:
        url, key_name = webhook
        events = {"include_events": list(WEBHOOK_EVENTS)}
        config["webhook"] = {"urls": [url], "api_key": key_name, "filter_params": events}
    return json.dumps(config)  # JSON is YAML
