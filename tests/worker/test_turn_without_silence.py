"""A turn whose language model fails, in LiveKit's AgentSession with a real voice: the listener is never left alone."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from livekit.agents import AgentSession, APIConnectOptions, llm
from livekit.agents.voice.agent_session import SessionConnectOptions
from livekit.agents.voice.transcription import TranscriptSynchronizer
from livekit.plugins import openai, vibevoice
from turn_parts import ANSWER, FAULTS, FaultyLlm, Listener, faulty_llm

from worker.agent import VoiceAgent
from worker.agent_file import AgentFile
from worker.bench.stack import spawn
from worker.clip_maker import ClipMaker, Speaker
from worker.clip_speech import fill_tool_time
from worker.clip_store import ClipStore
from worker.clips import Clips
from worker.hearing import Hearing
from worker.llm_chain import LlmChain, Model
from worker.phrases import Phrases, phrases
from worker.tools import with_deadline
from worker.turn_guard import TurnGuard, without_fillers
from worker.turns import TurnLog
from worker.watchdog import Limits

# Half of what a call has, so that the tests take half the time; all promises are halved with them.
LIMITS = Limits(filler_after_s=1.0, filler_every_s=1.25, turn_s=5.0)
FIRST_S, STALL_S, TOOL_S = 2.0, 1.5, 3.0
SILENCE_S = 3.0 / 2
BUSY_S = 1.0  # what a busy machine may add
SHORT = phrases("en", Phrases(filler=("One moment.", "Almost there."), apology="Sorry, please say it again."))

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def engine_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path_factory.mktemp("engine") / "log").open("wb")
    env = {"TTS_BACKEND": "embedded", "ENGINE_PORT": str(port)}
    process = spawn((sys.executable, "-m", "worker.cli", "engine"), env, log, cwd=Path(log.name).parent)
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
    while True:
        try:
            with urlopen(f"{url}/readyz", timeout=2):
                break
        except OSError:
            assert process.poll() is None, "the engine ended"
            assert time.monotonic() < deadline, "the engine did not start"
            time.sleep(0.05)
    yield url
    process.terminate()
    process.wait(10)
    log.close()


@pytest.fixture(scope="module")
def clips(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> Clips:
    maker = ClipMaker(
        Clips(SHORT),
        Speaker((engine_url, engine_url), "default", "en"),
        ClipStore(tmp_path_factory.mktemp("c")),
    )
    assert asyncio.run(maker.fill())
    return maker.clips


@dataclass(slots=True)
class Talk:
    session: AgentSession[None]
    listener: Listener
    guard: TurnGuard
    notes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def ask(self, text: str = "When does the museum open?") -> tuple[str, float]:
        """What the agent answered, without its fillers, and the longest silence until it was over, seconds."""
        before = {item.id for item in self.session.history.items}
        since = time.monotonic()
        speech = self.session.generate_reply(user_input=text)
        async with asyncio.timeout(40):
            await speech.wait_for_playout()
        until = max([end for _, end in self.listener.heard if end > since], default=time.monotonic())
        said = [
            without_fillers(item.text_content or "", self.guard.clips.fillers, interrupted=False)
            for item in self.session.history.items
            if item.id not in before and isinstance(item, llm.ChatMessage) and item.role == "assistant"
        ]
        return " ".join(said).strip(), max(self.listener.silences(since, until), default=0.0)

    def count(self, event: str, **values: object) -> int:
        return sum(name == event and values.items() <= told.items() for name, told in self.notes)


@asynccontextmanager
async def talking(
    engine_url: str, clips: Clips, *llms: FaultyLlm, tools: list[Any] | None = None
) -> AsyncIterator[Talk]:
    notes: list[tuple[str, dict[str, Any]]] = []

    def note(name: str, **values: Any) -> None:
        notes.append((name, values))

    own = Clips(SHORT)
    for text in clips.texts:
        own.put(text, clips._pcm[text])
    models = [Model(f"local:{n}", openai.LLM(model="m", api_key="x", base_url=one.url)) for n, one in enumerate(llms)]
    chain = LlmChain(models, first_s=FIRST_S, stall_s=STALL_S, note=note)
    guard = TurnGuard(LIMITS, own, note=note)
    hearing = Hearing(deaf_after_s=1.0, on_deaf=lambda: None, on_back=lambda: None)
    limited = [with_deadline(tool, TOOL_S, guard) for tool in tools or []]
    agent = VoiceAgent(AgentFile(), TurnLog(), chain, guard, hearing, tools=limited)
    async with (
        vibevoice.TTS(engines=[engine_url]) as voice,
        AgentSession[None](
            llm=models[0].llm,
            tts=voice,
            use_tts_aligned_transcript=True,
            turn_handling={"turn_detection": "manual"},
            conn_options=SessionConnectOptions(
                tts_conn_options=APIConnectOptions(max_retry=1, retry_interval=0.1), max_unrecoverable_errors=1000
            ),
        ) as session,
    ):
        session.on(
            "agent_state_changed",
            lambda e: guard.turn_began() if e.new_state in ("thinking", "speaking") else guard.turn_ended(),
        )
        listener = Listener()
        both = TranscriptSynchronizer(next_in_chain_audio=listener, next_in_chain_text=None)
        session.output.audio, session.output.transcription = both.audio_output, both.text_output
        await session.start(agent, record=False)
        talk = Talk(session, listener, guard, notes)

        watching = asyncio.create_task(fill_tool_time(session, guard))
        try:
            yield talk
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await session.aclose()
            await both.aclose()
            await chain.aclose()


async def test_a_failing_model_is_apologised_for_and_the_next_turn_is_normal(engine_url: str, clips: Clips) -> None:
    at_once = asyncio.Semaphore(5)  # calls: what two busy cores bear

    async def fail(fault: str) -> None:
        async with at_once, faulty_llm(fault, fault) as server, talking(engine_url, clips, server) as talk:
            said, silence_s = await talk.ask()
            print(f"{fault}: longest silence {silence_s:.2f} s; {talk.notes}")
            server.script.clear()
            assert said.endswith(clips.phrases.apology or ""), fault
            assert silence_s <= SILENCE_S + BUSY_S, fault
            assert talk.count("apology") == 1, fault
            said, _ = await talk.ask()
            assert said == ANSWER, fault
            assert talk.count("apology") == 1, fault

    await asyncio.gather(*map(fail, FAULTS))


async def test_the_next_model_answers_when_the_first_fails(engine_url: str, clips: Clips) -> None:
    async with (
        faulty_llm(always="status_500") as broken,
        faulty_llm() as well,
        talking(engine_url, clips, broken, well) as talk,
    ):
        for _ in range(4):
            said, _ = await talk.ask()
            assert said == ANSWER
        assert broken.asked == 3  # then its breaker is open
        assert talk.count("breaker", dependency="local:0", state=2) == 1
        assert talk.count("apology") == 0


async def test_when_no_engine_speaks_the_apology_is_heard_and_the_session_goes_on(clips: Clips) -> None:
    async with faulty_llm() as server, talking("http://127.0.0.1:9", clips, server) as talk:
        for _ in range(4):  # LiveKit would end the session at the fourth such failure in a row
            said, silence_s = await talk.ask()
            assert said == clips.phrases.apology
            assert talk.listener.heard
        assert talk.count("apology") == 4
        print(f"no engine: longest silence {silence_s:.2f} s")


async def test_a_slow_tool_is_bridged_by_fillers_and_ended_in_time(engine_url: str, clips: Clips) -> None:
    @llm.function_tool
    async def look_up(name: str) -> str:
        """Look something up.

        Args:
            name: of what
        """
        await asyncio.sleep(60)
        return name

    async with faulty_llm("tool") as server, talking(engine_url, clips, server, tools=[look_up]) as talk:
        said, silence_s = await talk.ask()
        print(f"slow tool: longest silence {silence_s:.2f} s; {talk.notes}")
        assert said == ANSWER
        assert talk.count("deadline", stage="tool") == 1
        assert talk.count("filler") >= 1
        assert silence_s <= SILENCE_S + BUSY_S


async def test_a_healthy_turn_has_neither_filler_nor_apology(engine_url: str, clips: Clips) -> None:
    async with faulty_llm() as server, talking(engine_url, clips, server) as talk:
        said, silence_s = await talk.ask()
        assert said == ANSWER
        assert [name for name, _ in talk.notes] == ["dead_air"]
        print(f"healthy: longest silence {silence_s:.2f} s")
