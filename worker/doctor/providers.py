"""LiveKit, language model, recogniser and agent file: what the settings chose, and whether it answers.

Keys are sent only to the provider they belong to, and are never shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp
from pydantic import SecretStr

from tts_plugin.engine.device import has_onnx, has_torch
from worker import agent_file, providers
from worker.doctor.finding import Finding, State, missing, note, ok
from worker.settings import DEFAULT_LLM_MODELS, LlmProvider, Settings, SettingsError

DEADLINE_S = 4.0
# Names that many guides still show, and that their providers have switched off.
RETIRED_MODELS: dict[str, LlmProvider] = {
    "claude-2.1": "anthropic",
    "claude-instant-1.2": "anthropic",
    "claude-3-sonnet-20240229": "anthropic",
    "claude-3-opus-20240229": "anthropic",
    "claude-3-5-sonnet-20240620": "anthropic",
    "claude-3-5-sonnet-20241022": "anthropic",
    "claude-3-7-sonnet-20250219": "anthropic",
    "gpt-4-32k": "openai",
    "gpt-4-vision-preview": "openai",
    "gpt-4.5-preview": "openai",
    "text-davinci-003": "openai",
}


async def look_at_livekit(settings: Settings) -> list[Finding]:
    from worker.dev import starts_livekit

    secret = settings.livekit_api_secret
    if starts_livekit(settings):
        own = "LIVEKIT_API_SECRET is used" if secret else "with a new key each time"
        return [ok("server", f"`tts-ops dev` starts one on port {settings.livekit_port}, {own}")]
    url = "http" + settings.livekit_url.removeprefix("ws")
    status = await _ask(url)
    reached = (
        ok("server", f"{_host(url)} answers")
        if status is not None
        else missing("server", f"{_host(url)} does not answer", "start it, or correct LIVEKIT_URL")
    )
    if secret is None:
        return [reached, missing("key", "LIVEKIT_API_SECRET is not set", "set LIVEKIT_API_KEY and LIVEKIT_API_SECRET")]
    return [reached, ok("key", f"{settings.livekit_api_key}, secret set")]


async def look_at_llm(settings: Settings) -> list[Finding]:
    parts = providers.describe(settings)
    chosen = Finding("note" if settings.llm == "embedded" else "ok", "chosen", parts.llm, _weakness(settings, "llm"))
    try:
        providers.build_llm(settings)
    except SettingsError as error:
        return [missing("chosen", str(error), "set it in .env"), *_keys(settings)]
    retired = RETIRED_MODELS.get(settings.llm_model_name)
    if retired == settings.llm:
        default = DEFAULT_LLM_MODELS[retired]
        return [missing("chosen", f"{settings.llm_model_name} is retired", f"LLM_MODEL={default}"), *_keys(settings)]
    return [chosen, *await _llm_answer(settings), *_keys(settings)]


async def look_at_stt(settings: Settings) -> list[Finding]:
    parts = providers.describe(settings)
    try:
        providers.build_stt(settings)
    except (SettingsError, ImportError) as error:
        return [missing("chosen", str(error), "set it in .env")]
    state: State = "note" if settings.stt_provider == "embedded" else "ok"
    findings = [Finding(state, "chosen", parts.stt, _weakness(settings, "stt"))]
    if settings.stt_provider == "deepgram":
        findings.append(_answered("https://api.deepgram.com", await _ask("https://api.deepgram.com"), "the network"))
    elif settings.stt_provider == "openai":
        url = settings.stt_base_url or settings.openai_base_url or providers.OPENAI_URL
        findings.append(_answered(url, await _ask(url), "STT_BASE_URL"))
    return findings


def look_at_voice(settings: Settings) -> list[Finding]:
    how = (
        "make vibevoice-cpu or, for a graphics card, make vibevoice (elsewhere: pip install 'tts-ops[cpu]' or [engine])"
    )
    computes = has_onnx() or has_torch()
    if settings.tts_backend == "vibevoice" and not computes:
        return [missing("chosen", "TTS_BACKEND=vibevoice needs ONNX Runtime or torch", how)]
    if settings.tts_backend == "embedded" or not computes:
        return [note("chosen", "the embedded voice: clear but plain", f"VibeVoice: {how}")]
    return [ok("chosen", f"TTS_BACKEND={settings.tts_backend}, {settings.tts_model_name} on {settings.tts_device}")]


def look_at_agent(settings: Settings) -> list[Finding]:
    named = "agent_file" in settings.model_fields_set
    try:
        file = agent_file.load(settings.agent_file, must_exist=named)
    except agent_file.AgentFileError as error:
        return [missing("agent file", str(error), "docs/agent-file.md says what may stand in it")]
    if settings.agent_file.exists():
        return [ok("agent file", f"{settings.agent_file}: {file.name}")]
    return [note("agent file", f"none: the built-in agent {file.name} answers", "write agent.yaml, docs/agent-file.md")]


async def _llm_answer(settings: Settings) -> list[Finding]:
    match settings.llm:
        case "embedded":
            return []
        case "anthropic":
            headers = {"x-api-key": _shown(settings.anthropic_api_key), "anthropic-version": "2023-06-01"}
            url, variable = f"{providers.ANTHROPIC_URL}/v1", "ANTHROPIC_API_KEY"
        case "openai" | "local":
            key = _shown(settings.openai_api_key)
            headers = {"authorization": f"Bearer {key}"} if key else {}
            url, variable = settings.openai_base_url or providers.OPENAI_URL, "OPENAI_API_KEY"
    status = await _ask(f"{url.rstrip('/')}/models", headers)
    if status in (401, 403):
        return [missing("answer", f"{_host(url)} refuses the key (status {status})", f"set {variable} to a valid key")]
    return [_answered(url, status, "the network" if settings.llm != "local" else "OPENAI_BASE_URL")]


def _answered(url: str, status: int | None, correct: str) -> Finding:
    if status is None:
        return missing("answer", f"{_host(url)} does not answer within {DEADLINE_S:.0f} s", f"check {correct}")
    return ok("answer", f"{_host(url)} answers")


def _keys(settings: Settings) -> list[Finding]:
    keys = {
        "ANTHROPIC_API_KEY": settings.anthropic_api_key,
        "OPENAI_API_KEY": settings.openai_api_key,
        "DEEPGRAM_API_KEY": settings.deepgram_api_key,
    }
    return [ok(name, "set") if _shown(key) else note(name, "not set") for name, key in keys.items()]


def _weakness(settings: Settings, part: str) -> str:
    """What providers.describe says of an embedded part."""
    marker = {"llm": "language model", "stt": "recogniser"}[part]
    return next((n for n in providers.describe(settings).notes if marker in n.split(".")[0]), "")


async def _ask(url: str, headers: Mapping[str, str] | None = None) -> int | None:
    """The status of the answer; None without one."""
    timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session:
            async with session.get(url, headers=headers, allow_redirects=False) as response:
                return response.status
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None


def _shown(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def _host(url: str) -> str:
    """Host and port only: a URL may hold a password."""
    return urlsplit(url).netloc.rsplit("@", 1)[-1]
