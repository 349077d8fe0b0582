"""What a normaliser gives: one account's complete picture at one moment, in venue-neutral terms.

Rule 1: amounts are Decimals parsed from the venue's text; they never pass through a float.
Rule 2: quantities are signed base units (coins, contracts, shares): positive is long, negative short.
Rule 3: a Snapshot is complete. What it does not list does not exist at the venue any more; a client
that could not read everything raises instead (see ``holdings_complete`` for the one exception).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

FillKind = Literal["trade", "expiry", "resolution", "liquidation", "redemption", "transfer"]
OrderStatus = Literal["open", "filled", "cancelled", "rejected"]

ZERO = Decimal(0)


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """A venue's raw answers for one account: ``parts`` maps a part's name to the body as it came.

    ``since_ms`` is what the poller asked for (None: everything). A capture file holds exactly this.
    """

    venue: str
    account: str
    observed_ms: int
    since_ms: int | None = None
    parts: dict[str, bytes] = {}


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is traded. ``name`` is unique at the venue (``FUEL/USDC``, ``BTC-USD``,
    ``<slug>:YES``, ``WETH/USDC-250207080-3600-C``). ``vanta_pair`` is the id of Vanta's own pair when it
    is the very same instrument (Ostium's BTC-USD is BTCUSD). ``fee`` is the taker fee as a fraction.
    ``lot`` is the smallest size; a quantity below ``max(lot, dust)`` counts as flat. ``can_short`` False
    (spot, prediction shares): a sale of more than is known comes from a deposit nobody told us about."""

    name: str
    base: str
    quote: str
    display: str | None = None
    vanta_pair: str | None = None
    fee: Decimal = ZERO
    min_leverage: Decimal = ZERO
    max_leverage: Decimal = Decimal(1)
    lot: Decimal = ZERO
    dust: Decimal = ZERO
    can_short: bool = True


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution. ``quantity`` is the signed change of the holding, ``price`` quote per unit (may be
    negative for a leg of an Ithaca strategy), ``fee`` USD (negative is a rebate), ``notional_usd`` the
    unsigned USD notional when it is not ``|quantity| * price`` (options). ``position_id`` is the venue's
    own position id; None where the venue nets by instrument. Every kind but ``trade`` and ``transfer``
    closes the position for good (FLAT)."""

    fill_id: str
    instrument: str
    quantity: Decimal
    price: Decimal
    time_ms: int
    position_id: str | None = None
    order_id: str | None = None
    fee: Decimal = ZERO
    notional_usd: Decimal | None = None
    kind: FillKind = "trade"
    derived: bool = False
    bid: Decimal | None = None
    ask: Decimal | None = None


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue says the account holds now. Where it disagrees with the fold of the fills by more
    than a lot, the holding wins: one ``derived`` order explains the difference.
    ``average_entry_price`` None: the venue does not say. ``fees``/``realized_pnl``: USD, as reported."""

    instrument: str
    quantity: Decimal
    position_id: str | None = None
    average_entry_price: Decimal | None = None
    opened_ms: int | None = None
    realized_pnl: Decimal | None = None
    fees: Decimal | None = None
    status: str | None = None
    notional_price: Decimal | None = None  # USD notional per unit where it is not the price (options)


class VenueOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order of the account: resting, or recently filled or cancelled where the venue lists those.
    ``quantity`` is the signed original size, ``filled`` the unsigned part executed so far."""

    order_id: str
    instrument: str
    quantity: Decimal
    price: Decimal
    created_ms: int
    updated_ms: int | None = None
    filled: Decimal = ZERO
    status: OrderStatus = "open"
    position_id: str | None = None
    is_stop: bool = False
    reduce_only: bool = False
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    notional_price: Decimal | None = None
    venue_status: str | None = None


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument's price in its quote currency (USD and USD stablecoins count as one)."""

    instrument: str
    price: Decimal
    time_ms: int
    bid: Decimal | None = None
    ask: Decimal | None = None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One account, complete, at one moment.

    ``fills`` oldest first; those the poller already knows may be repeated. ``voided_fills`` are fills
    the venue took back (settlement failed, reorg). ``holdings_complete`` False means an instrument that
    is not listed says nothing (the venue's list is known to lag); then only fills close positions.
    """

    venue: str
    account: str
    observed_ms: int
    instruments: tuple[Instrument, ...] = ()
    fills: tuple[Fill, ...] = ()
    voided_fills: frozenset[str] = frozenset()
    holdings: tuple[Holding, ...] = ()
    holdings_complete: bool = True
    orders: tuple[VenueOrder, ...] = ()
    marks: tuple[Mark, ...] = ()
    equity_usd: Decimal | None = None
