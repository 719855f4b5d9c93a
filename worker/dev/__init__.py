"""`tts-ops dev`: a whole voice agent on this machine, supervised, on loopback only, ended by Ctrl-C.

Starts processes and tells a person what is there. What each of them does is its own affair.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import aiohttp

from worker.dev import ports
from worker.dev.livekit import LiveKitKey, server_environment
from worker.dev.phone import NoPhone, Softphone, open_line, redis_address
from worker.dev.phone import parts as phone_parts
from worker.dev.phone import ports as phone_ports
from worker.dev.supervisor import Failure, Part, Supervisor
from worker.logs import redact
from worker.phone.bridge import Bridge
from worker.settings import Settings
from worker.setup import livekit_server

LOCAL_LIVEKIT = "ws://127.0.0.1:7880"  # the default: no LiveKit server was named, so we start one
WEBHOOK_PATH = "/webhooks/livekit"  # of the HTTP service; its module would import a web framework for one word
FIRST_LOAD_S = 900.0  # VibeVoice may be downloaded on its first start
CALL_CORES = 0.6  # of one call with embedded models, without the voice: docs/performance.md
CHATTY = ("redis",)  # it greets at its level of warnings; when it cannot live, its last lines are shown
COLOURS = {"redis": 31, "sip": 31, "livekit": 34, "engine": 35, "models": 33, "worker": 36, "serve": 32}

log = logging.getLogger(__name__)


class DevError(Exception):
    """One line a person can act on."""


def run(settings: Settings, *, phone: bool = False) -> int:
    """Start everything and block until Ctrl-C, SIGTERM or a part that cannot be kept alive. Returns the exit code.

    `phone`: with redis and the SIP bridge, so that a softphone can dial the agent.
    """
    try:
        if phone and not starts_livekit(settings):
            raise DevError("--phone needs a LiveKit of its own: leave LIVEKIT_URL out, or run livekit-sip beside yours")
        return asyncio.run(Dev(settings, phone=phone).run())
    except (DevError, NoPhone) as error:
        print(f"tts-ops dev: {error}", file=sys.stderr)
        return 1


def starts_livekit(settings: Settings) -> bool:
    return settings.livekit_url.rstrip("/") == LOCAL_LIVEKIT


def starts_engine(settings: Settings) -> bool:
    return not (settings.engine_url or settings.engine_urls)


class Dev:
    """One start of the whole product."""

    def __init__(self, settings: Settings, *, phone: bool = False) -> None:
        self._settings = settings
        self._console = Console(quiet=quiet(settings))
        self._started = time.monotonic()
        self._key = _key(settings) if starts_livekit(settings) else None
        self._phone = Softphone(Bridge.of(settings)) if phone else None
        wanted = parts(settings, self._key, phone=phone)
        self._supervisor = Supervisor(wanted, on_line=self._console.line, on_ready=self._console.ready)
        self._console.on_closed = self._supervisor.stop

    async def run(self) -> int:
        own, engine = starts_livekit(self._settings), starts_engine(self._settings)
        needed = ports.all_ports(self._settings, livekit=own, engine=engine)
        if problem := ports.complaint((*needed, *(phone_ports(self._settings) if self._phone else ()))):
            raise DevError(problem)
        self._stop_on_signals()
        self._console.say("Starting; Ctrl-C ends it.")
        greeting = asyncio.create_task(self._greet_when_ready(), name="greeting")
        try:
            failure = await self._supervisor.run()
        finally:
            greeting.cancel()
            await asyncio.gather(greeting, return_exceptions=True)
        if failure:
            self._console.failure(failure)
            return 1
        self._console.say("Ended.")
        return 0

    async def _greet_when_ready(self) -> None:
        await self._supervisor.ready.wait()
        took_s = time.monotonic() - self._started
        url = f"http://{self._settings.host}:{self._settings.http_port}"
        self._console.say(welcome(url, await ask_parts(url), took_s))
        if self._phone is not None and self._key is not None:
            try:
                await open_line(self._settings, self._key, self._phone)
                self._console.say(self._phone.told())
            except NoPhone as error:
                self._console.say(f"  {error}\n")

    def _stop_on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        asked = False

        def on_signal() -> None:
            nonlocal asked
            if not asked:
                self._console.say("\nEnding …")
                self._console.ending = True
            self._supervisor.stop(at_once=asked)
            asked = True

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, on_signal)


def quiet(settings: Settings) -> bool:
    """Warnings only, so that the welcome stays in sight; LOG_LEVEL, where it is set, says otherwise."""
    return "log_level" not in settings.model_fields_set


def parts(settings: Settings, key: LiveKitKey | None = None, *, phone: bool = False) -> list[Part]:
    """Every process of the product. All start at once: the worker tries again until LiveKit is there.

    `key` is of the livekit-server that is started; left out: a given one, or a new one.
    """
    base = f"http://{settings.host}"
    env = {"LOG_LEVEL": "WARNING"} if quiet(settings) else {}
    started = []
    if starts_livekit(settings):
        key = key or _key(settings)
        env |= {
            "LIVEKIT_URL": f"ws://127.0.0.1:{settings.livekit_port}",
            "LIVEKIT_API_KEY": key.name,
            "LIVEKIT_API_SECRET": key.secret,
        }
        started = [_livekit(settings, key, phone=phone), *(phone_parts(settings, key) if phone else ())]
    first_load_s = 90.0 if settings.tts_backend == "embedded" else FIRST_LOAD_S
    if starts_engine(settings):
        # The voice speaks until the worker's last call is over: it is stopped after the worker.
        engine = _ours("engine", env | _share(settings), f"{base}:{settings.engine_port}/readyz", first_load_s, ends=1)
        started.append(engine)
    return [
        *started,
        _ours("models", env, f"{base}:{settings.models_port}/readyz", ends=1),
        _ours("worker", env, f"{base}:{settings.metrics_port}/readyz"),
        _ours("serve", env, f"{base}:{settings.http_port}/readyz"),
    ]


def _share(settings: Settings) -> dict[str, str]:
    """What the rest of a call takes of this machine is not the voice's."""
    if "tts_cpu_share" in settings.model_fields_set:
        return {}
    return {"TTS_CPU_SHARE": f"{max(0.25, 1 - CALL_CORES / (os.cpu_count() or 1)):.2f}"}


