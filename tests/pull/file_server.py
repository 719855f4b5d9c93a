"""A real HTTP server on 127.0.0.1 that serves files with ranges, and fails in the ways it is told to."""

from __future__ import annotations

import ssl
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Request:
    path: str
    range: str | None
    authorization: str | None


@dataclass
class Body:
    """How one answer is to be given; the defaults are those of a good server."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None  # bytes of the body that are sent before the connection breaks
    ranges: bool = True
    length: bool = True  # False: no Content-Length, the end of the connection is the end
    first: int | None = None  # sends so many bytes, then nothing until the test is over
    drip: bool = False  # a byte every 20 ms
    shift: int = 0  # answers a range so many bytes beside the one that was asked for
    start: bool = True  # False: takes the request and never answers


@dataclass
class FileServer:
    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Body]] = field(default_factory=lambda: defaultdict(list))  # taken one per request
    always: dict[str, Body] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def ranges_of(self, path: str) -> list[str | None]:
        return [request.range for request in self.requests if request.path == path]


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[FileServer]:
    """`certificate`: a PEM file with key and certificate; the server then speaks HTTPS."""

    class Handler(_Handler):
        told: FileServer

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        scheme = "https" if certificate else "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that does not trust us
        Handler.told = FileServer(f"{scheme}://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="file-server")
        thread.start()
        try:
            yield Handler.told
        finally:
            Handler.told.over.set()
            server.shutdown()
            thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    told: FileServer

    def do_GET(self) -> None:
        told = self.told
        told.requests.append(Request(self.path, self.headers["Range"], self.headers["Authorization"]))
        queue = told.faults[self.path]
        how = queue.pop(0) if queue else told.always.get(self.path, Body())
        if not how.start:
            told.over.wait(30)
            return
        content = told.files.get(self.path)
        if content is None and how.status is None:
            how = Body(status=404)
        self._answer(how, content or b"")

    def _answer(self, how: Body, content: bytes) -> None:
        begin = int((self.headers["Range"] or "bytes=0-")[6:].rstrip("-")) if how.ranges else 0
        if begin and begin >= len(content):
            how, begin = Body(status=416, headers={"Content-Range": f"bytes */{len(content)}"}), 0
        if how.status:
            content = b""
        elif begin:
            begin += how.shift
        self.send_response(how.status or (206 if begin else 200))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        if how.length and "Content-Length" not in how.headers:
            self.send_header("Content-Length", str(len(content) - begin))
        for name, value in how.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self._send(how, memoryview(content)[begin:])

    def _send(self, how: Body, rest: memoryview) -> None:
        try:
            if how.drip:
                for place in range(len(rest)):
                    self.wfile.write(rest[place : place + 1])
                    if self.told.over.wait(0.02):
                        return
            elif how.first is not None:
                self.wfile.write(rest[: how.first])
                self.told.over.wait(30)
            else:
                self.wfile.write(rest[: how.cut])
        except OSError:  # the client had enough
            pass

    def log_message(self, *_: object) -> None:
        pass
