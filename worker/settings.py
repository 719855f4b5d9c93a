"""Every setting, once: its name, default, meaning and what is allowed. Only this file reads the environment.

`Settings()` reads the environment, `.env`, and in the folder that SECRETS_DIR names files that are called as settings
are. A wrong value raises SettingsError, which names the variable, the value (never a secret's) and what is allowed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from tts_plugin.engine.config import BackendName, EngineConfig, SolverChoice
from worker.settings_http import HttpSettings, SettingsError
from worker.settings_phone import PhoneSettings

LlmProvider = Literal["anthropic", "openai", "local", "embedded"]
LlmChoice = Literal["auto", "anthropic", "openai", "local", "embedded"]
SttProvider = Literal["embedded", "deepgram", "openai"]
LogLevel = Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR"]

DEFAULT_LLM_MODELS: dict[LlmProvider, str] = {
    "anthropic": "claude-haiku-4-5",
    "openai": "gpt-4.1-mini",
    "local": "default",
    "embedded": "smollm2-135m-instruct",
}
__all__ = ["Settings", "SettingsError"]
Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(HttpSettings, PhoneSettings):
    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True)

    # Voice
    tts_backend: BackendName = Field(
        "auto", description="Which voice engine speaks: auto takes VibeVoice where it can run in real time."
    )
    tts_model_name: str = Field(
        "microsoft/VibeVoice-Realtime-0.5B", description="VibeVoice checkpoint: a hub name or a folder."
    )
    tts_model_path: Path | None = Field(
        None, description="Folder with VibeVoice's files, as `tts-ops pull --to` makes it; empty: huggingface's cache."
    )
    tts_device: str = Field(
        "auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cuda, cuda:N, mps or cpu."
    )
    tts_dtype: Literal["auto", "float32", "bfloat16", "float16", "int8", "int4"] = Field(
        "auto", description="Number format of VibeVoice's weights; auto: bfloat16 on CUDA, int8 on a CPU."
    )
    tts_max_batch_size: int | None = Field(
        None, ge=1, le=1024, description="Utterances at once; auto: what calibration finds."
    )
    tts_voice: str = Field(
        "default", pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Voice used where none is asked for."
    )
    tts_solver: SolverChoice = Field("sde-dpmsolver++", description="How VibeVoice's latents are solved.")
    tts_solver_steps: int = Field(
        5, ge=1, le=100, description="Steps per latent of VibeVoice: more take longer; its authors use 5 to 20."
    )
    tts_cfg_scale: float = Field(
        1.5, ge=1, le=5, allow_inf_nan=False, description="How strongly VibeVoice keeps to voice and text."
    )
    tts_lead_s: float = Field(
        3.0, ge=0.2, le=60, allow_inf_nan=False, description="How far VibeVoice may speak ahead of its listener."
    )
    ttfa_target: float = Field(
        0.25,
        gt=0,
        le=10,
        allow_inf_nan=False,
        description="Seconds from text to first sound that VibeVoice's capacity is calibrated for.",
    )
    tts_cpu_share: float = Field(1.0, ge=0.1, le=1, description="Part of this machine that is VibeVoice's, on a CPU.")
    # Language model
    llm_provider: LlmChoice = Field(
        "auto", description="auto: anthropic or openai by key, else local by OPENAI_BASE_URL, else embedded."
    )
    llm_model: str | None = Field(None, description="Model name; empty: a default per provider.")
    anthropic_api_key: SecretStr | None = Field(None, description="Key of Anthropic's API.")
    openai_api_key: SecretStr | None = Field(None, description="Key of OpenAI's API, or of a compatible server.")
    openai_base_url: str | None = Field(
        None, pattern=r"^https?://", description="Any OpenAI-compatible server (vLLM, Ollama, …)."
    )
    llm_fallback: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Language models to go on with when the first fails, in this order, separated by commas: "
        "a provider, or provider:model.",
    )
    # Recogniser
    stt_provider: SttProvider = Field(
        "embedded", description="Who turns speech into text; a cloud only when named here."
    )
    stt_base_url: str | None = Field(
        None, pattern=r"^https?://", description="OpenAI-compatible transcription server for STT_PROVIDER=openai."
    )
    stt_model: str | None = Field(None, description="Recogniser model; empty: a default per provider.")
    deepgram_api_key: SecretStr | None = Field(None, description="Key of Deepgram's API.")
    # LiveKit
    livekit_url: str = Field(
        "ws://127.0.0.1:7880", pattern=r"^wss?://", description="LiveKit server, as worker and HTTP service reach it."
    )
    livekit_public_url: str | None = Field(
        None, pattern=r"^wss?://", description="LiveKit server as browsers reach it; empty: LIVEKIT_URL."
    )
    livekit_api_key: str = Field("devkey", description="LiveKit API key; `tts-ops dev` makes one for itself.")
    livekit_api_secret: SecretStr | None = Field(None, description="LiveKit API secret, 32 characters or more.")
    # Agent
    agent_file: Path = Field(
        Path("agent.yaml"), description="Who the agent is; read anew for each call. The default may be absent."
    )
    agent_name: str = Field(
        "tts-ops", pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Name under which calls are dispatched to our workers."
    )
    max_calls: int | None = Field(
        None, ge=1, le=10_000, description="Calls at once per worker; auto: from cores and engine slots."
    )
    max_call_s: float = Field(1800, ge=10, le=86_400, description="Longest call, seconds.")
    drain_timeout: int = Field(
        1800,
        ge=0,
        le=86_400,
        description="How long a stopping worker lets its calls go on, seconds; not less than MAX_CALL_S.",
    )
    # Deadlines within a call
    llm_timeout_s: float = Field(
        4.0, gt=0, le=600, description="Deadline for the language model's first words, seconds."
    )
    llm_stall_s: float = Field(
        3.0, gt=0, le=600, description="Longest silence within a language model's answer, seconds."
    )
    tool_timeout_s: float = Field(10.0, gt=0, le=600, description="Deadline of one tool call, seconds.")
    stt_final_timeout_s: float = Field(
        2.0, gt=0, le=60, description="How long a turn waits for the recogniser's final words, seconds."
    )
    first_audio_timeout_s: float = Field(
        1.5,
        gt=0,
        le=60,
        description="How long an engine may take to its first sound before the next one speaks, seconds.",
    )
    close_timeout_s: float = Field(10.0, gt=0, le=60, description="How long the end of a call may take, seconds.")
    filler_after_s: float = Field(
        2.0, gt=0, le=60, description="Silence in the agent's turn after which it says that it is still there, seconds."
    )
    filler_every_s: float = Field(2.5, gt=0, le=60, description="Silence between two such words, seconds.")
    max_turn_chars: int = Field(2_000, ge=1, le=100_000, description="Longest text that a caller may type in one turn.")
    # The fleet
    redis_url: SecretStr | None = Field(
        None, description="Redis that several watchers or services share, redis://host:port; empty: none."
    )
    fleet_key: SecretStr | None = Field(
        None,
        description="What a worker's /fleet asks for as a bearer token from other machines; empty: it answers none.",
    )
    watch_rooms: bool = Field(True, description="Whether `tts-ops serve` sees to it that every room has its agent.")
    agent_wait_s: float = Field(
        3.0, ge=0.5, le=60, description="How long a caller waits for an agent before another one is sent for, seconds."
    )
    job_memory_limit_mb: int = Field(
        1024, ge=0, le=1_000_000, description="Memory of one call's process beyond which it is ended, MiB; 0: no limit."
    )
    # Where things listen and are reached
    host: str = Field("127.0.0.1", description="Address that our servers bind to.")
    engine_port: Port = Field(8001, description="Port of `tts-ops engine`.")
    models_port: Port = Field(8002, description="Port of `tts-ops models`.")
    http_port: Port = Field(8080, description="Port of `tts-ops serve`.")
    livekit_port: Port = Field(7880, description="Port of the livekit-server that `tts-ops dev` starts.")
    livekit_udp_port: Port = Field(7882, description="UDP port for media of that livekit-server.")
    metrics_port: Port = Field(9090, description="Port of the worker's /metrics, /fleet and health routes.")
    worker_health_port: Port = Field(8081, description="Port of LiveKit's own health route in the worker.")
    engine_url: str | None = Field(
        None, pattern=r"^https?://", description="Engine as its clients reach it; empty: HOST and ENGINE_PORT."
    )
    engine_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Engines as their clients reach them, by comma, the preferred one first; empty: ENGINE_URL.",
    )
    models_url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="Embedded models as their clients reach them; empty: HOST and MODELS_PORT.",
    )
    worker_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Where the workers' /fleet is, separated by commas; empty: HOST and METRICS_PORT. "
        "dns+http://name:port is every address of that name.",
    )
    fleet_socket: Path | None = Field(
        None, description="Unix socket between a worker and its jobs; the worker sets it."
    )
    cache_dir: Path = Field(
        Path("~/.cache/tts-ops"), description="Folder for pre-rendered phrases; without it they are kept in memory."
    )
    # Logs
    log_level: LogLevel = Field("INFO", description="Logging verbosity.")
    log_format: Literal["text", "json"] = Field("text", description="How log lines look.")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**({"_secrets_dir": os.environ.get("SECRETS_DIR")} | values))
        except ValidationError as error:
            raise SettingsError(_one_line(error)) from None

    @field_validator("tts_max_batch_size", "max_calls", mode="before")
    @classmethod
    def _auto_is_none(cls, value: object) -> object:
        return None if isinstance(value, str) and value.lower() == "auto" else value

    @field_validator("worker_urls", "engine_urls", "llm_fallback", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(u.strip().rstrip("/") for u in value.split(",") if u.strip()) if isinstance(value, str) else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _a_drain_outlasts_a_call(self) -> Settings:
        if self.drain_timeout < self.max_call_s:
            raise SettingsError(
                f"DRAIN_TIMEOUT is {self.drain_timeout}; it cannot be less than MAX_CALL_S ({self.max_call_s:g}), "
                "or a stopping worker would cut calls off"
            )
        return self

    @property
    def engine(self) -> EngineConfig:
        return EngineConfig(
            backend=self.tts_backend,
            model_name=self.tts_model_name,
            model_path=self.tts_model_path,
            device=self.tts_device,
            dtype=self.tts_dtype,
            max_batch_size=self.tts_max_batch_size,
            default_voice=self.tts_voice,
            solver=self.tts_solver,
            solver_steps=self.tts_solver_steps,
            cfg_scale=self.tts_cfg_scale,
            lead_s=self.tts_lead_s,
            ttfa_target_s=self.ttfa_target,
            cpu_share=self.tts_cpu_share,
            max_text_chars=max(EngineConfig().max_text_chars, self.synthesize_max_chars),
        )

    @property
    def llm(self) -> LlmProvider:
        """The provider that `auto` comes to."""
        if self.llm_provider != "auto":
            return self.llm_provider
        if self.anthropic_api_key:
            return "anthropic"
        if self.openai_api_key and not self.openai_base_url:
            return "openai"
        return "local" if self.openai_base_url else "embedded"

    @property
    def llm_model_name(self) -> str:
        return self.llm_model or DEFAULT_LLM_MODELS[self.llm]

    @property
    def engine_address(self) -> str:
        """The preferred engine."""
        return self.engine_addresses[0]

    @property
    def engine_addresses(self) -> tuple[str, ...]:
        one = (self.engine_url or f"http://{self.host}:{self.engine_port}").rstrip("/")
        return self.engine_urls or (one,)

    @property
    def models_address(self) -> str:
        return (self.models_url or f"http://{self.host}:{self.models_port}").rstrip("/")

    @property
    def worker_addresses(self) -> tuple[str, ...]:
        return self.worker_urls or (f"http://{self.host}:{self.metrics_port}",)

    @property
    def livekit_browser_url(self) -> str:
        return self.livekit_public_url or self.livekit_url


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, SettingsError):
        return str(cause)
    name = str(first["loc"][0]).upper() if first["loc"] else "the settings"
    secret = name.endswith(("_KEY", "_SECRET"))
    given = "(hidden)" if secret else repr(first.get("input"))[:80]
    field = Settings.model_fields.get(name.lower())
    meaning = f" ({field.description})" if field else ""
    return f"{name} is {given}: {first['msg']}{meaning}"
