"""docs/api.md: its examples run as they stand, and it names every field, format, event and code."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import playwright
import pytest
from http_parts import Engine, Service, Start, StartFleet
from pydantic import BaseModel
from sound_parts import seconds_of

from worker.api.chat import ChatRequest
from worker.api.formats.output import MEDIA_TYPES, OutputFormat
from worker.api.openai_speech import SpeechRequest
from worker.api.synthesize import SynthesizeRequest
from worker.api.transcriptions import TranscriptionRequest
from worker.bench.scripted_llm import ScriptedLlm

NODE = Path(playwright.__file__).parent / "driver" / "node"  # comes with Playwright, so it is always there
ADDRESS = "http://127.0.0.1:8080"


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "api.md").read_text(encoding="utf-8")


def examples(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.S)


def at(service: Service, code: str) -> str:
    """The example, asking this service."""
    return code.replace(ADDRESS, service.url).replace(ADDRESS.replace("http", "ws"), service.url.replace("http", "ws"))


async def ran(command: list[str], folder: Path) -> str:
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=-1, stderr=-1)
    out, err = await asyncio.wait_for(process.communicate(), 50)
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.mark.parametrize("language", ["sh", "python", "js"])
async def test_the_examples_run(
    page: str,
    language: str,
    start: Start,
    engine: Engine,
    scripted: ScriptedLlm,
    models_url: str,
    start_fleet: StartFleet,
    tmp_path: Path,
) -> None:
    runs = {"sh": ["sh", "-ec"], "python": [sys.executable, "-c"], "js": [str(NODE), "--input-type=module", "-e"]}
    fleet = await start_fleet()
    service = await start(
        engine_url=engine.url, openai_base_url=scripted.url, models_url=models_url, worker_urls=(fleet.url,)
    )
    scripted.answer("Good morning to you too.")
    said = [await ran([*runs[language], at(service, code)], tmp_path) for code in examples(page, language)]
    match language:
        case "sh":
            assert seconds_of((tmp_path / "linked.wav").read_bytes()) > 0.5
            assert '"heart"' in said[4]
            assert '"participant_token"' in said[5]
            assert "voice_http_requests_total" in said[6]
            names = ("hello.mp3", "answer.mp3", "speech.mp3")
            assert all(seconds_of((tmp_path / name).read_bytes()) > 0.5 for name in names)
            assert "hello" in said[2].lower()
        case "python":
            assert seconds_of((tmp_path / "hello.ogg").read_bytes()) > 0.5
            assert said[1].startswith("Good morning to you too. audio/wav ")
            assert (tmp_path / "streamed.pcm").stat().st_size > 24_000
            assert "hello" in said[3].lower()
            assert "'tts-1'" in said[3]
            assert seconds_of((tmp_path / "linked-too.wav").read_bytes()) > 0.5
            assert "'heart'" in said[5]
            assert said[6] == "['participant_name', 'participant_token', 'room_name', 'server_url']\n"
            assert said[7].splitlines()[1:] == ["/livez ok", "/readyz ok"]
        case "js":
            assert int(said[0].split()[1]) > 20_000
            assert said[1] == "200 Good morning to you too.\n"
            assert int(said[2].removeprefix("done ")) > 24_000
            assert said[3].lower().startswith("200 hello")
            assert said[4] == "audio/wav\n"
            assert "heart" in said[5]
            assert said[6].startswith("201 ws://")
            assert said[6].endswith(" 3\n")
            assert said[7] == "/livez 200\n/readyz 200\n/metrics 200\n"


@pytest.mark.parametrize("model", [SynthesizeRequest, ChatRequest, SpeechRequest, TranscriptionRequest])
def test_every_field_is_on_the_page(page: str, model: type[BaseModel]) -> None:
    for name in model.model_json_schema(by_alias=True)["properties"]:
        assert f"`{name}`" in page, name


def test_every_format_is_on_the_page(page: str) -> None:
    for name in OutputFormat.__args__:  # type: ignore[attr-defined]
        assert f"| `{name}` | `audio/" in page, name
    for media_type in MEDIA_TYPES:
        assert media_type in page, media_type


def test_every_code_is_on_the_page(page: str, root: Path) -> None:
    sources = [path.read_text(encoding="utf-8") for path in (root / "worker" / "api").rglob("*.py")]
    codes = {code for source in sources for code in re.findall(r'ApiError\(\s*\d+, "(\w+)"', source)}
    assert len(codes) > 10
    for code in codes - {"slow_reader"}:  # no answer can carry it
        assert f"`{code}`" in page, code
