"""A server on the loopback interface whose faults can be programmed, for tests of downloads."""

import hashlib
import re
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

BLOCK = 16 * 2**10


@dataclass
class Faults:
    """What goes wrong with one path; the default is nothing.

    `statuses` and `drops` are used up: one entry per request, then all is well.
    """

    statuses: list[int] = field(default_factory=list)
    """Statuses answered instead of the file."""
    drops: list[int] = field(default_factory=list)
    """Bytes of the body after which the connection closes."""
    ignore_range: bool = False
    """Answer a range with 200 and the whole file."""
    replaced: Mapping[str, str] = field(default_factory=dict)
    """Headers sent instead of the true ones; "" leaves one out (say ETag, Content-Range)."""
    bytes_per_second: float = float("inf")
    """How fast the body is sent."""
    stall_at: int | None = None
    """Byte of the file before which sending stops until other faults are set for the path."""


@dataclass(frozen=True)
class Request:
    """One request: its path, and its headers by lower-case name."""

    path: str
    headers: Mapping[str, str]


class LoopbackServer:
    """Serves the files of `folder` while its `with` block lasts, with ranges and strong ETags.

    Paths begin with "/". `faults[path]` may be set at any time; `requests` lists what was asked,
    `bytes_served[path]` counts bytes of bodies, as far as they were handed to the network.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: dict[str, Faults] = {}
        self.requests: list[Request] = []
        self.bytes_served: Counter[str] = Counter()
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        # A short poll, so that leaving the `with` block takes no half second.
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def asked(self, path: str) -> list[Request]:
        """The requests for `path`."""
        return [request for request in self.requests if request.path == path]


def _handler(server: LoopbackServer) -> type[BaseHTTPRequestHandler]:
    """The handler class that serves the folder of `server`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            faults = self._note()
            file = server.folder / self.path.lstrip("/")
            with server.lock:
                status = faults.statuses.pop(0) if faults.statuses else 200
            if status == 200 and not file.is_file():
                status = 404
            if status == 200:
                self._serve(file.read_bytes(), faults)
            else:
                self._head(status, {"Content-Length": "0"}, faults)

        def _note(self) -> Faults:
            headers = {name.lower(): value for name, value in self.headers.items()}
            with server.lock:
                server.requests.append(Request(self.path, headers))
            return server.faults.setdefault(self.path, Faults())

        def _serve(self, content: bytes, faults: Faults) -> None:
            """Answer 200, or 206 or 416 where a range is asked for and still of this content."""
            total = len(content)
            tag = f'"{hashlib.md5(content).hexdigest()}"'
            headers = {"Content-Type": "application/octet-stream", "ETag": tag}
            first = self._first_byte(faults.replaced.get("ETag", tag), faults)
            if first is None:
                status, body = 200, content
            elif first >= total:
                status, body = 416, b""
                headers |= {"Content-Range": f"bytes */{total}", "Content-Type": "text/html"}
            else:
                status, body = 206, content[first:]
                headers["Content-Range"] = f"bytes {first}-{total - 1}/{total}"
            self._head(status, headers | {"Content-Length": str(len(body))}, faults)
            self._send(body, total - len(body), faults)

        def _first_byte(self, tag: str, faults: Faults) -> int | None:
            """Where the body is to start; None if the whole file is to be sent."""
            found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            changed = self.headers.get("If-Range", tag) != tag
            return None if found is None or faults.ignore_range or changed else int(found[1])

        def _head(self, status: int, headers: dict[str, str], faults: Faults) -> None:
            self.send_response(status)
            for name, value in {**headers, **faults.replaced}.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()

        def _send(self, body: bytes, first: int, faults: Faults) -> None:
            """Send and count, up to a programmed drop or until the client has gone."""
            with server.lock:
                end = faults.drops.pop(0) if faults.drops else len(body)
            # Also after a whole body: its announced length may be a lie.
            self.close_connection = True
            for start in range(0, min(end, len(body)), BLOCK):
                block = body[start : min(start + BLOCK, end)]
                self._stall(first + start + len(block), faults)
                # Counted first, so that a client that has a byte finds it counted.
                with server.lock:
                    server.bytes_served[self.path] += len(block)
                try:
                    self.wfile.write(block)
                except OSError:
                    return
                time.sleep(len(block) / faults.bytes_per_second)

        def _stall(self, reached: int, faults: Faults) -> None:
            while faults.stall_at is not None and reached > faults.stall_at:
                if server.faults[self.path] is not faults:
                    return
                time.sleep(0.002)

        def log_message(self, format: str, *args: object) -> None:
            """Stay quiet."""

    return Handler
