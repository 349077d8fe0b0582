"""WebSocket frames as bytes, written and read without any WebSocket library."""

from __future__ import annotations

import base64
import os
import socket
import struct
from dataclasses import dataclass
from typing import Any

import msgspec

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


@dataclass(frozen=True)
class Frame:
    """One frame as it came: ``bits`` are FIN and the three reserved ones."""

    opcode: int
    payload: bytes
    bits: int = 0x80

    @property
    def close_code(self) -> int | None:
        """The code of a close frame (None when it carries none)."""
        return struct.unpack("!H", self.payload[:2])[0] if len(self.payload) >= 2 else None


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = b"\x01\x02\x03\x04",
    length: int | None = None,
    wide: int | None = None,
) -> bytes:
    """A client's frame. ``length`` lies about the size, ``wide`` forces 2 or 8 length bytes."""
    first = (0x80 if fin else 0) | (rsv << 4) | opcode
    size = len(payload) if length is None else length
    flag = 0 if mask is None else 0x80
    if wide == 8 or (wide is None and size > 0xFFFF):
        head = struct.pack("!BBQ", first, flag | 127, size)
    elif wide == 2 or (wide is None and size > 125):
        head = struct.pack("!BBH", first, flag | 126, size)
    else:
        head = struct.pack("!BB", first, flag | size)
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def close_frame(code: int, reason: bytes = b"", **kwargs: Any) -> bytes:
    """A client's close frame."""
    return frame(CLOSE, struct.pack("!H", code) + reason, **kwargs)


def split(buffer: bytearray) -> list[Frame]:
    """Take the complete frames of a server out of the buffer."""
    found = []
    while (parsed := _first(buffer)) is not None:
        one, size = parsed
        found.append(one)
        del buffer[:size]
    return found


def _first(buffer: bytearray) -> tuple[Frame, int] | None:
    if len(buffer) < 2:
        return None
    head, size, start = buffer[0], buffer[1], 2
    assert not size & 0x80, "a server must not mask"
    if size == 126:
        if len(buffer) < 4:
            return None
        (size,), start = struct.unpack("!H", buffer[2:4]), 4
    elif size == 127:
        if len(buffer) < 10:
            return None
        (size,), start = struct.unpack("!Q", buffer[2:10]), 10
    if len(buffer) < start + size:
        return None
    return Frame(head & 0x0F, bytes(buffer[start : start + size]), head & 0xF0), start + size


class RawClient:
    """A blocking client on a plain socket. ``frames`` are those read so far."""

    def __init__(self, port: int, *, path: str | None = "/", receive_buffer: int | None = None) -> None:
        """Connect and, unless ``path`` is None, shake hands."""
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(10)
        self._buffer = bytearray()
        self._frames: list[Frame] = []
        self.welcome: dict[str, Any] = {}  # the auth reply, once somebody has read it
        try:
            self.socket.connect(("127.0.0.1", port))
            self.response = b"" if path is None else self._handshake(path)
        except OSError:
            self.socket.close()
            raise

    def _handshake(self, path: str) -> bytes:
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self._buffer:
            data = self.socket.recv(65536)
            if not data:
                break
            self._buffer += data
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        return head

    def read_all(self) -> bytes:
        """Everything until the end of the stream."""
        found = b""
        try:
            while data := self.socket.recv(65536):
                found += data
        except ConnectionError:
            pass
        return found

    def send(self, data: bytes) -> None:
        """Send raw bytes."""
        self.socket.sendall(data)

    def say(self, message: Any) -> None:
        """Send one masked text frame with this JSON."""
        self.send(frame(TEXT, msgspec.json.encode(message)))

    def next(self) -> Frame | None:
        """The next frame, or None at the end of the stream (also when it was cut)."""
        while not self._frames:
            self._frames = split(self._buffer)  # first: a frame may have come together with the handshake
            if self._frames:
                break
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                return None
            if not data:
                return None
            self._buffer += data
        return self._frames.pop(0)

    def hear(self) -> dict[str, Any]:
        """The next text frame's JSON. Raises ConnectionError at the end of the stream."""
        found = self.next()
        if found is None:
            raise ConnectionError("the connection ended")
        assert found.opcode == TEXT, found
        decoded: dict[str, Any] = msgspec.json.decode(found.payload)
        return decoded

    def hear_sequences(self, until: int) -> list[int]:
        """Read data frames and batches up to the number ``until``; the numbers in order."""
        found: list[int] = []
        while not found or found[-1] < until:
            heard = self.hear()
            found.extend(inner["sequence"] for inner in heard.get("messages", [heard]) if "sequence" in inner)
        return found

    def close_code(self) -> int | None:
        """Read until the end; the code of the server's close frame, None when there was none."""
        while (found := self.next()) is not None:
            if found.opcode == CLOSE:
                return found.close_code
        return None

    def close(self) -> None:
        """Drop the connection without any words."""
        self.socket.close()
