"""Who listens and who thinks: the recogniser and the language model that the settings name, and what people are told.

Every provider is a key or a URL. Nothing here falls back to a cloud that was not configured, and nothing here knows of
calls, rooms or HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from livekit.agents import llm, stt
from pydantic import SecretStr

from worker.llm_chain import LlmChain, Model, Note
from worker.prompt_cache import PromptCache
from worker.settings import DEFAULT_LLM_MODELS, LlmProvider, Settings, SettingsError

OPENAI_URL = "https://api.openai.com/v1"
ANTHROPIC_URL = "https://api.anthropic.com"
_NO_KEY = "none"  # the client insists on a key; servers without keys ignore it

DEFAULT_STT_MODELS = {"deepgram": "nova-3", "openai": "gpt-4o-mini-transcribe"}


@dataclass(frozen=True, slots=True)
class Parts:
    """What a person is told of the parts in use. `notes`: where an embedded part is weak and what makes it better."""

    stt: str
    llm: str
    voice: str
    device: str
    notes: tuple[str, ...] = ()


def build_llm(settings: Settings, *, conversation: str | None = None) -> llm.LLM[Any]:
    """The language model that `settings.llm` comes to. SettingsError names the variable that is missing.

    `conversation`: which prompt cache of the embedded model the turns share; build_prompt_cache takes the same.
    """
    return _build(settings, settings.llm, settings.llm_model_name, conversation)


def build_chain(settings: Settings, *, conversation: str | None = None, note: Note | None = None) -> LlmChain:
    """The language models of a call: LLM_PROVIDER's, then those of LLM_FALLBACK. SettingsError as for build_llm.

    `note` is told of deadlines and circuit breakers (JobLink.note).
    """
    models = [Model(provider, _build(settings, provider, name, conversation)) for provider, name in _named(settings)]
    return LlmChain(models, first_s=settings.llm_timeout_s, stall_s=settings.llm_stall_s, note=note)


def check_models(settings: Settings) -> None:
    """Raises SettingsError where build_chain would; loads nothing."""
    for provider, _ in _named(settings):
        if provider == "anthropic":
            _anthropic_key(settings)
        elif provider != "embedded":
            _llm_server(settings, provider)


def _named(settings: Settings) -> list[tuple[LlmProvider, str]]:
    return [(settings.llm, settings.llm_model_name), *map(_fallback, settings.llm_fallback)]


def _fallback(entry: str) -> tuple[LlmProvider, str]:
    """`provider` or `provider:model`."""
    name, _, model = entry.partition(":")
    provider = next((p for p in get_args(LlmProvider) if p == name.strip()), None)
    if provider is None:
        raise SettingsError(
            f"LLM_FALLBACK has {entry!r:.80}; allowed: {', '.join(get_args(LlmProvider))}, each alone or with :model"
        )
    return provider, model.strip() or DEFAULT_LLM_MODELS[provider]


def _build(settings: Settings, provider: LlmProvider, model: str, conversation: str | None) -> llm.LLM[Any]:
    match provider:
        case "anthropic":
            from livekit.plugins import anthropic

            key = _anthropic_key(settings)
            return anthropic.LLM(model=model, api_key=key, base_url=ANTHROPIC_URL, max_tokens=1024)
        case "openai" | "local":
            from livekit.plugins import openai

            url, key = _llm_server(settings, provider)
            return openai.LLM(model=model, api_key=key, base_url=url)
        case "embedded":
            from worker.llm import EmbeddedLLM

            return EmbeddedLLM(settings.models_address, model, conversation=conversation)


def build_stt(settings: Settings, *, language: str = "en") -> stt.STT[Any]:
    """The recogniser that STT_PROVIDER names. SettingsError names the variable that is missing."""
    match settings.stt_provider:
        case "embedded":
            from worker.stt import EmbeddedSTT

            return EmbeddedSTT(base_url=settings.models_address)
        case "deepgram":
            from livekit.plugins import deepgram

            key = _key(settings.deepgram_api_key, "DEEPGRAM_API_KEY", "STT_PROVIDER=deepgram")
            return deepgram.STT(model=_stt_model(settings, "deepgram"), language=language, api_key=key)
        case "openai":
            from livekit.plugins import openai

            url = _stt_url(settings)
            return openai.STT(
                model=_stt_model(settings, "openai"),
                language=language,
                base_url=url,
                api_key=_stt_key(settings, url),
                use_realtime=False,
            )


def build_prompt_cache(settings: Settings, *, conversation: str | None = None) -> PromptCache:
    """Keeps the embedded model's prompt cache warm; for every other model it does nothing."""
    url = f"{settings.models_address}/v1" if settings.llm == "embedded" else None
    return PromptCache(url, settings.llm_model_name, conversation=conversation)


