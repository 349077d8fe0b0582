"""A sandbox served over real HTTP in a thread of its own, with a clock the test moves."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from runtime.clock import FakeClock
from runtime.settings import VenueSettings
from venues.faults import Faults
from venues.limitless.client import LimitlessClient
from venues.limitless.sandbox import LimitlessSandbox
from venues.world import DAY_MS

ORIGIN_MS = 1_750_000_000_000
LIVE_MS = ORIGIN_MS + 21 * DAY_MS


@dataclass(slots=True)
class Served:
    """A running sandbox and how to reach it."""

    sandbox: LimitlessSandbox
    settings: VenueSettings
    base_url: str
    clock: FakeClock
    faults: Faults

    def client(self) -> LimitlessClient:
        """A client that has seen nothing yet."""
        return LimitlessClient(self.settings, self.clock)

    def advance(self, seconds: float) -> None:
        """Let time pass, for the sandbox and its clients alike."""
        self.clock.advance(seconds)


@contextlib.contextmanager
def serve(*, seed: int = 7, accounts: int = 4, now_ms: int = LIVE_MS) -> Iterator[Served]:
    """Serve a sandbox on a free port until the block ends."""
    clock = FakeClock(now_ms)
    sandbox = LimitlessSandbox(seed=seed, accounts=accounts, origin_ms=ORIGIN_MS, clock=clock)
    faults = Faults(seed)
    faults.install(sandbox.app)
    loop, ports, stop = asyncio.new_event_loop(), [], threading.Event()
    started = threading.Event()

    async def run() -> None:
        runner = web.AppRunner(sandbox.app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ports.append(int(runner.addresses[0][1]))
        started.set()
        while not stop.is_set():
            await asyncio.sleep(0.02)
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    assert started.wait(10), "the sandbox did not start"
    base_url = f"http://127.0.0.1:{ports[0]}"
    try:
        with tempfile.TemporaryDirectory() as secrets:
            yield Served(sandbox, sandbox.settings(base_url, Path(secrets)), base_url, clock, faults)
    finally:
        stop.set()
        thread.join(10)
        loop.close()
