"""`POST /chat` on the running installation: sound before the answer is complete."""

import time

import aiohttp

ANSWER = "The bridge was built of stone and wood. It is crossed by many people every day, and most of them walk slowly."


async def test_the_first_sound_comes_before_the_models_last_delta(stack) -> None:
    stack.scripted.answer(ANSWER, tokens_per_s=12)
    body = {"text": "Tell me about the bridge.", "stream": True}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        async with http.post(f"{stack.http_url}/chat", json=body) as answer:
            assert answer.status == 200, await answer.text()
            header = await answer.content.readexactly(44)
            await answer.content.readexactly(480)
            first_sound_s = time.monotonic()
            rest = await answer.content.read()
    (request,) = stack.scripted.asked("bridge")
    assert header[:4] == b"RIFF"
    assert len(rest) > 2 * 24_000
    assert request.finished
    assert first_sound_s < request.last_delta_s


async def test_the_answer_holds_what_the_model_said(stack, judge) -> None:
    import numpy as np

    stack.scripted.answer(ANSWER)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        async with http.post(f"{stack.http_url}/chat", json={"text": "Tell me about the bridge."}) as answer:
            wav = await answer.read()
    heard = judge.words(np.frombuffer(wav[44:], np.int16).astype(np.float32) / 32768)
    assert "bridge was built of stone and wood" in heard
