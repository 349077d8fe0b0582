"""waitress, with the few things it does not do itself.

Rule 1: what the parser refuses (too large, malformed, half a request that never ends) is answered in the
same JSON shape as everything else.
Rule 2: a request must arrive whole within ``request_timeout_s``; dripping one byte at a time does not hold
a connection for longer.
Rule 3: stopping means: accept nobody new, finish what is running, then close.

The classes below use waitress' own extension points (``channel_class``, ``task_class``,
``error_task_class``); a test talks to them over raw sockets, so that a new version cannot change them
unnoticed.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask

from rest_server import request_ids
from rest_server.errors import TEXTS, body_of
from runtime.settings import RestSettings
from runtime.worker import CannotStart

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

HEADER_BYTES_MAX: Final = 32 * 1024
BACKLOG: Final = 1024
LOOK_S: Final = 1.0  # between two looks for connections that are idle or too slow
OUTBUF_BYTES: Final = 8 * 1024 * 1024  # waitress would write a longer pending answer to a temporary file


class Task(WSGITask):  # type: ignore[misc]
    """A request's work; keeps the connection open after an answer that has no body (304, 204)."""

    def set_close_on_finish(self) -> None:
        asked_to_close = self.request.headers.get("CONNECTION", "").lower() == "close"
        if self.has_body or self.version != "1.1" or asked_to_close:
            super().set_close_on_finish()


class RefusalTask(ErrorTask):  # type: ignore[misc]
    """The parser's refusals in the one error shape."""

    def execute(self) -> None:
        status = int(self.request.error.code)
        status = status if status in TEXTS else 400
        code, text = TEXTS[status]
        request_id = request_ids.new()
        body = body_of(text, code, request_id)
        self.status = f"{status} {self.request.error.reason}"
        self.response_headers += [("Content-Type", "application/json"), (request_ids.HEADER, request_id)]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that remembers since when its unfinished request is under way.

    The first request counts from the moment of connecting.
    """

    task_class = Task
    error_task_class = RefusalTask

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.unfinished_since: float | None = time.time()

    def received(self, data: bytes) -> bool:
        taken = bool(super().received(data))
        if self.request is None:
            self.unfinished_since = None
        elif self.unfinished_since is None:
            self.unfinished_since = time.time()
        return taken


class Listener(TcpWSGIServer):  # type: ignore[misc]
    """One listening socket."""

    channel_class = Channel
    request_timeout_s: float = 15.0

    def maintenance(self, now: float) -> None:
        """Close connections that are idle or whose request does not come to an end."""
        super().maintenance(now)
        for channel in self.active_channels.values():
            since = channel.unfinished_since
            if since is not None and now - since > self.request_timeout_s:
                channel.will_close = True


class HttpServer:
    """Serves ``application`` on every address of ``host``. Raises CannotStart when it cannot bind."""

    def __init__(self, application: WSGIApplication, host: str, port: int, settings: RestSettings) -> None:
        sockets = bind(host, port)
        self.port: int = sockets[0].getsockname()[1]
        self._map: dict[int, Any] = {}
        self._dispatcher = ThreadedTaskDispatcher()
        adjustments = Adjustments(
            sockets=sockets,
            threads=settings.threads,
            connection_limit=settings.connections,
            channel_timeout=settings.idle_timeout_s,
            cleanup_interval=LOOK_S,
            max_request_body_size=settings.body_bytes + 1,  # waitress refuses a body of exactly this size
            max_request_header_size=HEADER_BYTES_MAX,
            outbuf_overflow=OUTBUF_BYTES,
            outbuf_high_watermark=OUTBUF_BYTES,
            clear_untrusted_proxy_headers=False,  # ``addresses`` decides whom to believe
            log_socket_errors=False,  # clients that go away are not news
            asyncore_use_poll=True,
            backlog=BACKLOG,
            ident="vanta-gateway",
        )
        self._listeners = [self._listen(application, one, adjustments) for one in sockets]
        for listener in self._listeners:
            listener.request_timeout_s = settings.request_timeout_s
        self._dispatcher.set_thread_count(settings.threads)
        self._loop = threading.Thread(target=self._run, name="http-loop", daemon=True)
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a busy moment is in the metrics

    def start(self) -> None:
        """Serve from threads of its own."""
        self._loop.start()

    def is_alive(self) -> bool:
        """Whether connections are being served."""
        return self._loop.is_alive()

    def drain(self, timeout_s: float) -> bool:
        """Stop accepting, let running requests finish for ``timeout_s``, close. True when all finished."""
        self._in_loop(self._stop_listening)
        deadline = time.monotonic() + timeout_s
        while (is_busy := self._is_busy()) and time.monotonic() < deadline:
            time.sleep(0.02)
        self._dispatcher.shutdown(cancel_pending=True, timeout=0.5)
        self._in_loop(lambda: wasyncore.close_all(self._map))
        self._loop.join(timeout=2.0)
        return not is_busy

    def _listen(self, application: WSGIApplication, one: socket.socket, adjustments: Adjustments) -> Listener:
        info = (one.family, one.type, one.proto, one.getsockname())
        return Listener(
            application,
            self._map,
            True,
            one,
            dispatcher=self._dispatcher,
            adj=adjustments,
            bind_socket=False,
            sockinfo=info,
        )

    def _run(self) -> None:
        wasyncore.loop(timeout=LOOK_S, map=self._map, use_poll=True)

    def _in_loop(self, work: Callable[[], None]) -> None:
        """Run ``work`` in the thread that owns the sockets."""
        if self._loop.is_alive():
            # The work is queued before the bell is rung: a loop that was awake may have done it, and closed
            # the bell with everything else, by then.
            with contextlib.suppress(OSError):
                self._listeners[0].trigger.pull_trigger(work)

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            listener.accepting = False
            wasyncore.dispatcher.close(listener)

    def _is_busy(self) -> bool:
        channels = [c for listener in self._listeners for c in list(listener.active_channels.values())]
        return any(channel.requests or channel.total_outbufs_len for channel in channels)


def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets on every address of ``host``, all on one port. Raises CannotStart with one clear line."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise CannotStart(
            f"{host}: {error.strerror}: give an address of this machine with --api-host"
        ) from None
    sockets: list[socket.socket] = []
    for family, kind, protocol, _, address in dict.fromkeys(found):
        if sockets and port == 0:
            address = (address[0], sockets[0].getsockname()[1], *address[2:])
        try:
            sockets.append(_bind_one(family, kind, protocol, address))
        except OSError as error:
            if sockets and error.errno == errno.EADDRNOTAVAIL:
                continue  # the name has an IPv6 address, the machine has no IPv6
            for one in sockets:
                one.close()
            raise _cannot_bind(host, port, error) from None
    return sockets


def _bind_one(family: int, kind: int, protocol: int, address: Any) -> socket.socket:
    one = socket.socket(family, kind, protocol)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
        one.listen(BACKLOG)  # here, so that a port in use is found out before anything is started
    except OSError:
        one.close()
        raise
    return one


def _cannot_bind(host: str, port: int, error: OSError) -> CannotStart:
    is_taken = error.errno == errno.EADDRINUSE
    reason = "is in use" if is_taken else f"cannot be bound ({error.strerror})"
    return CannotStart(
        f"{host}:{port} {reason}: stop what listens there or choose another with --api-rest-port"
    )
