"""Limitless payloads into Snapshots: pure, exact, and loud about answers it does not understand.

Invariant: quantities are shares, prices are USD per share between 0 and 1, and a share of NO is a long
position in NO, never a short one in YES.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from venues.limitless import history
from venues.limitless.holdings import holdings_of
from venues.limitless.marks import marks_of
from venues.limitless.orders import orders_of
from venues.limitless.reading import Reading, read
from venues.limitless.resolution import unredeemed
from venues.limitless.units import DUST
from venues.model import Holding, Instrument, Mark, Payload, Snapshot

LOT: Final = Decimal("0.001")  # order sizes come in thousandths of a share
DEFAULT_FEE_BPS: Final = 300  # the venue's ceiling for an account whose rank is not known
BPS: Final = Decimal(10_000)


def normalise(payload: Payload) -> Snapshot:
    """One account's picture. Raises Broken with the field path."""
    reading = read(payload)
    fills, voided = history.fills(reading)
    holdings, orders = holdings_of(reading), orders_of(reading)
    resting = [order.instrument for order in orders if order.status == "open"]
    closed = [fill.instrument for fill in fills if fill.kind != "trade"]
    marks = marks_of(reading, dict.fromkeys((*holdings, *resting, *closed)), holdings)
    names = (*holdings, *(order.instrument for order in orders), *(fill.instrument for fill in fills))
    return Snapshot(
        venue=payload.venue,
        account=payload.account,
        observed_ms=payload.observed_ms,
        instruments=tuple(_instruments(reading, names)),
        fills=tuple(fills),
        voided_fills=voided,
        holdings=tuple(holdings.values()),
        orders=tuple(orders),
        marks=tuple(marks.values()),
        equity_usd=_equity(reading, holdings, marks),
    )


def _instruments(reading: Reading, names: Iterable[str]) -> Iterable[Instrument]:
    rank = reading.profile.rank if reading.profile is not None else None
    fee = Decimal(rank.fee_rate_bps if rank is not None else DEFAULT_FEE_BPS) / BPS
    for name in dict.fromkeys(names):
        slug, _, side = name.rpartition(":")
        facts = reading.markets[slug]
        yield Instrument(
            name=name,
            base=name,
            quote="USDC",
            display=f"{facts.title or slug} ({side})",
            fee=Decimal(0) if facts.is_amm else fee,
            lot=LOT,
            dust=DUST,
        )


def _equity(reading: Reading, holdings: dict[str, Holding], marks: dict[str, Mark]) -> Decimal | None:
    """USDC in the wallet (orders only reserve it) plus every share at its mark; None without the wallet."""
    if reading.cash is None:
        return None
    worth = sum(
        (holding.quantity * marks[name].price for name, holding in holdings.items() if name in marks),
        Decimal(0),
    )
    return reading.cash + worth + unredeemed(reading)
