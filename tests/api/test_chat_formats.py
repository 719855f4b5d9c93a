"""POST /chat: what was said before, instructions, and the answer as events or JSON; the real engine."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from http_parts import Engine, Service, Start, serving, until
from sound_parts import events, seconds_of, sound_of

from worker.bench.scripted_llm import ScriptedLlm
from worker.keys import KeyFile

ANSWER = "The library opens at nine in the morning, and it closes at six in the evening."
EARLIER = [{"role": "user", "content": "Is there a library?"}, {"role": "assistant", "content": "Yes."}]


async def chatting(start: Start, engine: Engine, llm_url: str, **values: Any) -> Service:
    return await start(engine_url=engine.url, openai_base_url=llm_url, **values)


async def said(service: Service, **body: Any) -> dict[str, Any]:
    asked = {"text": "When is it open?", "format": "json"} | body
    async with service.client.post("/chat", json=asked) as response:
        assert response.status == 200, await response.text()
        answer: dict[str, Any] = await response.json()
        return answer


async def test_json_has_text_sound_and_words(start: Start, engine: Engine, scripted: ScriptedLlm) -> None:
    scripted.answer(ANSWER)
    service = await chatting(start, engine, scripted.url)
    answer = await said(service, output_format="mp3")
    assert answer["text"] == ANSWER
    assert answer["media_type"] == "audio/mpeg"
    assert 2.0 < seconds_of(base64.b64decode(answer["audio"])) < 8.0
    assert "".join(ANSWER[word["source_start"] : word["source_end"]] for word in answer["words"]) == ANSWER


async def test_a_link_to_the_sound_is_good_for_who_asked_alone(
    start: Start, engine: Engine, scripted: ScriptedLlm, tmp_path: Path
) -> None:
    scripted.answer(ANSWER)
    keys = KeyFile(tmp_path / "api-keys.json")
    shop, bank = ({"Authorization": f"Bearer {keys.add(name)[1]}"} for name in ("shop", "bank"))
    service = await chatting(start, engine, scripted.url, api_keys_file=keys.path, open_on_loopback=False)
    asked = {"text": "When is it open?", "format": "json", "audio_as": "url", "output_format": "mp3"}
    async with service.client.post("/chat", json=asked, headers=shop) as response:
        answer = await response.json()
    assert (answer["text"], "audio" in answer, answer["audio_expires_in_s"]) == (ANSWER, False, 600)
    assert len(answer["audio_url"].removeprefix("/audio/")) == 43  # 256 bits
    for _ in range(2):
        async with service.client.get(answer["audio_url"], headers=shop) as response:
            assert (response.status, response.headers["Content-Type"]) == (200, "audio/mpeg")
            assert response.headers["X-AI-Generated"] == "true"
            assert 2.0 < seconds_of(await response.read()) < 8.0
    for url, headers, status in (
        (answer["audio_url"], bank, 404),
        (answer["audio_url"], {}, 401),
        (answer["audio_url"][:-1] + "!", shop, 422),
        ("/audio/" + "A" * 43, shop, 404),
    ):
        async with service.client.get(url, headers=headers) as response:
            assert response.status == status, (url, headers)


async def test_events_hold_text_words_and_sound_side_by_side(
    start: Start, engine: Engine, scripted: ScriptedLlm
) -> None:
    scripted.answer(ANSWER, tokens_per_s=15)
    service = await chatting(start, engine, scripted.url)
    async with service.client.post("/chat", json={"text": "hi", "format": "sse"}) as response:
        assert response.content_type == "text/event-stream"
        assert response.headers["X-AI-Generated"] == "true"
        told = [event async for event in events(response)]
    names = [name for name, _ in told]
    assert names[0] == "text"
    assert names[-1] == "done"
    last_text = len(names) - 1 - names[::-1].index("text")
    assert names.index("words") < names.index("audio") < last_text  # it speaks while the model still writes
    assert "".join(data["delta"] for name, data in told if name == "text") == ANSWER
    words = [word for name, data in told if name == "words" for word in data["words"]]
    assert "".join(ANSWER[word["source_start"] : word["source_end"]] for word in words) == ANSWER
    assert seconds_of(sound_of(told)) == pytest.approx(told[-1][1]["seconds"], abs=0.01)


async def test_a_history_stands_before_the_text(start: Start, engine: Engine, scripted: ScriptedLlm) -> None:
    service = await chatting(start, engine, scripted.url)
    await said(service, history=EARLIER, system="Be brief.")
    assert scripted.requests[-1].messages == [
        {"role": "system", "content": "Be brief."},
        *EARLIER,
        {"role": "user", "content": "When is it open?"},
    ]


async def test_a_conversation_is_remembered_and_no_other(start: Start, engine: Engine, scripted: ScriptedLlm) -> None:
    service = await chatting(start, engine, scripted.url)
    scripted.answer("Yes.")
    await said(service, text="Is there a library?", conversation_id="conversation-1", format="json")
    await said(service, conversation_id="conversation-2")
    assert len(scripted.requests[-1].messages) == 2
    await said(service, conversation_id="conversation-1")
    assert scripted.requests[-1].messages[1:] == [*EARLIER, {"role": "user", "content": "When is it open?"}]


async def test_a_conversation_is_its_askers_own(
    start: Start, engine: Engine, scripted: ScriptedLlm, tmp_path: Path
) -> None:
    keys = KeyFile(tmp_path / "api-keys.json")
    secrets = {name: keys.add(name)[1] for name in ("shop", "bank")}
    service = await chatting(start, engine, scripted.url, api_keys_file=keys.path, open_on_loopback=False)
    for name, secret in secrets.items():
        headers = {"Authorization": f"Bearer {secret}"}
        asked = {"text": name, "conversation_id": "conversation-1"}
        async with service.client.post("/chat", json=asked, headers=headers) as response:
            assert response.status == 200
            await response.read()
        assert len(scripted.requests[-1].messages) == 2


async def test_an_answer_that_broke_off_is_not_remembered(start: Start, engine: Engine, scripted: ScriptedLlm) -> None:
    scripted.answer(ANSWER * 20, tokens_per_s=10)
    service = await chatting(start, engine, scripted.url)
    asked = {"text": "hi", "conversation_id": "conversation-1"}
    async with aiohttp.ClientSession(service.url) as client:
        response = await client.post("/chat", json=asked)
        await response.content.readexactly(1044)
        response.close()
    await until(lambda: engine.active == 0)
    scripted.answer("Yes.")
    await said(service, conversation_id="conversation-1")
    assert len(scripted.requests[-1].messages) == 2


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"history": EARLIER, "conversation_id": "conversation-1"}, "body"),
        ({"history": [{"role": "system", "content": "x"}]}, "history.0.role"),
        ({"history": EARLIER * 21}, "history"),
        ({"conversation_id": "short"}, "conversation_id"),
        ({"conversation_id": "../../etc/passwd"}, "conversation_id"),
        ({"format": "xml"}, "format"),
        ({"output_format": "opus", "sample_rate": 22_050}, "sample_rate"),
        ({"system": ""}, "system"),
    ],
)
async def test_a_wrong_field_is_named(
    start: Start, engine: Engine, scripted: ScriptedLlm, asked: dict[str, Any], field: str
) -> None:
    service = await chatting(start, engine, scripted.url)
    async with service.client.post("/chat", json={"text": "hi"} | asked) as response:
        assert response.status == 422
        problem = await response.json()
    assert [error["field"] for error in problem["errors"]] == [field]
    assert not scripted.requests
    assert engine.active == 0


@pytest.mark.parametrize("form", ["audio", "sse", "json"])
async def test_a_silent_model_is_504_in_every_form(
    start: Start, engine: Engine, scripted: ScriptedLlm, form: str
) -> None:
    scripted.answer(ANSWER, ttft_s=30)
    service = await chatting(start, engine, scripted.url, llm_timeout_s=0.3)
    async with service.client.post("/chat", json={"text": "hi", "format": form}) as response:
        assert (response.status, response.content_type) == (504, "application/problem+json")
        assert (await response.json())["code"] == "llm_timeout"
    await until(lambda: engine.active == 0, within_s=1.0)


async def test_a_missing_engine_is_503_as_events(start: Start, scripted: ScriptedLlm) -> None:
    service = await start(openai_base_url=scripted.url)
    async with service.client.post("/chat", json={"text": "hi", "format": "sse"}) as response:
        assert response.status == 503
        assert (await response.json())["code"] == "engine_unreachable"


async def test_an_engine_that_stops_is_the_last_event(start: Start, engine: Engine, scripted: ScriptedLlm) -> None:
    scripted.answer(ANSWER * 10, tokens_per_s=30)
    service = await chatting(start, engine, scripted.url)
    async with service.client.post("/chat", json={"text": "hi", "format": "sse"}) as response:
        told = []
        async for name, data in events(response):
            told.append((name, data))
            if name == "started":
                engine.backend.close()
    assert (told[-1][0], told[-1][1]["status"]) == ("error", 503)
    await until(lambda: scripted.requests[-1].abandoned, within_s=2.0)


async def test_a_model_whose_server_goes_is_the_last_event(start: Start, engine: Engine) -> None:
    async def going(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        choice = {"index": 0, "delta": {"content": ANSWER + " It is closed on Sundays. "}}
        event = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        await response.write(f"data: {json.dumps(event)}\n\ndata: [".encode())
        request.transport.abort()  # type: ignore[union-attr]
        return response

    async with serving("POST", "/v1/chat/completions", going) as url:
        service = await chatting(start, engine, f"{url}/v1")
        async with service.client.post("/chat", json={"text": "hi", "format": "sse"}) as response:
            told = [event async for event in events(response)]
    assert (told[-1][0], told[-1][1]["status"]) == ("error", 502)
    await until(lambda: engine.active == 0, within_s=1.0)


async def test_a_reader_of_events_who_goes_stops_engine_and_model(
    start: Start, engine: Engine, scripted: ScriptedLlm
) -> None:
    scripted.answer(ANSWER * 20, tokens_per_s=10)
    service = await chatting(start, engine, scripted.url)
    async with aiohttp.ClientSession(service.url) as client:
        response = await client.post("/chat", json={"text": "hi", "format": "sse"})
        await response.content.readexactly(1044)
        response.close()
    await until(lambda: engine.active == 0, within_s=1.0)
    await until(lambda: scripted.requests[-1].abandoned, within_s=1.0)
