"""Serves one venue's sandbox on loopback, with faults on request and a readiness line."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Callable
from typing import Final

from aiohttp import web

from venues.faults import Faults
from venues.venue import Sandbox

HOST: Final = "127.0.0.1"
LOOK_S: Final = 0.1  # how soon a stop is noticed


class PortInUse(OSError):
    """Somebody else listens there."""


async def serve(
    sandbox: Sandbox,
    faults: Faults,
    port: int,
    *,
    on_ready: Callable[[int], None],
    is_stopped: Callable[[], bool],
    beat: Callable[[], None] = lambda: None,
) -> None:
    """Serve until stopped; ``on_ready`` gets the port that was bound."""
    faults.install(sandbox.app)
    runner = web.AppRunner(sandbox.app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, port, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(f"port {port} is in use: choose another with --port") from None
            raise
        on_ready(int(runner.addresses[0][1]))
        while not is_stopped():
            beat()
            await asyncio.sleep(LOOK_S)
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await runner.cleanup()
