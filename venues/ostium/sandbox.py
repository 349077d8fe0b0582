"""A small Ostium on loopback: accounts that trade, the services that show it, and nothing to install."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runtime.clock import Clock
from runtime.settings import AccountSettings, VenueSettings
from venues.ostium.exchange.accounts import wallets, write_key
from venues.ostium.exchange.bots import Bot
from venues.ostium.exchange.engine import Exchange
from venues.ostium.exchange.keeper import Keeper
from venues.ostium.exchange.rpc import TRADING, TRADING_STORAGE, USDC
from venues.ostium.exchange.timeline import Timeline
from venues.ostium.exchange.wire import Wire

if TYPE_CHECKING:
    from aiohttp import web


class OstiumSandbox:
    """The exchange, its traders and keepers, and the application that serves them."""

    def __init__(self, *, seed: int, accounts: int, origin_ms: int, clock: Clock) -> None:
        self.wallets = wallets(seed, accounts)
        self.exchange = Exchange(seed, Timeline(origin_ms))
        Keeper(self.exchange, origin_ms)
        for wallet in self.wallets:
            Bot(self.exchange, wallet.address, origin_ms).start()
        self.wire = Wire(self.exchange, clock)
        self.app: web.Application = self.wire.application()

    def settings(self, base_url: str, secrets_dir: Path) -> VenueSettings:
        """Points at itself. Reading needs no secrets; the keys are there for programs that sign."""
        return VenueSettings(
            urls={
                "subgraph": [f"{base_url}/gn"],
                "prices": [base_url],
                "market": [f"{base_url}/v1"],
                "builder": [f"{base_url}/v1"],
                "rpc": [f"{base_url}/rpc"],
            },
            accounts=[
                AccountSettings(
                    account=wallet.address, secrets={"private_key": write_key(wallet, secrets_dir)}
                )
                for wallet in self.wallets
            ],
            poll_interval_s=1.0,
            requests_per_s=50.0,
            options={"usdc": USDC, "trading": TRADING, "trading_storage": TRADING_STORAGE},
        )