def describe(settings: Settings, *, voice_backend: str | None = None, device: str | None = None) -> Parts:
    """The parts in words. `voice_backend` and `device` are what the engine's /health says, where it was asked."""
    backend = voice_backend or (settings.tts_backend if settings.tts_backend != "auto" else None)
    embedded = {"stt": settings.stt_provider == "embedded", "llm": settings.llm == "embedded"}
    embedded["voice"] = backend == "embedded"
    return Parts(
        stt=_stt_name(settings),
        llm=_llm_name(settings),
        voice=_VOICE_NAMES.get(backend, backend) if backend else "not known: the engine does not answer",
        device=device or settings.tts_device,
        notes=tuple(_NOTES[part] for part in ("stt", "llm", "voice") if embedded[part]),
    )


_VOICE_NAMES = {"embedded": "Hibari (embedded)", "vibevoice": "VibeVoice"}
_NOTES: dict[Literal["stt", "llm", "voice"], str] = {
    "stt": "The embedded recogniser knows English only and mishears names and noisy speech. "
    "STT_PROVIDER=deepgram with DEEPGRAM_API_KEY, or STT_PROVIDER=openai with STT_BASE_URL, hears better.",
    "llm": "The embedded language model is tiny: it keeps a call going but invents facts. "
    "Set ANTHROPIC_API_KEY, OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own.",
    "voice": "The embedded voice is clear but plain. "
    "VibeVoice (TTS_BACKEND=vibevoice) sounds better, on a GPU or a CPU with cores to spare: "
    "docs/vibevoice.md says how.",
}


def _llm_server(settings: Settings, provider: LlmProvider) -> tuple[str, str]:
    """URL and key. The client would read both from the environment if it were given none."""
    if provider == "openai":
        # As a fallback of a server of one's own it is OpenAI's cloud that is meant.
        own = settings.openai_base_url if settings.llm == "openai" else None
        return own or OPENAI_URL, _openai_key(settings, "The language model openai")
    if not settings.openai_base_url:
        raise SettingsError("The language model local needs OPENAI_BASE_URL, such as http://127.0.0.1:11434/v1")
    # One key, one server: with OpenAI as its fallback the key is OpenAI's.
    theirs = any(entry.partition(":")[0].strip() == "openai" for entry in settings.llm_fallback)
    return settings.openai_base_url, _NO_KEY if theirs else _value(settings.openai_api_key)


def _llm_name(settings: Settings) -> str:
    model = settings.llm_model_name
    match settings.llm:
        case "anthropic":
            return f"{model} (Anthropic)"
        case "openai":
            return f"{model} ({_host(settings.openai_base_url) if settings.openai_base_url else 'OpenAI'})"
        case "local":
            return f"{model} ({_host(settings.openai_base_url or '')})"
        case "embedded":
            return f"{model} (embedded)"


def _stt_name(settings: Settings) -> str:
    match settings.stt_provider:
        case "embedded":
            return "Moonshine tiny (embedded)"
        case "deepgram":
            return f"{_stt_model(settings, 'deepgram')} (Deepgram)"
        case "openai":
            url = _stt_url(settings)
            return f"{_stt_model(settings, 'openai')} ({'OpenAI' if url == OPENAI_URL else _host(url)})"


def _stt_model(settings: Settings, provider: Literal["deepgram", "openai"]) -> str:
    return settings.stt_model or DEFAULT_STT_MODELS[provider]


def _stt_url(settings: Settings) -> str:
    """A server named for OpenAI's calls is meant for speech too: audio does not go to a cloud behind its back."""
    return settings.stt_base_url or settings.openai_base_url or OPENAI_URL


def _stt_key(settings: Settings, url: str) -> str:
    if _host(url) == _host(OPENAI_URL):
        return _openai_key(settings, "STT_PROVIDER=openai without STT_BASE_URL")
    return _value(settings.openai_api_key) if _key_belongs_to(settings, url) else _NO_KEY


def _key_belongs_to(settings: Settings, url: str) -> bool:
    """OPENAI_API_KEY is handed to one server only: the language model's, or else the recogniser's."""
    owner = settings.openai_base_url or (OPENAI_URL if settings.llm == "openai" else url)
    return _host(owner) == _host(url)


def _anthropic_key(settings: Settings) -> str:
    return _key(settings.anthropic_api_key, "ANTHROPIC_API_KEY", "The language model anthropic")


def _openai_key(settings: Settings, why: str) -> str:
    return _key(settings.openai_api_key, "OPENAI_API_KEY", why)


def _key(secret: SecretStr | None, name: str, why: str) -> str:
    if not secret or not secret.get_secret_value():
        raise SettingsError(f"{why} needs {name}, which is not set")
    return secret.get_secret_value()


def _value(secret: SecretStr | None) -> str:
    return (secret.get_secret_value() if secret else "") or _NO_KEY


def _host(url: str) -> str:
    """Host and port only: a URL may hold a password."""
    return urlsplit(url).netloc.rsplit("@", 1)[-1]
