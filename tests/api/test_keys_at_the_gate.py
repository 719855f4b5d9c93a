"""Who is let in: by key, by an issuer's JWT, or from this machine; and who is not."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from http_parts import Service, Start, serving, settings_for_test

from worker.api.app import create_app
from worker.api.oidc import Issuer
from worker.keys import KeyFile
from worker.settings import SettingsError

AUDIENCE = "calls"
Claims = dict[str, Any]


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "api-keys.json")


@pytest.fixture
async def service(start: Start, keys: KeyFile) -> Service:
    """One that asks for a key also on this machine."""
    return await start(api_keys_file=keys.path, open_on_loopback=False)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def ask(service: Service, token: str | None, path: str = "/token") -> tuple[int, dict[str, Any]]:
    async with service.client.post(path, headers=bearer(token) if token is not None else {}) as response:
        return response.status, await response.json()


async def test_a_key_opens_and_its_lack_does_not(service: Service, keys: KeyFile) -> None:
    _, text = keys.add("shop")
    status, said = await ask(service, None)
    assert (status, said["code"]) == (401, "unauthorized")
    status, said = await ask(service, text)
    assert (status, said["code"]) == (503, "no_agents")  # it came to the route


async def test_a_revoked_key_opens_no_more(service: Service, keys: KeyFile) -> None:
    _, text = keys.add("shop")
    assert (await ask(service, text))[0] == 503
    keys.revoke("shop")
    async with asyncio.timeout(5):
        while (await ask(service, text))[0] != 401:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("path", ["/token", "/chat", "/synthesize", "/voices", "/health", "/metrics"])
async def test_nothing_but_page_and_probes_is_open(service: Service, path: str) -> None:
    for method in ("GET", "POST"):
        async with service.client.request(method, path) as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/", "/join.js", "/livez", "/readyz"])
async def test_page_and_probes_need_no_key(start: Start, keys: KeyFile, path: str) -> None:
    keys.add("shop")
    service = await start(api_keys_file=keys.path, open_on_loopback=False)
    async with service.client.get(path, headers={"Host": "calls.example.test"}) as response:
        assert response.status in (200, 503)  # 503: not polled yet, or the page's client is not installed
        assert "WWW-Authenticate" not in response.headers


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Basic abc", "Bearer é", "Bearer " + "a" * 9000, "Bearer a.b.c", "Bearer .."]
)
async def test_what_is_no_key_is_refused(service: Service, keys: KeyFile, value: str) -> None:
    keys.add("shop")
    async with service.client.post("/token", headers={"Authorization": value}) as response:
        assert response.status in (400, 401)


async def test_two_keys_in_one_request_are_none(service: Service, keys: KeyFile) -> None:
    _, text = keys.add("shop")
    headers = [("Authorization", f"Bearer {text}"), ("Authorization", f"Bearer {text}")]
    async with service.client.post("/token", headers=headers) as response:
        assert response.status == 401


async def test_this_machine_needs_none_by_default(start: Start, keys: KeyFile) -> None:
    keys.add("shop")
    service = await start(api_keys_file=keys.path)
    assert (await ask(service, None))[0] == 503


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
async def test_a_proxy_on_this_machine_is_not_this_machine(start: Start, keys: KeyFile, name: str) -> None:
    keys.add("shop")
    service = await start(api_keys_file=keys.path)
    async with service.client.post("/token", headers={name: "127.0.0.1"}) as response:
        assert response.status == 401


async def test_a_public_name_is_heard_only_with_a_key(start: Start, keys: KeyFile) -> None:
    service = await start(api_keys_file=keys.path)
    async with service.client.post("/token", headers={"Host": "calls.example.test"}) as response:
        assert response.status == 403
    _, text = keys.add("shop")
    await asyncio.sleep(0)  # the file is looked at again within LOOK_S
    async with asyncio.timeout(5):
        while True:
            async with service.client.post("/token", headers=bearer(text) | {"Host": "calls.example.test"}) as response:
                if response.status == 503:
                    return
            await asyncio.sleep(0.05)


async def test_a_file_of_keys_that_cannot_be_read_closes_the_gate(service: Service, keys: KeyFile) -> None:
    _, text = keys.add("shop")
    keys.path.write_text("no json")
    async with asyncio.timeout(5):
        while (said := (await ask(service, text))[1])["code"] != "keys_unreadable":
            await asyncio.sleep(0.05)
    assert str(keys.path) not in json.dumps(said)


def test_another_machine_may_reach_it_only_with_a_key_or_an_issuer(keys: KeyFile) -> None:
    with pytest.raises(SettingsError, match="tts-ops keys add"):
        create_app(settings_for_test(host="0.0.0.0", api_keys_file=keys.path))
    create_app(settings_for_test(host="0.0.0.0", oidc_issuer="https://id.example.test", oidc_audience=AUDIENCE))
    keys.add("shop")
    create_app(settings_for_test(host="0.0.0.0", api_keys_file=keys.path))


async def test_other_sites_pages_are_heard_when_they_are_named_exactly(start: Start, keys: KeyFile) -> None:
    _, text = keys.add("shop")
    site = "https://shop.example.test"
    service = await start(api_keys_file=keys.path, open_on_loopback=False, cors_origins=(site,))
    asked = {"Origin": site, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    async with service.client.options("/token", headers=asked) as response:
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (200, site)
        assert "Access-Control-Allow-Credentials" not in response.headers
    for origin in ("https://shop.example.test.evil.test", "http://shop.example.test", "https://x.shop.example.test"):
        async with service.client.options("/token", headers=asked | {"Origin": origin}) as response:
            assert response.status == 400
        async with service.client.post("/token", headers=bearer(text) | {"Origin": origin}) as response:
            assert response.status == 403
            assert "Access-Control-Allow-Origin" not in response.headers


@dataclass
class Signer:
    """An issuer on this machine: `jwks` and `discovery` are what it publishes, `asked` how often."""

    url: str
    rsa: rsa.RSAPrivateKey
    jwks: dict[str, Any]
    asked: int = 0

    def sign(self, claims: Claims | None = None, alg: str = "RS256", key: Any = None, **header: Any) -> str:
        now = int(time.time())
        base: Claims = {"iss": self.url, "aud": AUDIENCE, "sub": "ann", "exp": now + 300}
        base |= claims or {}
        return jwt.encode(
            {k: v for k, v in base.items() if v is not None}, key or self.rsa, alg, headers={"kid": "1"} | header
        )


@pytest.fixture(scope="module")
def private() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
async def signer(private: rsa.RSAPrivateKey) -> AsyncIterator[Signer]:
    entry = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key())) | {"kid": "1", "use": "sig"}
    made = Signer("", private, {"keys": [entry, {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"}]})

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("openid-configuration"):
            return web.json_response({"issuer": made.url, "jwks_uri": f"{made.url}/jwks"})
        made.asked += 1
        return web.json_response(made.jwks)

    async with serving("GET", "/{tail:.*}", answer) as made.url:
        yield made


@pytest.fixture
def guarded(start: Start, signer: Signer) -> Callable[[], Any]:
    return lambda: start(oidc_issuer=signer.url, oidc_audience=AUDIENCE, open_on_loopback=False)


async def test_an_issuers_jwt_opens(guarded: Callable[[], Any], signer: Signer) -> None:
    service = await guarded()
    assert [(await ask(service, signer.sign()))[0] for _ in range(3)] == [503, 503, 503]
    assert signer.asked == 1


def _forged(signer: Signer) -> dict[str, str]:
    """Every token that must not be taken, by what is wrong with it."""
    now = int(time.time())
    public = signer.rsa.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = {"iss": signer.url, "aud": AUDIENCE, "sub": "ann", "exp": now + 300}
    good = signer.sign()
    head, body, signature = good.split(".")
    confused = f"{part({'alg': 'HS256', 'kid': '1'})}.{part(claims)}"
    import hashlib
    import hmac

    mac = base64.urlsafe_b64encode(hmac.digest(public, confused.encode(), hashlib.sha256)).rstrip(b"=").decode()
    other = rsa.generate_private_key(65537, 2048)
    return {
        "expired": signer.sign({"exp": now - 60}),
        "no end": signer.sign({"exp": None}),
        "not yet": signer.sign({"nbf": now + 120}),
        "wrong audience": signer.sign({"aud": "others"}),
        "no audience": signer.sign({"aud": None}),
        "wrong issuer": signer.sign({"iss": "https://evil.test"}),
        "no issuer": signer.sign({"iss": None}),
        "no subject": signer.sign({"sub": None}),
        "alg none": f"{part({'alg': 'none', 'kid': '1'})}.{part(claims)}.",
        "alg None with a signature": f"{part({'alg': 'None', 'kid': '1'})}.{part(claims)}.{signature}",
        "signed with the public key": f"{confused}.{mac}",
        "symmetric key of the set": signer.sign(alg="HS256", key="secret" * 8, kid="oct"),
        "another key": signer.sign(key=other),
        "another key, brought along": signer.sign(
            key=other, jwk=json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(other.public_key()))
        ),
        "unknown key": signer.sign(kid="2"),
        "key that is no text": f"{part({'alg': 'RS256', 'kid': ['1']})}.{body}.{signature}",
        "another kind of key": signer.sign(alg="ES256", key=ec.generate_private_key(ec.SECP256R1())),
        "changed": f"{head}.{part(claims | {'sub': 'bob'})}.{signature}",
        "no signature": f"{head}.{body}.",
        "no JSON": f"{head}.AAAA.{signature}",
        "deep": f"{base64.urlsafe_b64encode(b'[' * 4000).decode()}.{body}.{signature}",
    }


async def test_no_forged_jwt_opens(guarded: Callable[[], Any], signer: Signer) -> None:
    service = await guarded()
    assert (await ask(service, signer.sign()))[0] == 503
    answers = {name: (await ask(service, token))[0] for name, token in _forged(signer).items()}
    assert answers == dict.fromkeys(answers, 401)
    assert signer.asked == 1  # also an unknown key does not make us ask at once again


async def test_a_new_key_of_the_issuer_is_fetched_when_it_is_first_seen(signer: Signer) -> None:
    now_s = [0.0]
    issuer = Issuer(settings_for_test(oidc_issuer=signer.url, oidc_audience=AUDIENCE), clock=lambda: now_s[0])
    assert await issuer.verify(signer.sign())
    signer.jwks["keys"][0]["kid"] = "2"
    assert await issuer.verify(signer.sign(kid="2")) is None
    now_s[0] += 16
    assert await issuer.verify(signer.sign(kid="2"))
    assert await issuer.verify(signer.sign()) is None


async def test_the_subject_is_not_told_on(signer: Signer) -> None:
    issuer = Issuer(settings_for_test(oidc_issuer=signer.url, oidc_audience=AUDIENCE))
    name = await issuer.verify(signer.sign({"sub": "+49 170 1234567"}))
    assert name
    assert "170" not in name


@pytest.mark.parametrize("said", [{}, {"keys": 1}, {"keys": [{"kty": "RSA"}]}, {"keys": ["x"]}, {"x": "a" * 300_000}])
async def test_an_issuer_that_publishes_nonsense_opens_nothing(signer: Signer, said: dict[str, Any]) -> None:
    signer.jwks = said
    issuer = Issuer(settings_for_test(oidc_issuer=signer.url, oidc_audience=AUDIENCE))
    assert await issuer.verify(signer.sign()) is None
