"""A small prediction-market exchange that speaks Limitless's wire protocol, with traders that never rest."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from runtime.clock import Clock
from runtime.settings import AccountSettings, VenueSettings
from venues.limitless.sandbox import (
    routes_markets,
    routes_orders,
    routes_pages,
    routes_partners,
    routes_portfolio,
    traders,
)
from venues.limitless.sandbox.accounts import Account
from venues.limitless.sandbox.desk import Desk
from venues.limitless.sandbox.engine import Engine
from venues.limitless.sandbox.stream import Stream

ROUTES = (routes_markets, routes_orders, routes_portfolio, routes_pages, routes_partners)


class LimitlessSandbox:
    """See ``venues.venue.Sandbox``. ``engine`` is the exchange behind the routes."""

    def __init__(self, *, seed: int, accounts: int, origin_ms: int, clock: Clock) -> None:
        self.engine = Engine(seed, accounts, origin_ms)
        traders.start(self.engine)
        self.desk = Desk(self.engine, clock)
        self.app = web.Application()
        for module in ROUTES:
            self.app.add_routes(module.routes(self.desk))
        self.stream = Stream(self.desk, self.app)

    def settings(self, base_url: str, secrets_dir: Path) -> VenueSettings:
        """Its URLs and accounts; secrets are written to files that only their owner can read."""
        secrets_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        return VenueSettings(
            urls={"rest": [base_url], "ws": [base_url], "rpc": [f"{base_url}/rpc"]},
            accounts=[
                AccountSettings(account=account.address, secrets=self._secrets(account, secrets_dir))
                for account in self.engine.accounts
            ],
            poll_interval_s=1.0,
            timeout_s=10.0,
            requests_per_s=200.0,
        )

    def _secrets(self, account: Account, directory: Path) -> dict[str, str]:
        """References to the account's credentials; none for an account that is read in public."""
        values = {
            "hmac": {
                "hmac_token_id": account.token.token_id,
                "hmac_secret": account.token.secret,
                "identity": account.identity,
            },
            "api_key": {"api_key": account.api_key},
            "public": {},
        }[account.access]
        return {
            name: "file:" + str(_write(directory / f"limitless-{account.number}-{name}", value))
            for name, value in values.items()
        }


def _write(path: Path, secret: str) -> Path:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(secret + "\n", encoding="utf-8")
    return path
