"""HTTP GETs that never wait for ever: a deadline on every read, a least speed, a bounded number of redirects.

On the standard library alone, so that files can be fetched for another machine without the engine's packages. Sorts
failures into those that may pass (Interrupted) and those that will not (PullProblem).
"""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPMessage, HTTPResponse
from typing import IO
from urllib.parse import urlsplit

from tts_plugin import __version__
from tts_plugin.pull.problem import Interrupted, PullProblem
from tts_plugin.pull.remote_file import BLOCK_BYTES

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
MAX_RETRY_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server may keep us waiting, and how often we come back."""

    silence_s: float = 30.0  # without a byte
    window_s: float = 60.0  # in which at least window_bytes must come
    window_bytes: int = 1 << 20
    attempts: int = 5  # in a row that bring less than window_bytes
    wait_s: float = 1.0  # before the second attempt; doubled for each further one
    sleep: Callable[[float], None] = time.sleep


class Line:
    """Opens addresses. The token goes to the host that was asked, never on to one it redirects to."""

    def __init__(self, patience: Patience, *, token: str | None = None, token_host: str = "", offline: bool = False):
        self.patience = patience
        self._token, self._token_host, self._offline = token, token_host, offline
        self._opener = _opener()

    def get(self, name: str, url: str, start: int) -> Answer:
        """Asks for a file from byte `start` on. Raises PullProblem or Interrupted."""
        host = urlsplit(url).netloc
        if self._offline:
            raise PullProblem(f"{name} is not here and HF_HUB_OFFLINE is set: unset it, or fetch on another machine")
        request = urllib.request.Request(url, headers={"User-Agent": f"tts-ops/{__version__}"})  # noqa: S310
        request.add_header("Accept-Encoding", "identity")
        if start:
            request.add_header("Range", f"bytes={start}-")
        if self._token and host == self._token_host:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        try:
            return Answer(self._opener.open(request, timeout=self.patience.silence_s), self.patience)
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(name, host, error) from None
        except (OSError, http.client.HTTPException) as error:
            raise _failure(name, host, error) from error


class Answer:
    """A response as it comes in."""

    def __init__(self, response: HTTPResponse, patience: Patience) -> None:
        self._response, self._patience = response, patience
        self._window_began_s, self._window_bytes = time.monotonic(), 0

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()

    @property
    def start(self) -> int:
        """The place in the file at which the answer begins."""
        place, _, _ = self._range()
        return place

    @property
    def total(self) -> int | None:
        """Size of the whole file, as far as the server tells."""
        _, total, partial = self._range()
        length = self._response.headers.get("Content-Length", "")
        return total if partial else int(length) if length.isdigit() else None

    def read(self) -> bytes:
        """What has come in, at most one block; empty at the end. Raises Interrupted."""
        try:
            block = self._response.read1(BLOCK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise Interrupted(_reason(error)) from error
        self._keep_pace(len(block))
        return block

    def _range(self) -> tuple[int, int | None, bool]:
        text = self._response.headers.get("Content-Range", "")
        if self._response.status != 206:
            return 0, None, False
        place, _, total = text.removeprefix("bytes ").partition("/")
        begin = place.partition("-")[0]
        return int(begin) if begin.isdigit() else -1, int(total) if total.isdigit() else None, True

    def _keep_pace(self, received: int) -> None:
        now, self._window_bytes = time.monotonic(), self._window_bytes + received
        if self._window_bytes >= self._patience.window_bytes:
            self._window_began_s, self._window_bytes = now, 0
        elif received and now - self._window_began_s > self._patience.window_s:
            raise Interrupted(f"only {self._window_bytes} bytes came in {self._patience.window_s:g} s")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """At most ten, never away from HTTP(S), never from HTTPS to HTTP."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if new not in ("http", "https") or (old == "https" and new == "http"):
            raise urllib.error.HTTPError(req.full_url, code, f"a redirect from {old} to {new}", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Without the handlers for file:, ftp: and data: that urllib brings by itself."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=_tls()),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not context.cert_store_stats()["x509_ca"] and not paths.capath:  # python.org's Python for macOS brings none
        try:
            import certifi
        except ImportError:
            return context
        context.load_verify_locations(certifi.where())
    return context


def _refusal(name: str, host: str, error: urllib.error.HTTPError) -> PullProblem | Interrupted:
    if error.code in PASSING or error.code == 416:
        after = error.headers.get("Retry-After", "") if error.headers else ""
        return Interrupted(
            f"{host} answered {error.code}", min(float(after), MAX_RETRY_AFTER_S) if after.isdigit() else 0
        )
    if 300 <= error.code < 400:
        what = "redirects without end" if "infinite loop" in str(error.reason) else "redirects to where it may not"
        return PullProblem(f"{name}: {host} {what}: check the network's proxy or sign-in page, then tts-ops pull again")
    if error.code in (401, 403):
        return PullProblem(f"{name}: {host} answered {error.code}: set HF_TOKEN if it wants one, or check the proxy")
    if error.code in (404, 410):
        return PullProblem(
            f"{name}: {host} does not have it at the pinned revision ({error.code}): check HF_ENDPOINT, "
            "or name a folder that has the files with TTS_MODEL_PATH"
        )
    return PullProblem(f"{name}: {host} answered {error.code}: check HF_ENDPOINT and the network's proxy")


def _failure(name: str, host: str, error: BaseException) -> PullProblem | Interrupted:
    cause = getattr(error, "reason", error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return PullProblem(
            f"{name}: the certificate of {host} is not trusted ({cause.verify_message}): "
            "set SSL_CERT_FILE to your network's certificates"
        )
    return Interrupted(f"{host}: {_reason(error)}")


def _reason(error: BaseException) -> str:
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return "silent until the deadline"
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return " ".join(text.split())[:200]
