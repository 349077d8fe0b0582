"""Asks one address over some keep-alive connections for a while; prints how many answers came."""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from typing import Any


class Link:
    """One connection with at most one request under way."""

    def __init__(self, port: int, request: bytes) -> None:
        self.port, self.request = port, request
        self.open()

    def open(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port))
        self.ask()

    def ask(self) -> None:
        self.head = b""
        self.left = -1  # bytes of the body still to come; -1: the head is not whole yet
        self.is_closing = False
        self.socket.sendall(self.request)

    def take(self, data: bytes) -> bool:
        """Take received bytes; True when the answer is whole."""
        if self.left < 0:
            self.head += data
            head, end, data = self.head.partition(b"\r\n\r\n")
            if not end:
                return False
            lower = head.lower()
            self.is_closing = b"\r\nconnection: close" in lower
            self.left = int((lower.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]) or 0)
        self.left -= len(data)
        return self.left <= 0


def drive(job: dict[str, Any]) -> int:
    """Number of answers."""
    lines = [f"GET {job['path']} HTTP/1.1", "Host: bench", *(f"{k}: {v}" for k, v in job["headers"].items())]
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()
    selector = selectors.DefaultSelector()
    for _ in range(job["connections"]):
        link = Link(job["port"], request)
        selector.register(link.socket, selectors.EVENT_READ, link)
    answered, started = 0, time.perf_counter()
    while time.perf_counter() - started < job["seconds"]:
        for key, _ in selector.select(0.1):
            link = key.data
            if not link.take(link.socket.recv(1 << 20)):
                continue
            answered += 1
            if link.is_closing:
                selector.unregister(link.socket)
                link.socket.close()
                link.open()
                selector.register(link.socket, selectors.EVENT_READ, link)
            else:
                link.ask()
    return answered


if __name__ == "__main__":
    print(drive(json.loads(sys.argv[1])))
