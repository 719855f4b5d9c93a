"""Bad input: always an answer in JSON that says what was given and what is allowed; never a crash."""

from __future__ import annotations

import json
from typing import Any

import pytest
from http_parts import Service, Start

JSON = {"Content-Type": "application/json"}
NASTY = {
    "nothing": b"",
    "half an object": b"{",
    "a list": b"[]",
    "null": b"null",
    "a string": b'"x"',
    "half a surrogate pair": b'{"text":"\\ud800"}',
    "not a number": b'{"text":NaN}',
    "infinity": b'{"text":1e999}',
    "a number of 5000 digits": b'{"text":' + b"9" * 5000 + b"}",
    "a number of 400 digits": b'{"text":' + b"9" * 400 + b"}",
    "50,000 open brackets": b"[" * 50_000,
    "30,000 nested objects": b'{"a":' * 30_000,
    "not UTF-8": b"\xff\xfe\x00",
    "NUL": b"\x00",
    "blanks": b'{"text":" \\n\\t"}',
    "no text": b"{}",
    "text of the wrong type": b'{"text":["a"]}',
    "a field that is not there": b'{"text":"a","speed":2}',
    "path traversal": b'{"text":"a","voice_id":"../../etc/passwd"}',
    "encoded traversal": b'{"text":"a","voice_id":"..%2f"}',
    "a voice with NUL": b'{"text":"a","voice_id":"a\\u0000"}',
    "a voice in full-width dots": b'{"text":"a","voice_id":"\\uff0e\\uff0e"}',
    "a voice with a line break at its end": b'{"text":"a","voice_id":"default\\n"}',
    "a format that is not there": b'{"text":"a","output_format":"mp4"}',
    "a huge flag": b'{"text":"a","stream":99999999999999999999}',
}


@pytest.mark.parametrize("path", ["/synthesize", "/chat"])
@pytest.mark.parametrize("body", NASTY.values(), ids=NASTY.keys())
async def test_a_nasty_body_is_answered_with_422(start: Start, path: str, body: bytes) -> None:
    service = await start()
    async with service.client.post(path, data=body, headers=JSON) as response:
        answer = await response.json()
    assert response.status == 422
    assert answer["code"] == "invalid"
    for wrong in answer["errors"]:
        assert wrong.keys() == {"field", "given", "allowed"}
        assert wrong["allowed"]
        assert len(json.dumps(wrong["given"])) < 600


async def invalid(service: Service, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    async with service.client.post(path, json=body) as response:
        assert response.status == 422
        errors: list[dict[str, Any]] = (await response.json())["errors"]
        return errors


async def test_each_wrong_field_is_named_with_what_is_allowed(start: Start) -> None:
    service = await start()
    assert await invalid(service, "/synthesize", {"output_format": "mp4", "tempo": 2}) == [
        {
            "field": "output_format",
            "given": "mp4",
            "allowed": "'wav', 'pcm', 'mp3', 'opus', 'flac', 'aac' or 'mulaw'",
        },
        {"field": "text", "given": "an object", "allowed": "must be given"},
        {
            "field": "tempo",
            "given": 2,
            "allowed": "no such field; there are: language, output_format, sample_rate, seed, speed, stream, text, "
            "timestamps, voice_id",
        },
    ]


async def test_a_text_that_is_too_long_is_cut_in_the_answer(start: Start) -> None:
    service = await start(synthesize_max_chars=100)
    (wrong,) = await invalid(service, "/synthesize", {"text": "a" * 101})
    assert wrong == {"field": "text", "given": "a" * 79 + "…", "allowed": "at most 100 characters"}


async def test_a_form_is_told_to_be_json(start: Start) -> None:
    service = await start()
    async with service.client.post("/synthesize", data={"text": "hello"}) as response:
        assert response.status == 422
        assert "Content-Type: application/json" in (await response.json())["message"]


@pytest.mark.parametrize(("method", "path", "status"), [("DELETE", "/token", 405), ("GET", "/nothing", 404)])
async def test_unknown_ways_are_answered_in_the_same_shape(start: Start, method: str, path: str, status: int) -> None:
    service = await start()
    async with service.client.request(method, path) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"
        problem = await response.json()
        assert problem.keys() == {"type", "title", "status", "detail", "code", "message"}
        assert problem["status"] == status


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("POST", "/synthesize", {"text": "a"}), ("POST", "/chat", {"text": "a"}), ("GET", "/voices", None)],
)
async def test_a_missing_engine_is_said_at_once(start: Start, method: str, path: str, body: Any) -> None:
    service = await start()
    async with service.client.request(method, path, json=body) as response:
        answer = await response.json()
    assert response.status == 503
    assert response.headers["Retry-After"] == "2"
    assert answer["code"] == "engine_unreachable"
