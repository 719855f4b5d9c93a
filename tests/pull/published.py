"""A small published model: random weights, a tokenizer and voices of the tests' own, served like the real one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from file_server import FileServer

from tts_plugin import hub
from tts_plugin.preset import git_blob
from tts_plugin.published_voices import PublishedVoice
from tts_plugin.pull.source import HubFile, Source

GOLDEN = Path(__file__).parents[1] / "model" / "golden"
REAL_VOICES = Path(__file__).parents[3] / "shared" / "voices"


@dataclass
class Published:
    source: Source
    config: bytes
    weights: bytes
    tokenizer: bytes
    voices: dict[str, bytes]

    @property
    def weights_path(self) -> str:
        return path_of(self.source.weights)


def publish(server: FileServer, voices: dict[str, bytes]) -> Published:
    """Puts the files where the real ones lie on their servers."""
    config, weights = (GOLDEN / "tiny.config.json").read_bytes(), (GOLDEN / "tiny.weights.safetensors").read_bytes()
    tokenizer = b'{"model": {"type": "BPE", "vocab": {}, "merges": []}}'
    source = Source(
        hub_url=server.url,
        voices_url=f"{server.url}/voices",
        config=hub_file(hub.MODEL, hub.MODEL_REVISION, hub.CONFIG_FILE, config),
        weights=hub_file(hub.MODEL, hub.MODEL_REVISION, hub.WEIGHTS_FILE, weights),
        tokenizer=hub_file(hub.TOKENIZER_MODEL, hub.TOKENIZER_REVISION, hub.TOKENIZER_FILE, tokenizer),
        voices=tuple(PublishedVoice(name, git_blob(content), len(content)) for name, content in voices.items()),
    )
    server.files |= {path_of(source.config): config, path_of(source.weights): weights}
    server.files |= {path_of(source.tokenizer): tokenizer}
    server.files |= {f"/voices/{name}": content for name, content in voices.items()}
    return Published(source, config, weights, tokenizer, voices)


def hub_file(repository: str, revision: str, name: str, content: bytes) -> HubFile:
    return HubFile(repository, revision, name, len(content), hashlib.sha256(content).hexdigest())


def path_of(file: HubFile) -> str:
    return f"/{file.repository}/resolve/{file.revision}/{file.name}"
