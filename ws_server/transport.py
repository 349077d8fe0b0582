"""The only module that touches a connection's transport and protocol object.

The ``websockets`` library does the handshake, control frames and everything a client sends; live frames
go straight to the transport, because a frame that thousands share must not be built thousands of times.
The library does not promise that this works, so its version is pinned and ``self_test`` runs at boot.

Rule 1: nothing is written unless the state is OPEN and the transport is not closing, both looked at in the
same turn of the loop as the write.
Rule 2: only whole, unfragmented frames are written, and the library's own ``send`` is never given an
iterable: a frame inside a fragmented message would end the connection with 1002.
Rule 3: whoever starts a closing handshake also sets the time of the abort.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Any, ClassVar, Final

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from ws_server.frames import text_frame

CLOSED: Final = -1  # what a write returns when nothing could be written


class Connection(ServerConnection):
    """The library's connection plus what the server needs to know about it.

    ``heard_at``: loop time of the last bytes from the client. ``frames_in``: frames of any kind received.
    ``crowd``: with more connections than this a new one is cut before anything is read.
    """

    crowd: ClassVar[int] = sys.maxsize

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heard_at = self.loop.time()
        self.frames_in = 0
        self.on_writable: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self.server.handler_tasks) > self.crowd:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        self.heard_at = self.loop.time()
        super().data_received(data)

    def process_event(self, event: Any) -> None:
        self.frames_in += 1
        super().process_event(event)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.on_writable is not None:
            self.on_writable()


class Link:
    """Writing to one connection, and ending it."""

    __slots__ = ("_abort_timer", "_connection", "closed_with")

    def __init__(self, connection: Connection, send_buffer_bytes: int) -> None:
        self._connection = connection
        self._abort_timer: asyncio.TimerHandle | None = None
        self.closed_with: int | None = None  # the code that we closed with, once we did
        kernel_socket = connection.transport.get_extra_info("socket")
        if kernel_socket is not None:
            kernel_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)

    def write(self, frames: bytes) -> int:
        """Write whole frames. Returns the bytes that now wait for the client, or ``CLOSED``."""
        connection = self._connection
        transport = connection.transport
        if connection.protocol.state is not State.OPEN or transport.is_closing():
            return CLOSED
        transport.write(frames)
        return transport.get_write_buffer_size()

    def send(self, payload: bytes) -> int:
        """Write one text frame; returns like ``write``."""
        return self.write(text_frame(payload))

    @property
    def waiting(self) -> int:
        """Bytes that the client has not taken yet and the kernel neither."""
        return self._connection.transport.get_write_buffer_size()

    @property
    def is_open(self) -> bool:
        """Whether a write would be accepted now."""
        return self._connection.protocol.state is State.OPEN and not self._connection.transport.is_closing()

    @property
    def heard_at(self) -> float:
        """Loop time of the client's last sign of life."""
        return self._connection.heard_at

    @property
    def frames_in(self) -> int:
        """Frames received so far, control frames included."""
        return self._connection.frames_in

    @property
    def peer(self) -> str:
        """The other end's IP address as the socket knows it."""
        address = self._connection.remote_address
        return str(address[0]) if isinstance(address, tuple) and address else "local"

    def on_writable(self, call: Callable[[], None] | None) -> None:
        """Have ``call`` called whenever a full buffer has drained."""
        self._connection.on_writable = call

    def allow_message_bytes(self, limit: int) -> None:
        """Change the longest message that is read; strangers get less room than clients."""
        self._connection.protocol.max_message_size = limit

    def ping(self) -> None:
        """Ask for a sign of life."""
        connection = self._connection
        if self.is_open:
            connection.protocol.send_ping(b"")
            connection.send_data()

    def close(self, code: int, reason: str, abort_after_s: float) -> None:
        """Send a close frame now; nothing is written after it. The socket is cut after ``abort_after_s``."""
        connection = self._connection
        if self.is_open:
            connection.protocol.send_close(code, reason)
            connection.send_data()
            self.closed_with = code
        if self._abort_timer is None:
            self._abort_timer = connection.loop.call_later(abort_after_s, self.abort)

    def abort(self) -> None:
        """Cut the connection without any more words."""
        self._connection.transport.abort()

    def gone(self) -> None:
        """The connection is lost: nothing is left to cut."""
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        self._connection.on_writable = None
