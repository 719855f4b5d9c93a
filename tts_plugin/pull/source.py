"""Where VibeVoice's files come from, and what each must be. Sizes and hashes are the published ones, pinned here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tts_plugin import hub, published_voices
from tts_plugin.preset import MAX_FILE_BYTES
from tts_plugin.published_voices import PublishedVoice
from tts_plugin.pull.remote_file import RemoteFile

HUB_URL = "https://huggingface.co"
VOICES_URL = (
    f"https://raw.githubusercontent.com/{published_voices.REPOSITORY}/{published_voices.REVISION}"
    f"/{published_voices.FOLDER}"
)


@dataclass(frozen=True, slots=True)
class HubFile:
    repository: str
    revision: str
    name: str
    bytes: int
    sha256: str


CONFIG = HubFile(
    hub.MODEL,
    hub.MODEL_REVISION,
    hub.CONFIG_FILE,
    2_117,
    "caee2691e790b04054bbe14a753b40149fa7c0c16fadb58d9adf5412343dcf57",
)
WEIGHTS = HubFile(
    hub.MODEL,
    hub.MODEL_REVISION,
    hub.WEIGHTS_FILE,
    2_035_332_888,
    "7758b150b8139deb48ac1ff6f181f745c8fedd5511232fd974b3eb217d83b514",
)
TOKENIZER = HubFile(  # the same file in every Qwen2.5 repository
    hub.TOKENIZER_MODEL,
    hub.TOKENIZER_REVISION,
    hub.TOKENIZER_FILE,
    7_031_645,
    "c0382117ea329cdf097041132f6d735924b697924d6f6fc3945713e96ce87539",
)


@dataclass(frozen=True, slots=True)
class Source:
    """The published files by default; another address serves the same files (a mirror), or others (a test)."""

    hub_url: str = HUB_URL
    voices_url: str = VOICES_URL
    config: HubFile = CONFIG
    weights: HubFile = WEIGHTS
    tokenizer: HubFile = TOKENIZER
    voices: tuple[PublishedVoice, ...] = field(default_factory=published_voices.published)
    token: str | None = field(default=None, repr=False)
    offline: bool = False

    @property
    def hub_host(self) -> str:
        return urlsplit(self.hub_url).netloc

    def hub_file(self, file: HubFile) -> RemoteFile:
        url = f"{self.hub_url.rstrip('/')}/{file.repository}/resolve/{file.revision}/{file.name}"
        return RemoteFile(file.name, url, "sha256", file.sha256, file.bytes, file.bytes)

    def voice_file(self, voice: PublishedVoice) -> RemoteFile:
        url = f"{self.voices_url.rstrip('/')}/{voice.file}"
        return RemoteFile(voice.file, url, "git blob", voice.git_blob, voice.bytes, MAX_FILE_BYTES)

    def choose(self, ids: Iterable[str]) -> tuple[PublishedVoice, ...]:
        """The voices with these ids, all when none is given. Raises UnknownVoice."""
        return published_voices.choose(ids, self.voices)


def configured_source() -> Source:
    """The published files, by way of what huggingface-hub is set to (HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE)."""
    try:
        from huggingface_hub import constants, get_token
    except ImportError:
        return Source()
    return Source(hub_url=constants.ENDPOINT, token=get_token(), offline=constants.is_offline_mode())
