"""Talking to a server over a plain socket, so that nothing in between hides what it sends."""

from __future__ import annotations

import socket
from dataclasses import dataclass


@dataclass(frozen=True)
class Raw:
    """One HTTP answer as it came."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes
    is_closed: bool  # whether the server closed the connection after it


class Connection:
    """A keep-alive connection."""

    def __init__(self, port: int, timeout_s: float = 10.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self._left = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Raw:
        """Send one request and read its answer."""
        lines = [f"{method} {path} HTTP/1.1", "Host: test"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
        return self.read(has_body=method != "HEAD")

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def read(self, *, has_body: bool = True) -> Raw:
        """Read one answer."""
        head = self._until(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        status = int(first.split(" ")[1])
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        body = b""
        if has_body and status not in (204, 304):
            body = self._exactly(int(headers["content-length"]))
        is_closed = headers.get("connection", "").lower() == "close"
        return Raw(status, headers, body, is_closed)

    def is_at_end(self) -> bool:
        """Whether the server closes the connection now without sending anything more."""
        try:
            return not self._left and self.socket.recv(1) == b""
        except ConnectionResetError:  # it closed without having read all that we sent
            return True

    def has_more(self, wait_s: float = 0.2) -> bool:
        """Whether the server sends anything within ``wait_s``."""
        self.socket.settimeout(wait_s)
        try:
            self._left += self.socket.recv(65536)
        except TimeoutError:
            return False
        return bool(self._left)

    def _until(self, end: bytes) -> bytes:
        while end not in self._left:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(f"the server closed after {self._left!r}")
            self._left += data
        head, _, self._left = self._left.partition(end)
        return head

    def _exactly(self, size: int) -> bytes:
        while len(self._left) < size:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(f"the server closed {size - len(self._left)} bytes early")
            self._left += data
        body, self._left = self._left[:size], self._left[size:]
        return body
