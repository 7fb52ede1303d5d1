"""Where the requests of a test go: a real server that notes them and may hold its answers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import ClassVar

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Inbox:
    """Answers 202 with a short body; paths under /held wait for `release`, once it is cleared;
    /echo refuses with the token it was sent."""

    url: str
    received: "Queue[Received]" = field(default_factory=Queue)
    release: threading.Event = field(default_factory=threading.Event)

    def next(self) -> Received:
        """The next request; it failing to come is a failure."""
        return self.received.get(timeout=PATIENCE_SECONDS)

    def next_paths(self, count: int) -> list[str]:
        return sorted(self.next().path for _ in range(count))


class _Server(ThreadingHTTPServer):
    request_queue_size = 512
    inbox: Inbox


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    answers: ClassVar[dict[str, int]] = {"/refused": 500, "/away": 307, "/echo": 401}

    def do_POST(self) -> None:
        inbox = self.server.inbox
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        inbox.received.put(Received(self.command, self.path, dict(self.headers), body))
        if self.path.startswith("/held"):
            inbox.release.wait(PATIENCE_SECONDS)
        answer = b'{"message":"noted"}'
        if self.path == "/echo":
            answer = self.headers["Authorization"].removeprefix("Bearer ").encode()
        self.send_response(self.answers.get(self.path, 202))
        if self.path == "/away":
            self.send_header("Location", "/here")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST  # noqa: N815  # the base class's name
    do_DELETE = do_POST  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def open_inbox() -> Iterator[Inbox]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        server.inbox = Inbox(f"http://127.0.0.1:{server.server_port}")
        server.inbox.release.set()
        serving = threading.Thread(target=server.serve_forever, args=(0.02,))
        serving.start()
        try:
            yield server.inbox
        finally:
            server.inbox.release.set()
            server.shutdown()
            serving.join()
