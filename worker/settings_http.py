"""The settings of the HTTP service, a part of worker/settings.py's Settings: who may ask it, how often, how much."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode

from worker.url_rule import wrong_url

Origins = Annotated[tuple[str, ...], NoDecode]


class SettingsError(ValueError):
    """One line a person can act on."""


class HttpSettings(BaseSettings):
    synthesize_max_chars: int = Field(20_000, ge=1, le=1_000_000, description="Longest text of one /synthesize.")
    api_keys_file: Path = Field(
        Path("api-keys.json"), description="Hashes of the API keys, as `tts-ops keys add` writes them; may be absent."
    )
    open_on_loopback: bool = Field(
        True,
        description="Whether this machine itself may ask the HTTP service without a key, as the call page does; "
        "false behind a proxy on the same machine.",
    )
    oidc_issuer: str | None = Field(
        None, pattern=r"^https?://", description="Who signs the JWTs that are taken besides API keys; empty: nobody."
    )
    oidc_audience: str | None = Field(None, description="The audience that such a JWT must be for.")
    oidc_jwks_url: str | None = Field(
        None, pattern=r"^https?://", description="Its public keys; empty: what the issuer's discovery page names."
    )
    rate_per_minute: int = Field(
        120, ge=1, le=1_000_000, description="Requests a minute of one key, and of one address; 429 beyond."
    )
    requests_at_once: int = Field(
        32, ge=1, le=10_000, description="Requests at once of one key, and of one address; 429 beyond."
    )
    connections_per_address: int = Field(
        128, ge=1, le=100_000, description="Connections at once of one address; more are closed unheard."
    )
    cors_origins: Origins = Field(
        (), description="Other sites whose pages may ask, exactly as their Origin, separated by commas; empty: none."
    )
    trusted_proxies: Origins = Field(
        (), description="Addresses of proxies whose X-Forwarded-For is believed, separated by commas; empty: none."
    )

    c2pa: bool = Field(
        False, description="Whether whole wav, mp3 and flac files carry a signed C2PA manifest; needs tts-ops[c2pa]."
    )
    c2pa_key_file: Path = Field(
        Path("~/.cache/tts-ops/c2pa.pem"),
        description="P-256 key and certificates that sign it, in one PEM file; made when it is absent.",
    )

    @field_validator("cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _exact(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not re.fullmatch(r"https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?", origin):
                raise SettingsError(
                    f"CORS_ORIGINS has {origin!r}; allowed: https://host or https://host:port, exactly, without * or /"
                )
        return origins

    @model_validator(mode="after")
    def _no_url_leads_astray(self) -> HttpSettings:
        """Every setting that is a URL: none may make us ask a cloud's metadata service."""
        for name, value in self:
            if not name.endswith(("_url", "_urls", "_issuer")) or not isinstance(value, str | tuple):
                continue
            for url in (value,) if isinstance(value, str) else value:
                if why := wrong_url(url):
                    raise SettingsError(f"{name.upper()} is not taken: {why}")
        return self

    @model_validator(mode="after")
    def _oidc_is_whole(self) -> HttpSettings:
        if (self.oidc_issuer is None) != (self.oidc_audience is None):
            raise SettingsError("OIDC_ISSUER and OIDC_AUDIENCE are set together, or not at all")
        for name in ("oidc_issuer", "oidc_jwks_url"):
            url = getattr(self, name)
            if url and urlsplit(url).scheme != "https" and not _of_this_machine(url):
                raise SettingsError(f"{name.upper()} is {url!r}; it begins with https://, or is of this machine")
        return self


def _of_this_machine(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")
