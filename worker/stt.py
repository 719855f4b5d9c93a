"""LiveKit STT plugin over our models process: replaceable words while the caller speaks, an early transcript at the
first silence, the final one 0.2 s later.

The words are asked for at the first silent window and told as PREFLIGHT, so that the reply is begun; the FINAL takes
them over without a second pass. Speech that goes on makes them void. ear.py decides; here are the socket, the VAD and
LiveKit's events.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine, Iterator
from typing import Any

import aiohttp
import numpy as np
from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions, APITimeoutError, LanguageCode, stt
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from livekit.agents.utils import AudioBuffer
from livekit.local_inference import VAD

from worker.ear import Ear, Message, Said
from worker.speech_segments import WINDOW_SAMPLES

SAMPLE_RATE_HZ = 16_000
WINDOW_BYTES = 2 * WINDOW_SAMPLES
PIECE_BYTES = 32 * 1024
CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 5.0
HEARTBEAT_S = 5.0
LOOK_S = 0.25  # how often the deadline is looked at


class EmbeddedSTT(stt.STT[Any]):
    def __init__(self, base_url: str) -> None:
        """`base_url` of the models process, such as http://127.0.0.1:8002."""
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True, offline_recognize=True))
        self._url = f"{base_url.rstrip('/')}/transcribe"

    @property
    def model(self) -> str:
        return "moonshine-tiny-en"

    @property
    def provider(self) -> str:
        return "tts-ops"

    def stream(
        self, *, language: NotGivenOr[str] = NOT_GIVEN, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> EmbeddedStream:
        """English only: `language` is not looked at."""
        return EmbeddedStream(self, self._url, conn_options)

    async def _recognize_impl(
        self, buffer: AudioBuffer, *, language: NotGivenOr[str] = NOT_GIVEN, conn_options: APIConnectOptions
    ) -> stt.SpeechEvent:
        """One stretch of speech of at most 30 s, 16 kHz and one channel; English only."""
        frame = rtc.combine_audio_frames(buffer)
        if frame.sample_rate != SAMPLE_RATE_HZ or frame.num_channels != 1:
            raise ValueError(f"{frame.sample_rate} Hz, {frame.num_channels} channels; allowed: {SAMPLE_RATE_HZ} Hz, 1")
        try:
            async with asyncio.timeout(conn_options.timeout), aiohttp.ClientSession() as session:
                async with session.ws_connect(self._url, heartbeat=HEARTBEAT_S) as socket:
                    text = await _hear_whole(socket, bytes(frame.data.cast("B")))
        except TimeoutError as error:
            raise APITimeoutError("the models process does not answer") from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise APIConnectionError(f"the models process cannot be reached: {type(error).__name__}") from error
        words = stt.SpeechData(language=LanguageCode("en"), text=text, confidence=1.0)
        return stt.SpeechEvent(stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[words])


class EmbeddedStream(stt.RecognizeStream):
    def __init__(self, owner: EmbeddedSTT, url: str, conn_options: APIConnectOptions) -> None:
        self._url = url  # set first: the base class starts `_run`
        self._vad = VAD()
        self._ear = Ear()  # outlives a lost connection, as the VAD does
        self._rest = bytearray()  # less than a window
        self._settled = asyncio.Event()  # no words are due
        super().__init__(stt=owner, conn_options=conn_options, sample_rate=SAMPLE_RATE_HZ)

    async def _run(self) -> None:
        """One connection. The base class calls it again after an error, as often as `conn_options` allow."""
        try:
            async with aiohttp.ClientSession() as session:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    socket = await session.ws_connect(self._url, heartbeat=HEARTBEAT_S)
                async with socket:
                    await self._send(socket, self._ear.again(time.monotonic()))
                    await _until_first(self._hear(socket), self._read(socket))
        except TimeoutError as error:
            raise APITimeoutError("the models process does not answer") from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise APIConnectionError(f"the models process cannot be reached: {type(error).__name__}") from error

    async def _hear(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Until the audio has ended and the last words are there."""
        async for frame in self._input_ch:
            if isinstance(frame, rtc.AudioFrame):
                self._rest += frame.data.cast("B")
            while len(self._rest) >= WINDOW_BYTES:
                window = bytes(self._rest[:WINDOW_BYTES])
                del self._rest[:WINDOW_BYTES]
                probability = self._vad.predict(np.frombuffer(window, np.int16))  # 0.04 ms
                await self._send(socket, self._ear.hear(window, probability, time.monotonic()))
        await self._send(socket, self._ear.end(time.monotonic()))
        await self._settled.wait()

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            try:
                message = await socket.receive(timeout=LOOK_S)
            except TimeoutError:
                if time.monotonic() - (self._ear.waits_since() or time.monotonic()) > ANSWER_TIMEOUT_S:
                    raise
                continue
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise APIConnectionError("the models process hung up")
            answer = json.loads(message.data)
            if answer["type"] == "error":
                raise APIConnectionError(f"the models process refused: {answer['message']}", retryable=False)
            self._ear.answered(answer)
            self._tell()

    async def _send(self, socket: aiohttp.ClientWebSocketResponse, messages: Iterator[Message]) -> None:
        for message in messages:
            await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))
        self._tell()

    def _tell(self) -> None:
        for said in self._ear.told:
            for event in _events(said):
                self._event_ch.send_nowait(event)
        self._ear.told.clear()
        (self._settled.clear if self._ear.is_owed else self._settled.set)()


async def _hear_whole(socket: aiohttp.ClientWebSocketResponse, pcm: bytes) -> str:
    await socket.send_str(json.dumps({"type": "start"}))
    for begin in range(0, len(pcm), PIECE_BYTES):
        await socket.send_bytes(pcm[begin : begin + PIECE_BYTES])
    await socket.send_str(json.dumps({"type": "final", "id": 1}))
    async for message in socket:
        answer = json.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else {}
        if answer.get("type") == "final":
            return str(answer["text"])
        if answer.get("type") == "error":
            raise APIConnectionError(f"the models process refused: {answer['message']}", retryable=False)
    raise APIConnectionError("the models process hung up")


def _events(said: Said) -> Iterator[stt.SpeechEvent]:
    if said.kind == "begin":
        yield stt.SpeechEvent(stt.SpeechEventType.START_OF_SPEECH)
        return
    words = stt.SpeechData(language=LanguageCode("en"), text=said.text, confidence=1.0)
    yield stt.SpeechEvent(stt.SpeechEventType(f"{said.kind}_transcript"), alternatives=[words])
    if said.kind == "final":
        yield stt.SpeechEvent(stt.SpeechEventType.END_OF_SPEECH)
        usage = stt.RecognitionUsage(audio_duration=said.speech_s)
        yield stt.SpeechEvent(stt.SpeechEventType.RECOGNITION_USAGE, recognition_usage=usage)


async def _until_first(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run together until one ends; its error is raised, the others are cancelled."""
    tasks = [asyncio.create_task(c, name=f"stt-{i}") for i, c in enumerate(coroutines)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
