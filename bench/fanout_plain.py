"""The plain way to fan out: one ``json.dumps`` per message and an awaited ``send`` per subscriber.

A process of its own: ``python -m bench.fanout_plain deflate|none``. It prints its port, reads one line
``<count> <marker>`` per burst from stdin, sends that many messages to everybody, then a ping that carries
the marker, so that listeners need not inflate anything to know that a burst is over.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bench.fanout_messages import POOL


async def main(compression: str | None) -> None:
    """Serve until stdin ends."""
    clients: set[ServerConnection] = set()

    async def converse(connection: ServerConnection) -> None:
        await connection.recv()
        clients.add(connection)
        await connection.send("subscribed")
        try:
            await connection.wait_closed()
        finally:
            clients.discard(connection)

    async with serve(converse, "127.0.0.1", 0, compression=compression) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        lines = await _lines()
        sequence = 0
        while line := await lines.readline():
            count, marker = line.split()
            for _ in range(int(count)):
                sequence += 1
                await _publish(clients, sequence)
            for client in list(clients):
                await client.ping(marker)


async def _publish(clients: set[ServerConnection], sequence: int) -> None:
    message: dict[str, Any] = {
        "sequence": sequence,
        "timestamp": 1_750_000_000_000,
        "data": POOL[sequence % len(POOL)],
    }
    text = json.dumps(message)
    for client in list(clients):
        try:
            await client.send(text)
        except ConnectionClosed:
            clients.discard(client)


async def _lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


if __name__ == "__main__":
    asyncio.run(main(None if sys.argv[1] == "none" else "deflate"))
