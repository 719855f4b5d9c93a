"""The doctor against real sockets and files. Servers of providers are played by a small local one."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from worker.doctor.finding import Finding, table
from worker.doctor.machine import look_at_machine, look_at_ports
from worker.doctor.packages import differences, locked, look_at_packages
from worker.doctor.providers import RETIRED_MODELS, look_at_agent, look_at_livekit, look_at_llm, look_at_voice
from worker.doctor.tools import look_at_tools
from worker.settings import DEFAULT_LLM_MODELS, Settings

KEY = "sk-a-very-secret-key-0123456789"


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)


def named(findings: list[Finding], name: str) -> Finding:
    return next(f for f in findings if f.name == name)


@pytest.fixture
async def provider() -> AsyncIterator[str]:
    """Base URL of an OpenAI-compatible server that knows one key."""

    async def models(request: web.Request) -> web.Response:
        right = request.headers.get("authorization") == f"Bearer {KEY}"
        return web.json_response({"data": []}, status=200 if right else 401)

    app = web.Application()
    app.add_routes([web.get("/v1/models", models)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    await runner.cleanup()


async def test_a_provider_that_answers_is_ok(provider: str) -> None:
    findings = await look_at_llm(settings(llm_provider="local", openai_base_url=provider, openai_api_key=KEY))
    assert named(findings, "answer").state == "ok"


async def test_a_refused_key_is_said_and_never_shown(provider: str) -> None:
    findings = await look_at_llm(
        settings(llm_provider="local", openai_base_url=provider, openai_api_key="sk-wrong-0123456789")
    )
    answer = named(findings, "answer")
    assert (answer.state, "401" in answer.text) == ("missing", True)
    assert answer.mend == "set OPENAI_API_KEY to a valid key"
    assert "sk-wrong" not in table(findings)


async def test_a_provider_that_is_not_there_is_named_by_host_only() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    url = f"http://user:hunter2@127.0.0.1:{port}/v1"
    answer = named(await look_at_llm(settings(llm_provider="local", openai_base_url=url)), "answer")
    assert answer.state == "missing"
    assert f"127.0.0.1:{port}" in answer.text
    assert "hunter2" not in answer.text


async def test_a_provider_without_its_key_is_missing_that_key() -> None:
    chosen = named(await look_at_llm(settings(llm_provider="anthropic")), "chosen")
    assert chosen.state == "missing"
    assert "ANTHROPIC_API_KEY" in chosen.text


async def test_a_retired_model_is_named_with_the_one_to_take() -> None:
    given = settings(llm_provider="anthropic", anthropic_api_key=KEY, llm_model="claude-3-opus-20240229")
    chosen = named(await look_at_llm(given), "chosen")
    assert chosen == Finding(
        "missing", "chosen", "claude-3-opus-20240229 is retired", f"LLM_MODEL={DEFAULT_LLM_MODELS['anthropic']}"
    )


def test_no_default_model_is_retired() -> None:
    assert not set(DEFAULT_LLM_MODELS.values()) & set(RETIRED_MODELS)


async def test_a_livekit_server_that_does_not_answer_is_missing() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    findings = await look_at_livekit(settings(livekit_url=f"ws://127.0.0.1:{port}"))
    assert [f.state for f in findings] == ["missing", "missing"]
    assert "LIVEKIT_API_SECRET" in findings[1].text


def test_a_taken_port_is_missing_with_the_variable_that_changes_it() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        finding = named(look_at_ports(settings(http_port=s.getsockname()[1])), "HTTP_PORT")
    assert finding.state == "missing"
    assert "HTTP_PORT" in finding.mend


def test_a_wrong_agent_file_is_missing_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text("name: Vera\ninstrctions: Be kind.\n")
    (finding,) = look_at_agent(settings(agent_file=path))
    assert finding.state == "missing"
    assert "2" in finding.text
    assert "instrctions" in finding.text


def test_no_agent_file_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (finding,) = look_at_agent(settings())
    assert finding.state == "note"


def test_this_machine_can_run_it() -> None:
    findings = look_at_machine(settings())
    assert [f.name for f in findings] == ["Python", "system", "cores", "memory", "disk", "GPU"]
    assert named(findings, "Python").state == "ok"
    assert named(findings, "system").state == "ok"


def test_the_embedded_voice_is_called_plain() -> None:
    (finding,) = look_at_voice(settings(tts_backend="embedded"))
    assert (finding.state, "plain" in finding.text) == ("note", True)


async def test_the_embedded_models_load_here() -> None:
    findings = await asyncio.wait_for(look_at_packages(settings()), 50)
    embedded = [f for f in findings if f.name.startswith("embedded")]
    assert [f.state for f in embedded] == ["ok"] * 4


def test_a_lock_line_for_another_platform_is_passed_over(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(
        "# by hand\naiohttp==3.0.0 \\\n    --hash=sha256:00\n    # via x\n"
        "pywin32==1 ; sys_platform == 'win32' \\\n    --hash=sha256:11\nno-such-package==2 \\\n    --hash=sha256:22\n"
    )
    assert locked(lock) == {"aiohttp": "3.0.0", "no-such-package": "2"}


def test_another_version_and_a_package_that_is_not_there_are_differences() -> None:
    other, absent = differences({"aiohttp": "3.0.0", "no-such-package": "2"})
    assert other.startswith("aiohttp is 3.")
    assert other.endswith("not 3.0.0")
    assert absent == "no-such-package is not installed"


def test_what_telephones_need_is_a_note_where_it_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.setup.go_program.GoProgram.find", lambda self: None)
    monkeypatch.setattr("worker.doctor.tools.shutil.which", lambda name: None)
    found = look_at_tools(settings(livekit_url="wss://elsewhere.example"))
    assert "apt install redis-server" in str(named(found, "redis-server"))
    assert "make call PHONE=1" in str(named(found, "livekit-sip"))
