"""Renders the phrases of an agent ahead of need, in the voice it speaks with.

A thread of the job's process: it begins before there is a call, and when no engine answers it tries again until one
has. The standby voice fills in meanwhile. Knows nothing of calls.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass

import aiohttp

from tts_plugin.client import EngineClient, EngineFailed, EngineUnreachable
from tts_plugin.protocol import Audio
from worker.clip_store import MAX_CLIP_BYTES, ClipStore
from worker.clips import Clips

RENDER_TIMEOUT_S = 20.0
HEALTH_TIMEOUT_S = 1.5
RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who renders. `engines`: base URLs, the preferred one first, the standby last."""

    engines: tuple[str, ...]
    voice: str
    language: str
    model: str = ""  # what else changes the sound of a voice


class ClipMaker:
    """Fills `clips` from the disk and the engines until the preferred engines have rendered all of them."""

    def __init__(self, clips: Clips, speaker: Speaker, store: ClipStore) -> None:
        self.clips = clips
        self.speaker = speaker
        self._store = store
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="phrases", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns at once; the thread ends with its present request."""
        self._stop.set()

    def _run(self) -> None:
        tries = 0
        while not self._stop.is_set() and not asyncio.run(self.fill()):
            self._stop.wait(RETRY_S[min(tries, len(RETRY_S) - 1)])
            tries += 1

    async def fill(self) -> bool:
        """One round. True when every phrase is there as a preferred engine speaks it."""
        *preferred, standby = self.speaker.engines
        for url in preferred or [standby]:
            if await self._fill_from(url, replace=True):
                return True
        await self._fill_from(standby, replace=False)
        return False

    async def _fill_from(self, url: str, *, replace: bool) -> bool:
        kind = await _backend(url)
        if kind is None:
            return False
        speaker = self.speaker
        voice = "\0".join((kind, speaker.model if kind != "embedded" else "", speaker.voice, speaker.language))
        wanted = [text for text in self.clips.texts if replace or not self.clips.has(text)]
        missing = [text for text in wanted if not self._from_disk(voice, text)]
        if not missing:
            return True
        with self._store.alone():  # blocks this thread's own loop, which has nothing else to do
            client = EngineClient(url)
            try:
                for text in missing:
                    if self._stop.is_set():
                        return False
                    if not self._from_disk(voice, text):
                        pcm = await render(client, text, voice=speaker.voice, language=speaker.language)
                        self.clips.put(text, pcm)
                        self._store.put(voice, text, pcm)
            except (EngineFailed, EngineUnreachable, TimeoutError) as error:
                log.warning("the agent's phrases could not be rendered: %s", type(error).__name__)
                return False
            finally:
                await client.aclose()
        return True

    def _from_disk(self, voice: str, text: str) -> bool:
        pcm = self._store.get(voice, text)
        if pcm is not None:
            self.clips.put(text, pcm)
        return pcm is not None


async def render(client: EngineClient, text: str, *, voice: str, language: str) -> bytes:
    """`text` as mono int16 at 24 kHz. Raises EngineFailed, EngineUnreachable or TimeoutError."""
    try:
        return await _render(client, text, voice=voice, language=language)
    except EngineFailed as error:
        if error.code != "unknown_voice":
            raise
        return await _render(client, text, voice="default", language=language)


async def _render(client: EngineClient, text: str, *, voice: str, language: str) -> bytes:
    async with asyncio.timeout(RENDER_TIMEOUT_S):
        utterance = await client.say(voice=voice, klass="file", pace="fast", language=language)
        try:
            utterance.feed(text)
            utterance.end()
            pcm = bytearray()
            async for item in utterance:
                if isinstance(item, Audio):
                    pcm += item.pcm
                    if len(pcm) > MAX_CLIP_BYTES:
                        raise EngineUnreachable("a phrase became too long")
        finally:
            utterance.cancel()
    if not pcm:
        raise EngineUnreachable("a phrase became no sound")
    return bytes(pcm)


async def _backend(url: str) -> str | None:
    """What speaks at `url`; None when nobody answers."""
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT_S), aiohttp.ClientSession() as session:
            async with session.get(f"{url}/health") as response:
                said = await response.json()
                return str(said["backend"] if "backend" in said else said["voice"]["backend"])  # the models process
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError, TypeError):
        return None
