"""A small O2 on loopback: seeded, deterministic, moving. Reads are public, as at the venue."""

from __future__ import annotations

import os
from pathlib import Path

from aiohttp import web

from runtime.clock import Clock
from runtime.settings import AccountSettings, VenueSettings
from venues.o2.sandbox.accounts import owner_key
from venues.o2.sandbox.stream import Stream
from venues.o2.sandbox.wire import Wire
from venues.o2.sandbox.world import World


class O2Sandbox:
    """The application and how to reach it; see ``venues.venue.Sandbox``."""

    def __init__(self, *, seed: int, accounts: int, origin_ms: int, clock: Clock) -> None:
        self.world = World(seed, accounts, origin_ms)
        self._clock = clock
        self.app = web.Application()
        self.app.on_startup.append(self._catch_up)
        self.app.add_routes(Wire(self.world, clock).routes())
        self.app.add_routes(Stream(self.world, clock).routes())

    async def _catch_up(self, app: web.Application) -> None:
        """Before the port opens: a sandbox that was off for a day has hours of trading to make up for."""
        self.world.advance(self._clock.now_ms())

    def settings(self, base_url: str, secrets_dir: Path) -> VenueSettings:
        """Every account by its trade account id; its owner's key goes to a file only we can read."""
        base = base_url.rstrip("/")
        accounts = []
        for index, account in enumerate(self.world.accounts):
            path = secrets_dir / f"o2-owner-{index}.key"
            _write_secret(path, owner_key(self.world.seed, index).hex())
            accounts.append(AccountSettings(account=account.id, secrets={"owner": f"file:{path}"}))
        return VenueSettings(
            urls={"rest": [base], "ws": [base.replace("http", "ws", 1) + "/v1/ws"]},
            accounts=accounts,
            poll_interval_s=1.0,
            requests_per_s=500.0,
        )


def _write_secret(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text + "\n")
