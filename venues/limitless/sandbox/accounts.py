"""The sandbox's traders: who they are, how they prove it, and what they own.

Units: shares and USDC in raw units (millionths), prices in thousandths, times in ms.
"""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, Literal

from venues.ethereum import Account as Wallet
from venues.limitless.sandbox.book import LOT
from venues.limitless.sandbox.markets import Market, hex_of
from venues.limitless.signing import Token

START_CASH: Final = 10_000_000_000
SCOPES: Final = ("trading", "account_creation", "delegated_signing", "withdrawal")

Access = Literal["hmac", "api_key", "public"]
Key = tuple[str, int]  # slug and outcome


@dataclass(slots=True)
class Stake:
    """Shares of one outcome. ``cost`` is what they cost at gross prices, ``bought`` all ever bought."""

    shares: int = 0
    cost: int = 0
    realised: int = 0
    bought_usd: int = 0
    sold_usd: int = 0

    def buy(self, shares: int, cost: int) -> None:
        self.shares += shares
        self.cost += cost

    def sell(self, shares: int, proceeds: int) -> int:
        """Take shares out at average cost; returns that cost."""
        cost = self.cost * shares // self.shares if self.shares else 0
        self.shares -= shares
        self.cost -= cost
        self.realised += proceeds - cost
        return cost

    @property
    def fill_price(self) -> int:
        """Average gross price in millionths."""
        return round(self.cost * 1_000_000 / self.shares) if self.shares else 0


@dataclass(slots=True)
class Row:
    """One line of the history. ``shares`` None where the venue names none."""

    number: int
    at_s: int
    market: Market
    outcome: int
    usd: int
    strategy: str | None = None
    action: str | None = None
    shares: int | None = None
    price: str | None = None
    pnl: int | None = None
    tx_hash: str | None = None


@dataclass(slots=True)
class Match:
    """One counterparty of a taker: the house's resting order, perhaps for the opposite outcome."""

    id: str
    order_id: str
    account: str
    shares: int
    outcome: int
    is_buy: bool
    price: int


@dataclass(slots=True)
class Order:
    """An order in the venue's book or past it. ``price`` None for FOK."""

    id: str
    created_ms: int
    market: Market
    outcome: int
    is_buy: bool
    kind: Literal["GTC", "FAK", "FOK"]
    price: int | None
    maker_amount: int
    taker_amount: int
    size: int
    remaining: int
    fee_rate_bps: int
    status: Literal["LIVE", "MATCHED", "CANCELLED"] = "LIVE"
    settlement: str = "UNMATCHED"
    matches: list[Match] = field(default_factory=list)
    gross: int = 0
    fee_shares: int = 0
    usd: int = 0
    fee_usd: int = 0
    effective_bps: int = 0
    trade_event_id: str | None = None
    tx_hash: str | None = None
    eligible_ms: int | None = None

    @property
    def key(self) -> Key:
        return self.market.slug, self.outcome

    @property
    def reserved(self) -> int:
        """Raw USDC (buy) or shares (sell) that the rest of the order keeps busy."""
        return self.maker_amount * self.remaining // self.size if self.size else 0


class Account:
    """One trader: deterministic keys and credentials, and a growing state."""

    def __init__(self, seed: int, number: int) -> None:
        self.number = number
        self.profile_id = 1_315_134 + number
        self.private_key = hex_of(32, seed, "limitless", number, "key")
        self.address: str = Wallet.from_key(self.private_key).address
        smart_key = hex_of(32, seed, "limitless", number, "smart")
        self.smart_wallet: str | None = Wallet.from_key(smart_key).address if number % 2 else None
        self.access: Access = ("hmac", "api_key", "hmac", "public")[number % 4]
        secret = hashlib.blake2b(f"{seed}/{number}/secret".encode(), digest_size=32).digest()
        self.token = Token(hex_of(8, seed, number, "token")[2:], base64.b64encode(secret).decode())
        self.api_key = "lmts_" + hex_of(16, seed, number, "api")[2:]
        self.identity = "sandbox-" + hex_of(16, seed, number, "identity")[2:]
        self.fee_rate_bps = 300 if number % 3 else 250
        self.cash = START_CASH
        self.stakes: defaultdict[Key, Stake] = defaultdict(Stake)
        self.orders: dict[str, Order] = {}
        self.live: dict[str, Order] = {}
        self.orders_of: defaultdict[str, list[Order]] = defaultdict(list)
        self.rows: list[Row] = []
        self.markets: dict[str, Market] = {}
        self.busy: set[Key] = set()
        self.acts = 0
        self.counter = 0
        self.traded_usd = 0

    @property
    def wallet(self) -> str:
        """The address that trades: the smart wallet where there is one."""
        return self.smart_wallet or self.address

    def live_orders(self, slug: str | None = None) -> list[Order]:
        """Resting orders, in one market or everywhere."""
        return [order for order in self.live.values() if slug in (None, order.market.slug)]

    def free_shares(self, key: Key) -> int:
        """Shares of an outcome that no resting order keeps busy, in whole lots."""
        kept = sum(o.reserved for o in self.live_orders(key[0]) if o.outcome == key[1] and not o.is_buy)
        return max(0, self.stakes[key].shares - kept) // LOT * LOT if key in self.stakes else 0

    def free_cash(self) -> int:
        """USDC that no resting order keeps busy."""
        return self.cash - sum(order.reserved for order in self.live_orders() if order.is_buy)

    def listed(self) -> list[Market]:
        """Markets the portfolio shows: something is held, or an order rests."""
        slugs = {slug for (slug, _), stake in self.stakes.items() if stake.shares}
        slugs |= {order.market.slug for order in self.live.values()}
        return sorted((self.markets[slug] for slug in slugs), key=lambda market: market.id)
