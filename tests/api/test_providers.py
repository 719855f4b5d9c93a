"""Which recogniser and language model the settings come to, what each needs, and where keys go."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from http_parts import serving, settings_for_test
from livekit.agents import NOT_GIVEN, APIConnectOptions, llm

from worker.bench.scripted_llm import ScriptedLlm
from worker.llm_chain import LlmFailed
from worker.providers import build_chain, build_llm, build_stt, check_models, describe
from worker.settings import SettingsError

SERVER = "http://127.0.0.1:9/v1"


def key_of(part: Any) -> str:
    return str(part._client.api_key)


def url_of(part: Any) -> str:
    return str(part._client.base_url).rstrip("/")


@pytest.mark.parametrize(
    ("values", "variable"),
    [
        ({"llm_provider": "anthropic"}, "ANTHROPIC_API_KEY"),
        ({"llm_provider": "openai"}, "OPENAI_API_KEY"),
        ({"llm_provider": "local"}, "OPENAI_BASE_URL"),
    ],
)
async def test_a_language_model_without_its_key_is_refused_by_name(values: dict[str, Any], variable: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        build_llm(settings_for_test(**values))


@pytest.mark.parametrize(
    ("values", "variable"),
    [({"stt_provider": "deepgram"}, "DEEPGRAM_API_KEY"), ({"stt_provider": "openai"}, "OPENAI_API_KEY")],
)
async def test_a_recogniser_without_its_key_is_refused_by_name(values: dict[str, Any], variable: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        build_stt(settings_for_test(**values))


@pytest.mark.parametrize(
    ("values", "url", "model"),
    [
        ({"anthropic_api_key": "k"}, "https://api.anthropic.com", "claude-haiku-4-5"),
        ({"openai_api_key": "k"}, "https://api.openai.com/v1", "gpt-4.1-mini"),
        ({"openai_base_url": SERVER, "llm_model": "qwen"}, SERVER, "qwen"),
        ({"openai_base_url": SERVER, "openai_api_key": "k", "llm_provider": "openai"}, SERVER, "gpt-4.1-mini"),
        ({"models_url": "http://127.0.0.1:8002"}, "http://127.0.0.1:8002/v1", "smollm2-135m-instruct"),
    ],
)
async def test_auto_takes_what_was_configured(values: dict[str, Any], url: str, model: str) -> None:
    built = build_llm(settings_for_test(**values))
    assert url_of(built) == url
    assert built.model == model


async def test_the_environment_sends_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://elsewhere.test")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://elsewhere.test")
    for values in ({"openai_api_key": "k", "openai_base_url": None}, {"anthropic_api_key": "k"}):
        assert "elsewhere" not in url_of(build_llm(settings_for_test(**values)))


async def test_speech_goes_to_the_server_that_was_named_for_text() -> None:
    built = build_stt(settings_for_test(stt_provider="openai", openai_base_url=SERVER))
    assert url_of(built) == SERVER


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"stt_base_url": SERVER, "openai_api_key": "k"}, "none"),  # the key is OpenAI's: the model is there
        ({"stt_base_url": SERVER, "openai_api_key": "k", "openai_base_url": "http://other.test/v1"}, "none"),
        ({"stt_base_url": SERVER, "openai_api_key": "k", "openai_base_url": SERVER}, "k"),
        ({"stt_base_url": SERVER, "openai_api_key": "k", "anthropic_api_key": "a"}, "k"),
        ({"stt_base_url": SERVER}, "none"),
    ],
)
async def test_a_key_goes_to_one_server_only(values: dict[str, Any], key: str) -> None:
    built: Any = build_stt(settings_for_test(stt_provider="openai", **values))
    assert built._client.api_key == key


async def test_the_embedded_model_is_asked_without_the_proxy(
    scripted: ScriptedLlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    scripted.answer("Hello there.")
    model = build_llm(settings_for_test(models_url=scripted.url.removesuffix("/v1")))
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="hi")
    async with model.chat(chat_ctx=context, conn_options=APIConnectOptions(max_retry=0, timeout=5)) as stream:
        said = "".join([c.delta.content async for c in stream if c.delta and c.delta.content])
    await model.aclose()
    assert said == "Hello there."
    assert scripted.requests[-1].max_tokens == 60


async def test_a_silent_model_is_given_up_after_the_setting() -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with serving("POST", "/v1/chat/completions", hang) as url:
        chain = build_chain(settings_for_test(openai_base_url=f"{url}/v1", llm_timeout_s=0.1))
        context = llm.ChatContext.empty()
        context.add_message(role="user", content="hi")
        with pytest.raises(LlmFailed):
            await asyncio.wait_for(anext(chain.answer(context, [], NOT_GIVEN)), 5)  # type: ignore[arg-type]
        await chain.aclose()


async def test_the_fallback_list_is_a_chain_in_its_order() -> None:
    settings = settings_for_test(
        openai_base_url=SERVER, openai_api_key="k", llm_model="qwen", llm_fallback=("openai:gpt-5", "embedded")
    )
    chain = build_chain(settings)
    assert [(m.name, m.llm.model) for m in chain.models] == [
        ("local", "qwen"),
        ("openai", "gpt-5"),
        ("embedded", "smollm2-135m-instruct"),
    ]
    assert url_of(chain.models[1].llm) == "https://api.openai.com/v1"
    assert key_of(chain.models[0].llm) == "none"  # one key, one server
    assert key_of(chain.models[1].llm) == "k"


@pytest.mark.parametrize(
    ("fallback", "message"),
    [("claude", "LLM_FALLBACK"), ("openai", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY")],
)
async def test_a_fallback_that_is_unknown_or_not_configured_is_refused_by_name(fallback: str, message: str) -> None:
    for look in (build_chain, check_models):
        with pytest.raises(SettingsError, match=message):
            look(settings_for_test(llm_fallback=(fallback,)))


def test_parts_name_a_server_without_its_password() -> None:
    parts = describe(settings_for_test(openai_base_url="http://me:secret@models.test:8000/v1", llm_model="qwen"))
    assert parts.llm == "qwen (models.test:8000)"


def test_a_part_that_is_not_embedded_has_no_note() -> None:
    parts = describe(settings_for_test(anthropic_api_key="k", stt_provider="deepgram", deepgram_api_key="k"))
    assert parts.notes == ()
    assert parts.llm == "claude-haiku-4-5 (Anthropic)"
    assert parts.stt == "nova-3 (Deepgram)"


def test_every_embedded_part_has_a_note() -> None:
    assert len(describe(settings_for_test(), voice_backend="embedded").notes) == 3
