"""The HTTP server itself, over raw sockets: what its parser refuses, slow clients, draining, ports."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rest_server.http_server import HEADER_BYTES_MAX, HttpServer, bind
from runtime.settings import RestSettings
from runtime.worker import CannotStart
from tests.rest_server.live import Connection, Raw
from tests.rest_server.world import World, bearer


def assert_problem(answer: Raw, status: int, code: str) -> None:
    body = json.loads(answer.body)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert body["code"] == code
    assert body["error"]
    assert body["request_id"] == answer.headers["x-request-id"]


def test_a_body_above_the_limit_is_refused_without_being_read(live: HttpServer) -> None:
    with Connection(live.port) as connection:
        connection.send(b"GET /readyz HTTP/1.1\r\nHost: t\r\nContent-Length: 262145\r\n\r\n")
        assert_problem(connection.read(), 413, "body_too_large")
        assert connection.is_at_end()


def test_a_body_of_exactly_the_limit_is_fine(live: HttpServer) -> None:
    with Connection(live.port) as connection:
        body = b"x" * 262144
        answer = connection.ask("GET", "/readyz", {"Content-Length": str(len(body))}, body)
    assert answer.status == 200


def test_a_chunked_body_above_the_limit_is_refused(live: HttpServer) -> None:
    with Connection(live.port) as connection:
        connection.send(b"GET /readyz HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.send(b"50000\r\n" + b"x" * 0x50000 + b"\r\n0\r\n\r\n")
        assert_problem(connection.read(), 413, "body_too_large")


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (b"GET /readyz HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n", 400, "bad_request"),
        (b"GET /readyz HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n", 400, "bad_request"),
        (b"GET /readyz HTTP/1.1\r\nHost: t\r\nContent-Length: 1, 2\r\n\r\n", 400, "bad_request"),
        (b"GET /readyz HTTP/1.1\r\nNo colon\r\n\r\n", 400, "bad_request"),
        (b"GET /readyz HTTP/1.1\r\nBad Name: x\r\n\r\n", 400, "bad_request"),
        (b"\x00\x01\x02\r\n\r\n", 400, "bad_request"),
        (b"GET /readyz HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "not_implemented"),
        (b"GET /readyz HTTP/1.1\r\nX: " + b"x" * HEADER_BYTES_MAX + b"\r\n\r\n", 431, "headers_too_large"),
    ],
    ids=lambda value: repr(value[:60]) if isinstance(value, bytes) else None,
)
def test_what_the_parser_refuses_has_the_one_shape(
    live: HttpServer, request_bytes: bytes, status: int, code: str
) -> None:
    with Connection(live.port) as connection:
        connection.send(request_bytes)
        assert_problem(connection.read(), status, code)
        assert connection.is_at_end()


def test_smuggling_one_request_inside_another_fails(live: HttpServer) -> None:
    """Content-Length and Transfer-Encoding at once, and a second request in the body."""
    inner = b"0\r\n\r\nGET /validator-checkpoint HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer k100\r\n\r\n"
    head = b"GET /readyz HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n"
    with Connection(live.port) as connection:
        connection.send(head % len(inner) + inner)
        first = connection.read()
        assert first.status in (200, 400)
        if first.status == 400:
            assert connection.is_at_end()


def test_two_authorization_headers_are_no_key(live: HttpServer) -> None:
    with Connection(live.port) as connection:
        connection.send(
            b"GET /miner-hotkeys HTTP/1.1\r\nHost: t\r\n"
            b"Authorization: Bearer k100\r\nAuthorization: Bearer k100\r\n\r\n"
        )
        assert connection.read().status == 401


def test_requests_in_one_packet_are_answered_in_order(live: HttpServer) -> None:
    with Connection(live.port) as connection:
        connection.send(b"GET /readyz HTTP/1.1\r\nHost: t\r\n\r\nGET /nothing HTTP/1.1\r\nHost: t\r\n\r\n")
        assert [connection.read().status, connection.read().status] == [200, 404]


def test_a_client_may_ask_to_close(live: HttpServer, world: World) -> None:
    with Connection(live.port) as connection:
        answer = connection.ask("GET", "/readyz", {"Connection": "close"})
        assert answer.is_closed
        assert connection.is_at_end()
    with Connection(live.port) as connection:
        etag = connection.ask("GET", "/miner-positions", bearer("k100")).headers["etag"]
        headers = {**bearer("k100"), "If-None-Match": etag, "Connection": "close"}
        assert connection.ask("GET", "/miner-positions", headers).status == 304
        assert connection.is_at_end()


Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def hello(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


@contextmanager
def serving(application: Application, **changes: Any) -> Iterator[HttpServer]:
    server = HttpServer(application, "127.0.0.1", 0, RestSettings(threads=4, **changes))
    server.start()
    try:
        yield server
    finally:
        server.drain(1)


def test_a_request_that_never_ends_is_cut_off() -> None:
    """One byte now and then keeps a connection busy for ever where nobody looks at the whole."""
    with (
        serving(hello, request_timeout_s=1.0) as server,
        Connection(server.port, timeout_s=0.2) as connection,
    ):
        connection.send(b"GET / HTTP/1.1\r\nHost: t\r\n")
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline:
            try:
                connection.send(b"X: y\r\n")
                if connection.is_at_end():
                    return
            except TimeoutError:
                continue
            except OSError:
                return
    pytest.fail("the connection was still open")


def test_a_connection_that_says_nothing_is_closed() -> None:
    with serving(hello, request_timeout_s=1.0) as server, Connection(server.port, timeout_s=8) as connection:
        assert connection.is_at_end()


def test_a_connection_that_has_spoken_may_rest() -> None:
    with serving(hello, request_timeout_s=1.0) as server, Connection(server.port) as connection:
        assert connection.ask("GET", "/").status == 200
        assert not connection.has_more(2.5)
        assert connection.ask("GET", "/").status == 200


def test_drain_finishes_what_is_running_and_takes_nothing_new() -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        entered.set()
        assert leave.wait(10)
        return hello(environ, start_response)

    with serving(slow) as server, Connection(server.port) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        assert entered.wait(5)
        finished: list[bool] = []
        drainer = threading.Thread(target=lambda: finished.append(server.drain(10)))
        drainer.start()
        assert refused(server.port)
        leave.set()
        assert connection.read().body == b"hello"
        drainer.join(10)
        assert finished == [True]
        assert not server.is_alive()


def test_drain_does_not_wait_for_ever() -> None:
    entered, leave = threading.Event(), threading.Event()

    def stuck(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        entered.set()
        leave.wait(20)
        return hello(environ, start_response)

    with serving(stuck) as server, Connection(server.port) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        assert entered.wait(5)
        started = time.monotonic()
        assert not server.drain(0.3)
        assert time.monotonic() - started < 5
        leave.set()


def refused(port: int) -> bool:
    """Whether new connections are refused within a second or two."""
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_a_port_in_use_is_one_clear_line_and_kills_nobody() -> None:
    with serving(hello) as server:
        with pytest.raises(CannotStart) as refusal:
            bind("127.0.0.1", server.port)
        text = str(refusal.value)
        assert f"127.0.0.1:{server.port} is in use" in text
        assert "--api-rest-port" in text
        assert "\n" not in text
        with Connection(server.port) as connection:
            assert connection.ask("GET", "/").body == b"hello"


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.77"])
def test_an_address_that_is_not_ours_is_one_clear_line(host: str) -> None:
    with pytest.raises(CannotStart) as refusal:
        bind(host, 0)
    assert host in str(refusal.value)


def test_localhost_means_every_address_of_that_name_on_one_port() -> None:
    sockets = bind("localhost", 0)
    try:
        assert len({one.getsockname()[1] for one in sockets}) == 1
    finally:
        for one in sockets:
            one.close()


def test_a_slow_reader_of_a_large_answer_does_not_hold_a_thread() -> None:
    """More stalled downloads than threads, and still the next request is answered."""
    from io import BytesIO

    large = b"x" * 8_000_000

    def download(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/":
            return hello(environ, start_response)
        start_response("200 OK", [("Content-Length", str(len(large)))])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](BytesIO(large), 65536)
        return wrapped

    with serving(download) as server:
        stalled = [Connection(server.port) for _ in range(10)]
        for connection in stalled:
            connection.send(b"GET /large HTTP/1.1\r\nHost: t\r\n\r\n")
        with Connection(server.port) as connection:
            for _ in range(5):
                assert connection.ask("GET", "/").body == b"hello"
        assert stalled[0].read().body == large
        for connection in stalled:
            connection.socket.close()
