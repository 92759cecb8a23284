"""A loopback HTTP server that speaks as much of the hub's file protocol as its real client needs.

It answers ``HEAD`` and ``GET /{owner}/{name}/resolve/{revision}/model.safetensors`` with the headers of a large file:
the commit, the SHA-256 as ``X-Linked-Etag``, the size as ``X-Linked-Size``, and byte ranges. The name of the
repository says how it misbehaves:

=============  ====================================================================================
good           nothing
cut            the first answer breaks off in the middle; the rest is given to a range request
truncated      every answer is half the file
wrong          every answer has one byte changed
wrong-once     the first answer has one byte changed
pickle-only    there is no safetensors file
login-page     an HTML page with status 200 for everything, as a hotel network gives
silent         no answer for some seconds
anything else  no such repository
=============  ====================================================================================
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SILENCE = 3.0  # seconds


class HubServer(ThreadingHTTPServer):
    """Serves one payload under every repository; ``downloads`` counts the GET requests per repository."""

    daemon_threads = True

    def __init__(self, payload: bytes):
        self.payload = payload
        self.digest = hashlib.sha256(payload).hexdigest()
        self.downloads: Counter[str] = Counter()
        self.closing = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        """Keep the test output clean."""

    def _answer(self, body: bool) -> None:
        parts = self.path.strip("/").split("/")
        behaviour = parts[1] if len(parts) == 5 and parts[0] == "timm" and parts[2] == "resolve" else ""
        if behaviour == "silent":
            self.server.closing.wait(SILENCE)
            self.close_connection = True
        elif behaviour == "login-page":
            self._send(200, {"Content-Type": "text/html"}, b"<html>please log in</html>", body)
        elif behaviour == "pickle-only":
            self._send(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, b"", body)
        elif behaviour not in ("good", "cut", "truncated", "wrong", "wrong-once"):
            self._send(404, {"X-Error-Code": "RepoNotFound"}, b"", body)
        else:
            self._send_file(behaviour, body)

    def _send_file(self, behaviour: str, body: bool) -> None:
        payload = self.server.payload
        headers = {
            "X-Repo-Commit": COMMIT,
            "X-Linked-Etag": f'"{self.server.digest}"',
            "X-Linked-Size": str(len(payload)),
            "ETag": f'"{self.server.digest}"',
            "Accept-Ranges": "bytes",
        }
        if not body:
            self._send(200, headers, payload, body)
            return
        self.server.downloads[behaviour] += 1
        first = self.server.downloads[behaviour] == 1
        if behaviour == "truncated":
            payload = payload[: len(payload) // 2]
        elif behaviour == "wrong" or (behaviour == "wrong-once" and first):
            payload = payload[:-1] + bytes([payload[-1] ^ 1])
        elif behaviour == "cut" and first:
            self._send(200, headers, payload, body, stop=len(payload) // 2)
            return
        begin = self.headers.get("Range", "")
        if begin.startswith("bytes=") and begin.endswith("-"):
            start = int(begin[6:-1])
            headers["Content-Range"] = f"bytes {start}-{len(payload) - 1}/{len(payload)}"
            self._send(206, headers, payload[start:], body)
        else:
            self._send(200, headers, payload, body)

    def _send(self, status: int, headers: dict[str, str], payload: bytes, body: bool, stop: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if body:
            self.wfile.write(payload[:stop])
        if stop is not None:
            self.wfile.flush()
            self.close_connection = True


@contextmanager
def serve(payload: bytes) -> Iterator[HubServer]:
    """Run the server in a thread for the time of the ``with`` block."""
    server = HubServer(payload)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
