"""One utterance of a client's socket: what the engine says of it goes down, within what the client gave credit for.

Knows nothing of sockets: it is handed a function that sends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from tts_plugin.client import EngineFailed, EngineUnreachable, Utterance
from tts_plugin.protocol import (
    BYTES_PER_SAMPLE,
    Audio,
    Cancel,
    Credit,
    Done,
    Down,
    End,
    Failed,
    Played,
    Say,
    Started,
    Stats,
    Text,
    Words,
)

WINDOW_S = 30.0  # sound without credit; what the engine allows
CREDIT_S = 60.0  # longest wait for credit
LOOK_S = 0.25  # how often, meanwhile, it is looked whether the engine is still there
MAX_CHARS = 20_000  # of one utterance, as at the engine
_RATE_HZ = 24_000  # until the engine has named it

Up = Text | End | Cancel | Credit | Played
Send = Callable[[Down | Audio], Awaitable[None]]


class Relayed:
    """`tell` it what the client says; `run` sends what the engine answers, and ends with `Done` or `Failed`."""

    def __init__(self, say: Say, utterance: Utterance, send: Send) -> None:
        self._id = say.id
        self._utterance = utterance
        self._send = send
        self._rate_hz = _RATE_HZ
        self._window = self._most if say.credit_samples is None else min(self._most, say.credit_samples)
        self._credited = asyncio.Event()
        self._characters = 0
        self._sent = 0
        self._failed: Failed | None = None  # for a reason of ours
        self._cancelled = False

    def tell(self, message: Up) -> None:
        match message:
            case Text():
                self._feed(message.text)
            case End():
                self._utterance.end()
            case Cancel():
                self._cancelled = True  # also what was all made, and waits for credit
                self.cancel()
            case Credit():
                self._window = min(self._most, self._window + message.samples)
                self._credited.set()
            case Played():
                self._utterance.played(message.samples)

    def cancel(self) -> None:
        """The engine's slot is free as soon as it hears of it."""
        self._utterance.cancel()
        self._credited.set()

    async def run(self) -> Done | Failed:
        """Until the utterance is over; how it ended. WebSocketDisconnect when the client has gone."""
        try:
            last: Done | Failed = await self._relay()
        except EngineFailed as error:
            last = Failed(
                self._id, error.code, error.message, error.retryable, self._sent, retry_after_s=error.retry_after_s
            )
        except EngineUnreachable:
            last = unreachable(self._id, self._sent)
        finally:
            self._utterance.cancel()
        last = self._failed or last
        await self._send(last)
        return last

    async def _relay(self) -> Done:
        async for item in self._utterance:
            if self._cancelled or self._failed:
                break
            if isinstance(item, Started):
                self._rate_hz = item.sample_rate_hz
                await self._send(Started(self._id, item.sample_rate_hz, item.voice))
            elif isinstance(item, Words):
                await self._send(Words(self._id, item.words))
            else:
                await self._send_sound(item)
        seconds = self._sent / self._rate_hz
        return Done(self._id, self._sent, self._cancelled, self._utterance.stats or Stats(audio_s=seconds))

    async def _send_sound(self, audio: Audio) -> None:
        """In as many pieces as the credit asks for."""
        begin = 0
        while begin < audio.samples and await self._has_credit():
            end = min(audio.samples, begin + self._window)
            self._window -= end - begin
            pcm = audio.pcm[begin * BYTES_PER_SAMPLE : end * BYTES_PER_SAMPLE]
            await self._send(Audio(self._id, audio.offset + begin, pcm))
            self._sent += end - begin
            begin = end

    async def _has_credit(self) -> bool:
        """Waits for it; False when there is nothing left to wait for."""
        until_s = time.monotonic() + CREDIT_S
        while self._window <= 0 and not self._is_ended:
            self._credited.clear()
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._credited.wait()
            except TimeoutError:
                if time.monotonic() > until_s:
                    self._fail(Failed(self._id, "timed_out", f"no credit for {CREDIT_S:g} s", False, self._sent))
        return not self._is_ended

    @property
    def _is_ended(self) -> bool:
        """By the client, by us, or because the engine failed; not because all has been said."""
        return self._cancelled or self._failed is not None or (self._utterance.over and self._utterance.stats is None)

    def _feed(self, text: str) -> None:
        self._characters += len(text)
        if self._characters > MAX_CHARS:
            # Here too: more must not lie in the queue to the engine, which is everybody's.
            self._fail(
                Failed(self._id, "too_long", f"an utterance has at most {MAX_CHARS} characters", False, self._sent)
            )
        else:
            self._utterance.feed(text)

    def _fail(self, failed: Failed) -> None:
        self._failed = self._failed or failed
        self.cancel()

    @property
    def _most(self) -> int:
        return int(WINDOW_S * self._rate_hz)


def unreachable(id: str, samples_sent: int = 0) -> Failed:
    """What a client is told when no engine answers: where it is stays here."""
    return Failed(id, "engine_error", "The voice engine does not answer.", True, samples_sent, retry_after_s=2.0)
