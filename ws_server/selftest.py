"""Proof, at every boot, that this version of the library lets us write next to it.

Rule: the server does not start on a library that fails here; a broken stream would be found by users.
"""

from __future__ import annotations

import asyncio
from typing import Final

from websockets.asyncio.server import ServerConnection, serve

from ws_server.transport import CLOSED, Connection, Link

TIMEOUT_S: Final = 5.0
_REQUEST: Final = (
    b"GET / HTTP/1.1\r\nHost: self-test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_HELLO: Final = b"\x81\x82\x00\x00\x00\x00hi"  # masked text
_BYE: Final = b"\x88\x82\x00\x00\x00\x00\x0f\xa0"  # masked close, 4000
_EXPECTED: Final = (
    b"\x81\x03one"  # the library's own send
    b"\x81\x03two"  # ours
    b"\x81\x05three"  # the library's again
    b"\x89\x00"  # our ping
    b"\x88\x06\x0f\xa0done"  # our close
)


class SelfTestError(Exception):
    """The installed ``websockets`` does not do what this server relies on."""


async def self_test() -> None:
    """Interleave our writes with the library's on loopback. Raises SelfTestError."""
    faults: list[str] = []

    async def speak(connection: ServerConnection) -> None:
        assert isinstance(connection, Connection)
        await connection.recv()
        link = Link(connection, 256 * 1024)
        await connection.send("one")
        waiting = link.send(b"two")
        await connection.send("three")
        link.ping()
        link.close(4000, "done", TIMEOUT_S)
        if waiting == CLOSED or link.waiting < 0 or link.frames_in < 1:
            faults.append("an open connection was not written to")
        if link.send(b"late") != CLOSED or link.is_open:
            faults.append("a closing connection was written to")
        await connection.wait_closed()
        link.gone()

    server = await serve(
        speak, "127.0.0.1", 0, compression=None, ping_interval=None, create_connection=Connection
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            received = await _listen(server.sockets[0].getsockname()[1])
    except TimeoutError:
        received = b""
    finally:
        server.close()
        await server.wait_closed()
    if received != _EXPECTED:
        faults.append("the bytes on the wire are not the ones written")
    if faults:
        raise SelfTestError(f"websockets: {'; '.join(faults)}; install the pinned version")


async def _listen(port: int) -> bytes:
    """Be a client; return all bytes after the handshake."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(_REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_HELLO)
        received = await reader.readexactly(len(_EXPECTED))
        writer.write(_BYE)
        return received + await reader.read()
    except asyncio.IncompleteReadError as cut:
        return cut.partial
    finally:
        writer.close()
        await writer.wait_closed()
