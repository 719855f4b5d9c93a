"""`tts-ops secrets FOLDER`: makes what the parts of an installation share, once; compose and people start with it.

Every file is called as the setting that it is, so SECRETS_DIR=FOLDER is all that a process needs. What is there stays.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from worker.keys import KeyFile

API_KEYS = "api-keys.json"
LIVEKIT_KEYS = "livekit-keys.yaml"  # livekit-server's key_file
SIP_CONFIG = "livekit-sip.yaml"
METRICS_KEY = "metrics-key"  # the API key with which Prometheus asks the HTTP service
_SECRETS: dict[str, Callable[[], str]] = {
    "livekit_api_secret": lambda: secrets.token_urlsafe(36),
    "fleet_key": lambda: secrets.token_urlsafe(36),
}

_SIP = """# livekit-sip beside a livekit-server in one network, as docker-compose.phone.yml has them
api_key: {key}
api_secret: {secret}
ws_url: ws://127.0.0.1:7880
redis: {{address: "redis:6379"}}
sip_port: 5060
rtp_port: 10000-10100
use_external_ip: true
health_port: 8085
"""


def make(folder: Path, *, livekit_api_key: str) -> int:
    """Fill `folder`. An API key for people is printed when its file is made, and never again. Raises OSError.

    `livekit_api_key` is the name of LiveKit's key pair, no secret itself.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, new in _SECRETS.items():
        if not (folder / name).exists():
            _write(folder / name, new())
    secret = (folder / "livekit_api_secret").read_text().strip()
    _write(folder / LIVEKIT_KEYS, f"{livekit_api_key}: {secret}\n")
    _write(folder / SIP_CONFIG, _SIP.format(key=livekit_api_key, secret=secret))
    if not (folder / METRICS_KEY).exists():
        _write(folder / METRICS_KEY, KeyFile(folder / API_KEYS).add("metrics")[1])
        key, text = KeyFile(folder / API_KEYS).add("first")
        print(f"The call page and the API ask for this key ({key.id}); it is shown this once:", file=sys.stderr)  # noqa: T201
        print(text, flush=True)  # noqa: T201
    return 0


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and for its owner alone."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
