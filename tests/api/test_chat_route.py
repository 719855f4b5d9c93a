"""POST /chat: the language model's words, spoken while they are being written."""

from __future__ import annotations

import asyncio
import io
import json
import time
import wave
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from http_parts import Engine, Service, Start, serving, until

from worker.bench.scripted_llm import ScriptedLlm

ANSWER = "The library opens at nine in the morning, and it closes at six in the evening."


async def chatting(start: Start, engine: Engine, llm_url: str, **values: object) -> Service:
    return await start(engine_url=engine.url, openai_base_url=llm_url, **values)


async def test_sound_comes_before_the_last_word_is_written(start: Start, engine: Engine, scripted: ScriptedLlm) -> None:
    scripted.answer(ANSWER, tokens_per_s=12)
    service = await chatting(start, engine, scripted.url)
    async with service.client.post("/chat", json={"text": "When is it open?"}) as response:
        assert response.status == 200
        assert response.content_type == "audio/wav"
        await response.content.readexactly(1044)
        first_byte_s = time.monotonic()
        assert not scripted.requests[-1].finished
        await response.read()
    last_delta_s = scripted.requests[-1].last_delta_s
    assert last_delta_s is not None
    assert first_byte_s < last_delta_s - 0.2


async def test_the_whole_answer_is_spoken(
    start: Start, engine: Engine, scripted: ScriptedLlm, heard: Callable[[bytes], str]
) -> None:
    scripted.answer(ANSWER)
    service = await chatting(start, engine, scripted.url)
    async with service.client.post("/chat", json={"text": "When is it open?", "stream": False}) as response:
        body = await response.read()
    with wave.open(io.BytesIO(body)) as audio:
        assert audio.getnframes() * 2 + 44 == len(body) == int(response.headers["Content-Length"])
    words = set(heard(body).lower().replace(",", "").replace(".", "").split())
    assert {"library", "morning", "closes", "evening"} <= words


async def test_the_model_hears_the_agents_instructions_and_the_text(
    start: Start, engine: Engine, scripted: ScriptedLlm, tmp_path: Path
) -> None:
    agent = tmp_path / "agent.yaml"
    agent.write_text("instructions: You are the library's voice.\n")
    service = await chatting(start, engine, scripted.url, agent_file=agent)
    await (await service.client.post("/chat", json={"text": "When is it open?"})).read()
    assert scripted.requests[-1].messages == [
        {"role": "system", "content": "You are the library's voice."},
        {"role": "user", "content": "When is it open?"},
    ]


async def test_a_wrong_agent_file_is_not_shown_to_the_client(
    start: Start, engine: Engine, scripted: ScriptedLlm, tmp_path: Path
) -> None:
    agent = tmp_path / "agent.yaml"
    agent.write_text("secret_field: 1\n")
    service = await chatting(start, engine, scripted.url, agent_file=agent)
    async with service.client.post("/chat", json={"text": "hi"}) as response:
        assert response.status == 500
        assert (await response.json())["code"] == "agent_file"
        assert "secret_field" not in await response.text()


async def test_the_answers_words_stand_in_no_header(start: Start, engine: Engine, scripted: ScriptedLlm) -> None:
    scripted.answer("Pineapple.")
    service = await chatting(start, engine, scripted.url)
    async with service.client.post("/chat", json={"text": "Which fruit is not a mango?"}) as response:
        headers = str(response.headers).lower()
    assert "pineapple" not in headers
    assert "mango" not in headers


async def test_a_silent_model_is_504_and_frees_the_engine(start: Start, engine: Engine, scripted: ScriptedLlm) -> None:
    scripted.answer(ANSWER, ttft_s=30)
    service = await chatting(start, engine, scripted.url, llm_timeout_s=0.3)
    asked_s = time.monotonic()
    async with service.client.post("/chat", json={"text": "hi"}) as response:
        assert response.status == 504
        assert (await response.json())["code"] == "llm_timeout"
    assert time.monotonic() - asked_s < 1.5
    await until(lambda: engine.active == 0, within_s=1.0)


async def test_a_model_that_stalls_after_the_first_sound_breaks_the_body_off(start: Start, engine: Engine) -> None:
    async def stalling(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        choice = {"index": 0, "delta": {"content": ANSWER + " It is closed on Sundays. "}}
        event = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        await response.write(f"data: {json.dumps(event)}\n\n".encode())
        await asyncio.sleep(30)
        return response

    async with serving("POST", "/v1/chat/completions", stalling) as url:
        service = await chatting(start, engine, f"{url}/v1")
        async with service.client.post("/chat", json={"text": "hi"}) as response:
            assert response.status == 200
            await response.content.readexactly(1044)
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
    await until(lambda: engine.active == 0, within_s=1.0)


async def test_a_refusal_of_the_models_server_is_502_without_its_words(start: Start, engine: Engine) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "Incorrect API key provided: sk-secret"}}, status=401)

    async with serving("POST", "/v1/chat/completions", refuse) as url:
        service = await chatting(start, engine, f"{url}/v1")
        async with service.client.post("/chat", json={"text": "hi"}) as response:
            assert response.status == 502
            answer = await response.json()
    assert answer["code"] == "llm_refused"
    assert "401" in answer["message"]
    assert "secret" not in answer["message"]


async def test_a_missing_model_is_502(start: Start, engine: Engine) -> None:
    service = await chatting(start, engine, "http://127.0.0.1:9/v1")
    async with service.client.post("/chat", json={"text": "hi"}) as response:
        assert response.status == 502
        assert (await response.json())["code"] == "llm_unreachable"
    await until(lambda: engine.active == 0, within_s=1.0)


async def test_a_client_that_hangs_up_stops_engine_and_model(
    start: Start, engine: Engine, scripted: ScriptedLlm
) -> None:
    scripted.answer(ANSWER * 20, tokens_per_s=10)
    service = await chatting(start, engine, scripted.url)
    async with aiohttp.ClientSession(service.url) as client:
        response = await client.post("/chat", json={"text": "hi"})
        await response.content.readexactly(1044)
        response.close()
    await until(lambda: engine.active == 0, within_s=1.0)
    await until(lambda: scripted.requests[-1].abandoned, within_s=1.0)


async def test_a_client_that_hangs_up_before_the_first_word_stops_both(
    start: Start, engine: Engine, scripted: ScriptedLlm
) -> None:
    scripted.answer(ANSWER, ttft_s=3)
    service = await chatting(start, engine, scripted.url)
    async with aiohttp.ClientSession(service.url) as client:
        asking = asyncio.create_task(client.post("/chat", json={"text": "hi"}))
        await until(lambda: engine.active == 1 and len(scripted.requests) == 1)
        asking.cancel()
        await until(lambda: engine.active == 0 and scripted.requests[-1].abandoned, within_s=1.0)
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_model_that_says_nothing_is_502(start: Start, engine: Engine, scripted: ScriptedLlm) -> None:
    scripted.answer("")
    service = await chatting(start, engine, scripted.url)
    async with service.client.post("/chat", json={"text": "hi"}) as response:
        assert response.status == 502
        assert (await response.json())["code"] == "llm_empty"
    await until(lambda: engine.active == 0, within_s=1.0)


async def test_a_text_longer_than_a_turn_is_refused(start: Start, engine: Engine, scripted: ScriptedLlm) -> None:
    service = await chatting(start, engine, scripted.url)
    async with service.client.post("/chat", json={"text": "a" * 2001}) as response:
        assert response.status == 422
        assert (await response.json())["errors"][0]["allowed"] == "at most 2000 characters"
    assert not scripted.requests
