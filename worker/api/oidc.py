"""Takes JWTs of one OpenID Connect issuer: signature by its published keys, `iss`, `aud`, `exp`, and nothing else.

Only asymmetric algorithms are taken, so that nobody signs with a public key; a token never says where its key is.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import jwt
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

from worker.settings import Settings
from worker.url_rule import wrong_addresses, wrong_url

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
KEPT_S = 600.0
ASK_AGAIN_S = 15.0  # a token with an unknown key makes us ask the issuer, but not more often
DEADLINE_S = 3.0
MAX_BYTES = 256 * 1024
LEEWAY_S = 30

logger = logging.getLogger(__name__)


class Issuer:
    """Its keys are fetched when they are first needed, and kept. `clock`: seconds."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`settings` name an issuer and an audience."""
        assert settings.oidc_issuer is not None
        self._issuer = settings.oidc_issuer
        self._audience = settings.oidc_audience
        self._url = settings.oidc_jwks_url
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._asked_s = float("-inf")
        self._fetched_s = float("-inf")
        self._asking = asyncio.Lock()

    async def verify(self, token: str) -> str | None:
        """A name for the token's subject that tells nobody who it is; None when the token is not taken."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                return None
            key = await self._key(header.get("kid"))
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[header["alg"]],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, TypeError, ValueError, AttributeError, RecursionError) as error:
            logger.debug("a JWT was refused: %s", type(error).__name__)
            return None
        return hashlib.sha256(claims["sub"].encode()).hexdigest()[:16]

    async def _key(self, kid: object) -> jwt.PyJWK | None:
        age_s = self._clock() - self._fetched_s
        if age_s > KEPT_S or (isinstance(kid, str) and kid not in self._keys):
            await self._renew()
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid) if isinstance(kid, str) else None

    async def _renew(self) -> None:
        """Keys that are too old are still better than none while the issuer is away."""
        async with self._asking:
            if self._clock() - self._asked_s < ASK_AGAIN_S:
                return
            self._asked_s = self._clock()
            try:
                async with asyncio.timeout(DEADLINE_S):
                    self._keys = await self._fetch()
                self._fetched_s = self._clock()
            except (
                aiohttp.ClientError,
                TimeoutError,
                OSError,
                ValueError,
                KeyError,
                TypeError,
                jwt.PyJWTError,
            ) as error:
                logger.warning("the keys of OIDC_ISSUER could not be had: %s", type(error).__name__)

    async def _fetch(self) -> dict[str, jwt.PyJWK]:
        connector = aiohttp.TCPConnector(resolver=_Resolver())
        async with aiohttp.ClientSession(connector=connector) as session:
            url = self._url or await self._discover(session)
            entries = (await _get(session, url))["keys"]
        keys = [jwt.PyJWK(e) for e in entries if e.get("kty") in ("RSA", "EC", "OKP") and e.get("use", "sig") == "sig"]
        return {key.key_id or "": key for key in keys}

    async def _discover(self, session: aiohttp.ClientSession) -> str:
        said = await _get(session, f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        url = said["jwks_uri"]
        if said["issuer"] != self._issuer or not isinstance(url, str) or wrong_url(url):
            raise ValueError("the discovery page is of another issuer")
        if urlsplit(url).scheme != urlsplit(self._issuer).scheme:
            raise ValueError("the keys are not where TLS protects them")
        return url


async def _get(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """ValueError when it is no JSON object, or too long a one. Goes nowhere else."""
    async with session.get(url, allow_redirects=False) as response:
        if response.status != 200:
            raise ValueError("no answer")
        body = await response.content.read(MAX_BYTES + 1)
        while len(body) <= MAX_BYTES and (more := await response.content.read(MAX_BYTES)):
            body += more
    said = json.loads(body) if len(body) <= MAX_BYTES else None
    if not isinstance(said, dict):
        raise ValueError("no JSON object")
    return said


class _Resolver(ThreadedResolver):
    """A name that leads to a metadata service leads nowhere."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        if wrong_addresses(entry["host"] for entry in found):
            raise OSError(f"{host} leads to a link-local or metadata address")
        return found
