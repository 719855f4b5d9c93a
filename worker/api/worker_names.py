"""Which workers there are now. A URL that begins with dns+ stands for every address that its name has, as a headless
Service of Kubernetes has them; other URLs stand for themselves. Knows nothing of what workers answer.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from worker.url_rule import wrong_addresses

PREFIX = "dns+"
LOOK_S = 2.0
DEADLINE_S = 1.0
KEPT_S = 30.0  # a worker whose address the name lost: the watcher must see that it is gone, and with it its calls
MAX_ADDRESSES = 1_000  # of one name

logger = logging.getLogger(__name__)
Resolve = Callable[[str, int], Awaitable[list[str]]]  # host, port: addresses


async def _resolve(host: str, port: int) -> list[str]:
    """OSError when the name has no address."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({str(entry[4][0]) for entry in found})


class WorkerNames:
    """While a name is not answered for, the workers are those of before."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        clock: Callable[[], float] = time.monotonic,
        resolve: Resolve | None = None,
    ) -> None:
        self._fixed = [url for url in urls if not url.startswith(PREFIX)]
        self._names = [url.removeprefix(PREFIX) for url in urls if url.startswith(PREFIX)]
        self._clock = clock
        self._resolve = resolve or _resolve
        self._seen: dict[str, float] = {}  # URL -> when its name last had it; bounded by MAX_ADDRESSES and KEPT_S
        self._looked_s = float("-inf")

    async def urls(self) -> list[str]:
        """Looks names up at most every LOOK_S, for at most DEADLINE_S."""
        if self._names and self._clock() - self._looked_s >= LOOK_S:
            answered = await asyncio.gather(*(self._look(name) for name in self._names))
            self._looked_s = now = self._clock()
            if all(answered):
                self._seen = {url: seen for url, seen in self._seen.items() if now - seen < KEPT_S}
        return [*self._fixed, *self._seen]

    async def _look(self, name: str) -> bool:
        parts = urlsplit(name)
        assert parts.hostname  # Settings has looked
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            async with asyncio.timeout(DEADLINE_S):
                found = await self._resolve(parts.hostname, port)
        except (OSError, TimeoutError) as error:
            logger.warning("the workers' name %s is not answered for: %s", parts.hostname, type(error).__name__)
            return False
        now = self._clock()
        for address in [address for address in found if not wrong_addresses([address])][:MAX_ADDRESSES]:
            host = f"[{address}]" if ":" in address else address
            self._seen[f"{parts.scheme}://{host}:{port}"] = now
        return True