def _ours(
    name: str, env: Mapping[str, str], ready_url: str, within_s: float = 90.0, *, ends: Literal[0, 1] = 0
) -> Part:
    return Part(name, (sys.executable, "-m", "worker.cli", name), env, ready_url, within_s, ends)


def _livekit(settings: Settings, key: LiveKitKey, *, phone: bool) -> Part:
    program = livekit_server.find()
    if program is None:
        raise DevError("livekit-server is not installed: `make setup` builds it; or set LIVEKIT_URL to yours")
    try:
        env = server_environment(
            key,
            port=settings.livekit_port,
            udp_port=settings.livekit_udp_port,
            webhook_url=f"http://{settings.host}:{settings.http_port}{WEBHOOK_PATH}",
            redis=redis_address(settings) if phone else None,
        )
    except OSError as error:
        raise DevError(f"{error.filename} cannot be read ({error.strerror}): run `tts-ops dev` in a checkout") from None
    url, after = f"http://127.0.0.1:{settings.livekit_port}/", ("redis",) if phone else ()
    return Part("livekit", (str(program),), env, url, 30.0, ends=2, after=after)


def _key(settings: Settings) -> LiveKitKey:
    """A given secret is kept, so that other tools with the same .env can join; else a new one each start."""
    if settings.livekit_api_secret is None:
        return LiveKitKey.fresh()
    secret = settings.livekit_api_secret.get_secret_value()
    if len(secret) < 32:
        raise DevError("LIVEKIT_API_SECRET is shorter than 32 characters: lengthen it, or leave it out for a new one")
    return LiveKitKey(settings.livekit_api_key, secret)


async def ask_parts(url: str) -> dict[str, Any]:
    """What the HTTP service says is in use: {stt, llm, voice, device, notes}; empty where it does not say."""
    timeout = aiohttp.ClientTimeout(total=5.0)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{url}/health") as response:
            said = (await response.json()).get("parts")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        log.warning("the HTTP service does not say what is in use: %s", type(error).__name__)
        return {}
    return said if isinstance(said, dict) else {}


def welcome(url: str, said: Mapping[str, Any], took_s: float) -> str:
    """The block that a person reads once everything runs."""
    lines = ["", f"  Ready after {took_s:.1f} s. Open {url} and speak. Ctrl-C ends it.", ""]
    for label, part in (("hears with", "stt"), ("thinks with", "llm"), ("speaks with", "voice"), ("on", "device")):
        if said.get(part):
            lines.append(f"  {label:<12} {said[part]}")
    lines += [f"  - {note}" for note in said.get("notes", ())]
    return "\n".join([*lines, ""])


class Console:
    """The terminal: lines of the parts with their name in front, and our own."""

    def __init__(self, *, quiet: bool) -> None:
        self._colour = sys.stdout.isatty()
        self._quiet = quiet
        self.ending = False  # parts that lose each other on the way down complain: nobody needs to read it
        self.on_closed: Callable[[], None] = lambda: None

    def line(self, part: str, text: str) -> None:
        chatter = self._quiet and (self.ending or part in CHATTY)
        if not chatter:
            self.say(f"{self._paint(part, f'{part:<8}')} {redact(text)}")

    def ready(self, part: str, took_s: float) -> None:
        self.say(f"{self._paint(part, f'{part:<8}')} ready after {took_s:.1f} s")

    def failure(self, failure: Failure) -> None:
        last = "\n".join(f"    {redact(line)}" for line in failure.last_lines)
        self.say(f"\n{failure.part} {failure.reason}; all is ended. Its last lines:\n{last}")

    def say(self, text: str) -> None:
        try:
            print(text, flush=True)
        except OSError:  # the terminal, or the program that read our output, is gone
            self.on_closed()

    def _paint(self, part: str, text: str) -> str:
        return f"\x1b[{COLOURS.get(part, 0)}m{text}\x1b[0m" if self._colour else text
