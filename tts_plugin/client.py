"""The one face of the engine, whoever calls: agent, HTTP service, command line.

Needs aiohttp only. One client belongs to one event loop and shares one WebSocket among all its utterances; the socket
is opened at the first `say` and again when it was lost.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import aiohttp

from tts_plugin.connection import Connection
from tts_plugin.handle import EngineFailed, EngineUnreachable, Item, Utterance
from tts_plugin.protocol import Pace, Say, UtteranceClass

__all__ = ["EngineClient", "EngineFailed", "EngineUnreachable", "Item", "Utterance"]


class EngineClient:
    """`base_url` is http://host:port (ws:// is taken as http://), with or without a path before /stream."""

    def __init__(self, base_url: str, *, connect_timeout_s: float = 2.0) -> None:
        self._base_url = _as_http(base_url)
        self._timeout_s = connect_timeout_s
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    @property
    def base_url(self) -> str:
        return self._base_url

    @property
    def connected(self) -> bool:
        """A socket is open, so the next `say` waits for nothing."""
        return self._connection is not None and self._connection.alive

    @property
    def engine(self) -> str:
        """What the engine calls its back-end ("embedded", "vibevoice"); "" while no socket is open."""
        return self._connection.hello.engine if self._connection is not None else ""

    @property
    def voice_names(self) -> tuple[str, ...]:
        """Ids and aliases of its voices, as it said when the socket was opened; empty while none is open."""
        return self._connection.hello.voices if self._connection is not None else ()

    async def connect(self) -> None:
        """Open the socket now, so that the first `say` finds it open. Raises EngineUnreachable."""
        await self._alive()

    async def say(
        self,
        *,
        voice: str = "default",
        klass: UtteranceClass = "call",
        pace: Pace = "realtime",
        seed: int | None = None,
        language: str | None = None,
        traceparent: str | None = None,
    ) -> Utterance:
        """A new utterance. A refusal comes from its iteration; EngineUnreachable is raised here, after the deadline."""
        connection = await self._alive()
        utterance = connection.open_utterance()
        connection.send(
            Say(
                utterance.id,
                voice=voice,
                klass=klass,
                pace=pace,
                seed=seed,
                language=language,
                traceparent=traceparent,
            )
        )
        return utterance

    async def voices(self) -> list[dict[str, Any]]:
        """What GET /voices answers: one dict per voice with id, language, gender, description, aliases."""
        try:
            async with asyncio.timeout(self._timeout_s):
                async with aiohttp.ClientSession() as session:
                    async with session.get(f"{self._base_url}/voices", raise_for_status=True) as response:
                        voices: list[dict[str, Any]] = (await response.json())["voices"]
                        return voices
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError) as error:
            raise EngineUnreachable(f"no voices from the engine at {self._base_url}: {error!r}") from error

    async def ready(self, timeout_s: float) -> bool:
        """Whether GET /readyz answers 200 within `timeout_s`, on a connection of its own."""
        try:
            async with asyncio.timeout(timeout_s), aiohttp.ClientSession() as session:
                async with session.get(f"{self._base_url}/readyz") as response:
                    return response.status == HTTPStatus.OK
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def aclose(self) -> None:
        """End every utterance and the socket. Leaves no task; the client cannot be used again."""
        self._closed = True
        async with self._opening:
            if self._connection is not None:
                await self._connection.aclose()
                self._connection = None

    async def _alive(self) -> Connection:
        if self._connection is not None and self._connection.alive:
            return self._connection
        async with self._opening:
            if self._closed:
                raise EngineUnreachable("the client was closed")
            if self._connection is not None and self._connection.alive:
                return self._connection
            if self._connection is not None:
                await self._connection.aclose()
                self._connection = None
            self._connection = await Connection.open(self._base_url, self._timeout_s)
            return self._connection


def _as_http(base_url: str) -> str:
    scheme, separator, rest = base_url.rstrip("/").removesuffix("/stream").partition("://")
    secure = {"http": "http", "ws": "http", "https": "https", "wss": "https"}.get(scheme)
    if not separator or secure is None:
        raise ValueError(f"base_url is {base_url!r}; allowed: http://, https://, ws://, wss://")
    return f"{secure}://{rest}"
