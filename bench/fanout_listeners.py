"""The subscribers of the benchmark: raw sockets in a process of their own, as cheap as they can be.

``python -m bench.fanout_listeners PORT COUNT ours|plain|deflate``. It prints ``ready``, then for every
marker that it reads from stdin one line: the monotonic time at which the last subscriber had the marker.
The first subscriber of ``ours`` reads every frame and checks that no number is missing.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time

from tests.ws_server.raw import TEXT, frame, split

KEEP = 64  # a marker stands within this many bytes of the end of the last frame
BUFFER = bytearray(1024 * 1024)
VIEW = memoryview(BUFFER)
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
SEQUENCE = re.compile(rb'"sequence":(\d+)')


class Listener:
    """One subscriber: looks for the marker at the end of what arrives, and throws the rest away."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(request)
        self.socket.setblocking(False)
        self._tail = b""

    def hears(self, marker: bytes) -> bool:
        """Read once; whether the marker has come."""
        size = self.socket.recv_into(BUFFER)
        if not size:
            sys.exit(f"a subscriber was closed: {self._tail!r}")
        self.look_at(VIEW[:size])
        self._tail = (self._tail + bytes(VIEW[max(0, size - KEEP) : size]))[-KEEP:]
        return marker in self._tail

    def look_at(self, data: memoryview) -> None:
        """Nothing: most subscribers only count the end."""


class Checker(Listener):
    """Reads every frame; ends the benchmark when a number is missing or repeated."""

    def __init__(self, port: int, request: bytes) -> None:
        super().__init__(port, request)
        self._buffer = bytearray()
        self._is_greeted = False
        self._last = 0

    def look_at(self, data: memoryview) -> None:
        self._buffer += data
        if not self._is_greeted:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._is_greeted = True
            del self._buffer[: end + 4]
        for found in split(self._buffer):
            for number in map(int, SEQUENCE.findall(found.payload)):
                if self._last and number != self._last + 1:
                    sys.exit(f"{number} follows {self._last}")
                self._last = number


class Hall:
    """All subscribers."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._listeners: dict[int, Listener] = {}

    def add(self, listener: Listener) -> None:
        self._listeners[listener.socket.fileno()] = listener
        self._poll.register(listener.socket.fileno(), select.EPOLLIN)

    def wait(self, marker: bytes, missing: set[int] | None = None) -> float:
        """The time at which the last subscriber had the marker."""
        missing = set(self._listeners) if missing is None else missing
        while missing:
            for number, _ in self._poll.poll():
                if self._listeners[number].hears(marker):
                    missing.discard(number)
        return time.monotonic()


def request_of(mode: str) -> bytes:
    """Handshake, first frame and, for ours, the subscription, in one."""
    offer = OFFER if mode == "deflate" else ""
    handshake = (
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
    )
    first = frame(TEXT, json.dumps({"api_key": "bench"}).encode())
    then = frame(TEXT, b'{"type":"subscribe","all":true}') if mode == "ours" else b""
    return handshake.encode() + first + then


def main(port: int, count: int, mode: str) -> None:
    """Connect everybody, then time every marker."""
    hall = Hall()
    request = request_of(mode)
    for number in range(count):
        listener = (Checker if mode == "ours" and number == 0 else Listener)(port, request)
        hall.add(listener)
        if mode == "ours":
            hall.wait(b'"action":"subscribe"', {listener.socket.fileno()})
    if mode != "ours":
        hall.wait(b"subscribed" if mode == "plain" else b"\xc1")  # a compressed frame begins with this byte
    print("ready", flush=True)
    for line in sys.stdin.buffer:
        print("listening", flush=True)
        print(hall.wait(line.strip()), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
