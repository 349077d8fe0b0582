"""The sandbox: Ithaca's wire protocol over a seeded exchange, for demos, tests and playing offline."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from aiohttp import web

from runtime.clock import Clock
from runtime.settings import AccountSettings, VenueSettings
from venues.ithaca.exchange import wire_calc, wire_chain, wire_client, wire_market, wire_session
from venues.ithaca.exchange.ledger import Account
from venues.ithaca.exchange.sessions import Sessions
from venues.ithaca.exchange.wire import API, Exchange, add_bare_routes, add_routes
from venues.ithaca.exchange.wire_socket import add_socket
from venues.ithaca.exchange.world import World

CALC: Final = "/api/calc"


class IthacaSandbox:
    """See ``venues.venue.Sandbox``. The first account is a market maker and may act for the second."""

    def __init__(self, *, seed: int, accounts: int, origin_ms: int, clock: Clock) -> None:
        self.world = World(seed, accounts, origin_ms)
        self.sessions = Sessions(self.world)
        self.exchange = Exchange(self.world, self.sessions, clock)
        if accounts > 1:
            manager, managed = self.world.accounts[:2]
            self.sessions.managers[managed.address] = {manager.address}
        self.app = web.Application(client_max_size=1024 * 1024)
        for routes in (wire_session.ROUTES, wire_market.ROUTES, wire_client.ROUTES):
            add_routes(self.app, self.exchange, routes)
        add_bare_routes(self.app, self.exchange, API, wire_market.STATISTICS)
        add_bare_routes(self.app, self.exchange, CALC, wire_calc.ROUTES)
        add_bare_routes(self.app, self.exchange, "", wire_chain.ROUTES)
        add_socket(self.app, self.exchange)

    def settings(self, base_url: str, secrets_dir: Path) -> VenueSettings:
        """How a poller reaches it; each account's key is written to a file only its owner can read."""
        base = base_url.rstrip("/")
        return VenueSettings(
            urls={
                "rest": [base + API],
                "ws": ["ws" + base.removeprefix("http") + "/wss"],
                "calc": [base + CALC],
                "subgraph": [f"{base}/subgraph"],
                "rpc": [f"{base}/rpc"],
            },
            accounts=[_account_settings(account, secrets_dir) for account in self.world.accounts],
            poll_interval_s=1.0,
            requests_per_s=200.0,
        )


def _account_settings(account: Account, secrets_dir: Path) -> AccountSettings:
    path = secrets_dir / f"ithaca-{account.address}.key"
    secrets_dir.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(account.private_key + "\n")
    return AccountSettings(account=account.address, secrets={"private_key": f"file:{path}"})
