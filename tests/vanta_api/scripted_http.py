"""A real HTTP server on a free port whose answers a test writes down beforehand."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """One answer. ``declared``: a Content-Length that differs from the body's (the connection breaks)."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    declared: int | None = None

    @property
    def payload(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Request:
    path: str
    headers: dict[str, str]


Route = Callable[[Request], Reply]


class ScriptedHttp:
    """Answers from ``replies`` in order, then from ``route``; every request is kept in ``requests``."""

    def __init__(self, route: Route | None = None) -> None:
        self.replies: list[Reply] = []
        self.requests: list[Request] = []
        self.route = route or (lambda _: Reply(404, {"error": "not scripted"}))
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                request = Request(self.path, dict(self.headers.items()))
                outer.requests.append(request)
                outer.answer(self, outer.replies.pop(0) if outer.replies else outer.route(request))

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def answer(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        body = b"" if reply.status == 304 else reply.payload
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(reply.declared or len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = reply.declared is not None

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@contextmanager
def scripted_http(route: Route | None = None) -> Iterator[ScriptedHttp]:
    server = ScriptedHttp(route)
    try:
        yield server
    finally:
        server.close()
