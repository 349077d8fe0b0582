"""The whole exchange: its market, its accounts and their engines, and the statistics they add up to."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Final

from venues.ithaca import signing
from venues.ithaca.exchange.engine import Engine
from venues.ithaca.exchange.ledger import Account
from venues.ithaca.exchange.market import Market
from venues.ithaca.exchange.traders import SeededTrader
from venues.ithaca.exchange.volume import Volume
from venues.world import draw

FIRST_CLIENT_ID: Final = 1_700_000_000_000_000
DEPOSITS: Final = {"USDC": Decimal(60_000), "WETH": Decimal(8), "WBTC": Decimal("0.25")}


class World:
    """A pure function of (seed, accounts, origin_ms, time) and of what clients sent."""

    def __init__(self, seed: int, accounts: int, origin_ms: int) -> None:
        self.seed, self.origin_ms, self.now_ms = seed, origin_ms, origin_ms
        self.market = Market(seed)
        self.volume = Volume()
        self.accounts = [open_account(seed, index, origin_ms) for index in range(accounts)]
        self.by_address = {account.address: account for account in self.accounts}
        self.engines = {
            account.address: Engine(
                self.market,
                account,
                SeededTrader(self.market, account.address, origin_ms),
                self.volume,
                origin_ms,
            )
            for account in self.accounts
        }

    def advance(self, now_ms: int) -> None:
        """Let everything happen that is due by ``now_ms``."""
        if now_ms <= self.now_ms:
            return
        for engine in self.engines.values():
            engine.advance(now_ms)
        self.now_ms = now_ms


def open_account(seed: int, index: int, origin_ms: int) -> Account:
    """A funded account whose key follows from the seed. Test money on a test exchange."""
    key = "0x" + hashlib.blake2b(f"ithaca/{seed}/{index}".encode(), digest_size=32).hexdigest()
    luck = Decimal(repr(round(0.5 + draw(seed, "deposit", index), 2)))
    account = Account(
        index=index,
        address=signing.address_of(key).lower(),
        private_key=key,
        client_id=FIRST_CLIENT_ID + int(draw(seed, "client", index) * 10**14),
        usual_deposit={currency: amount * luck for currency, amount in DEPOSITS.items()},
    )
    for currency in DEPOSITS:
        account.deposit(currency, origin_ms)
    return account
