"""One speech carried by several engines: the sockets and the listener's ear around the decisions of relay.py.

Decides nothing itself. Every engine that is asked to speak gets a task of its own, which ends with its turn.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from math import inf

from livekit.agents import APIError, APITimeoutError, tts
from livekit.agents.types import TimedString

from tts_plugin.client import EngineFailed, EngineUnreachable, Item, Utterance
from tts_plugin.decisions import Ask, Decision, Drop, End, Feed, Finish, GiveUp, Open, Push, Swap, SwapReason
from tts_plugin.exchange import SAMPLE_RATE_HZ, as_api_error
from tts_plugin.log import logger
from tts_plugin.protocol import BYTES_PER_SAMPLE, Audio, Started, Words
from tts_plugin.relay import Relay
from tts_plugin.transcript import Piece

_LATE_S = 0.1
_CATCH_UP_S = 0.05

Say = Callable[[Open], Awaitable[tuple[Utterance, str]]]


class Speech:
    """Text up by `feed` and `end`, all that is heard down in `listen`, whichever engine says it.

    `say` opens an utterance and names the engine's back-end; `begin` is called once with the id of the first utterance,
    before anything is pushed; `on_swap` when another engine takes over.
    """

    def __init__(
        self,
        relay: Relay,
        emitter: tts.AudioEmitter,
        *,
        say: Say,
        begin: Callable[[str], None],
        on_swap: Callable[[int, SwapReason], None],
    ) -> None:
        self._relay, self._emitter = relay, emitter
        self._say, self._begin, self._on_swap = say, begin, on_swap
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._kept = bytearray()  # received, not yet pushed: a word or two
        self._utterance: Utterance | None = None
        self._order: Open | None = None
        self._speaker: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._begun = False
        self._error: APIError | None = None

    def feed(self, delta: str) -> None:
        self._carry_out(self._relay.feed(delta, time.monotonic()))

    def end(self) -> None:
        self._carry_out(self._relay.end(time.monotonic()))

    async def listen(self) -> None:
        """Until all was said. Raises the API error of the last engine when none is left."""
        try:
            await self._over
        finally:
            self.close()
            await asyncio.gather(*self._leaving, return_exceptions=True)

    def close(self) -> None:
        """Nothing more is said. Returns at once; what is still on its way from an engine is dropped."""
        self._over.cancel()
        self._drop()
        self._stop_timer()

    def _carry_out(self, decisions: list[Decision]) -> None:
        if self._over.done():  # nobody listens any more
            return
        for decision in decisions:
            self._do(decision)
        self._stop_timer()
        if (deadline_s := self._relay.deadline_s) is not None and not self._over.done():
            self._timer = self._loop.call_later(max(0.0, deadline_s - time.monotonic()), self._tick, deadline_s)

    def _do(self, decision: Decision) -> None:
        if isinstance(decision, Push):
            self._push(decision)
        elif isinstance(decision, Feed):
            if self._utterance is not None:  # else it is fed all there is when it opens
                self._utterance.feed(decision.text)
        elif isinstance(decision, End):
            if self._utterance is not None:
                self._utterance.end()
        elif isinstance(decision, Ask):
            self._ask()
        elif isinstance(decision, Open):
            self._drop()
            self._speaker = asyncio.create_task(self._speak(decision), name=f"vibevoice speak {decision.attempt}")
        elif isinstance(decision, Drop):
            self._drop()
        elif isinstance(decision, Swap):
            self._on_swap(decision.engine, decision.reason)
        elif isinstance(decision, Finish):
            self._push_pieces(decision.pieces)
            self._settle(None)
        elif isinstance(decision, GiveUp):
            self._settle(self._error or APITimeoutError("every engine is stuck"))

    def _push(self, push: Push) -> None:
        size = push.samples * BYTES_PER_SAMPLE
        self._push_pieces(push.pieces)
        self._emitter.push(bytes(self._kept[:size]))
        del self._kept[:size]

    def _push_pieces(self, pieces: tuple[Piece, ...]) -> None:
        for piece in pieces:
            self._emitter.push_timed_transcript(TimedString(piece.text, start_time=piece.start_s, end_time=piece.end_s))

    def _settle(self, error: APIError | None) -> None:
        if self._over.done():
            return
        if error is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(error)

    def _drop(self) -> None:
        """Whoever speaks is cancelled: one message goes out, nobody waits for an answer."""
        self._kept.clear()
        if self._utterance is not None:
            self._utterance.cancel()
            self._utterance = None
        if self._speaker is not None:
            if self._speaker is not asyncio.current_task():
                self._speaker.cancel()
            self._leaving.add(self._speaker)
            self._speaker.add_done_callback(self._leaving.discard)
            self._speaker = None

    def _ask(self) -> None:
        if self._utterance is None or self._order is None:
            return
        attempt = self._order.attempt
        self._utterance.ask(lambda: self._answered(attempt))

    def _answered(self, attempt: int) -> None:
        self._relay.answered(attempt, time.monotonic())
        self._carry_out([])

    def _tick(self, due_s: float) -> None:
        if time.monotonic() - due_s > _LATE_S:  # the loop was held up: what the engine sent meanwhile comes first
            self._timer = self._loop.call_later(_CATCH_UP_S, self._tick, inf)
            return
        self._error = None
        self._carry_out(self._relay.tick(time.monotonic()))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _speak(self, order: Open) -> None:
        attempt = order.attempt
        try:
            utterance, engine = await self._say(order)
            if self._speaker is not asyncio.current_task():
                utterance.cancel()
                return
            self._open(order, utterance, engine)
            async for item in utterance:
                self._take(attempt, item)
            decisions = self._relay.done(attempt, time.monotonic())
        except EngineFailed as error:
            self._error = as_api_error(error)
            decisions = self._relay.failed(attempt, error.code, time.monotonic(), error.retry_after_s)
        except EngineUnreachable as error:
            self._error = as_api_error(error)
            decisions = self._relay.lost(attempt, time.monotonic())
        except Exception:
            logger.exception("an engine's turn at speaking failed")
            self._error = APIError("the plugin failed while an engine spoke")
            decisions = self._relay.failed(attempt, "engine_error", time.monotonic())
        self._carry_out(decisions)

    def _open(self, order: Open, utterance: Utterance, engine: str) -> None:
        self._utterance, self._order = utterance, order
        if not self._begun:
            self._begun = True
            self._begin(utterance.id)
        self._emitter._note_provider_request_id(utterance.id)
        self._relay.opened(order.attempt, estimated=engine == "vibevoice")
        utterance.feed(self._relay.text_from(order.start))
        if self._relay.ended:
            utterance.end()

    def _take(self, attempt: int, item: Item) -> None:
        now_s = time.monotonic()
        if isinstance(item, Audio):
            self._kept += item.pcm
            self._carry_out(self._relay.audio(attempt, item.samples, now_s))
        elif isinstance(item, Words):
            self._carry_out(self._relay.words(attempt, item.words, now_s))
        elif isinstance(item, Started) and item.sample_rate_hz != SAMPLE_RATE_HZ:
            logger.error("an engine speaks at %d Hz; allowed: %d", item.sample_rate_hz, SAMPLE_RATE_HZ)
            raise EngineFailed("engine_error", f"it speaks at {item.sample_rate_hz} Hz; allowed: {SAMPLE_RATE_HZ}")
