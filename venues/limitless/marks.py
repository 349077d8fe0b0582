"""Prices of everything the account holds or has ordered, in USD per share.

A resolved share is worth its payout. An open one is worth the middle of the YES book (NO: the mirror),
and where the book is empty (thin, or expired and not resolved yet) its last trade.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from venues.limitless import schemas
from venues.limitless.reading import Reading
from venues.limitless.units import OUTCOMES, price
from venues.model import Holding, Mark

ONE: Final = Decimal(1)
TWO: Final = Decimal(2)


def marks_of(reading: Reading, names: Iterable[str], holdings: dict[str, Holding]) -> dict[str, Mark]:
    """A mark for each named instrument of which any price is known."""
    traded = _last_trades(reading)
    found: dict[str, Mark] = {}
    for name in names:
        mark = _mark(reading, name, traded, holdings.get(name))
        if mark is not None:
            found[name] = mark
    return found


def _mark(reading: Reading, name: str, traded: dict[str, Decimal], holding: Holding | None) -> Mark | None:
    slug, _, side = name.rpartition(":")
    outcome, facts = OUTCOMES.index(side), reading.markets[slug]
    if facts.payout is not None:
        at_ms = facts.resolved_ms or facts.deadline_ms or reading.observed_ms
        return Mark(instrument=name, price=facts.payout[outcome], time_ms=at_ms)
    book = reading.books.get(slug)
    bid, ask = _touch(f"book:{slug}", book, outcome) if book is not None else (None, None)
    if bid is not None and ask is not None:
        return Mark(instrument=name, price=(bid + ask) / TWO, time_ms=reading.observed_ms, bid=bid, ask=ask)
    known = (
        _last_price(slug, book, outcome),
        traded.get(name),
        facts.prices[outcome] if facts.prices is not None else None,
        holding.average_entry_price if holding is not None else None,
    )
    last = next((value for value in known if value is not None), None)
    if last is None:
        return None
    return Mark(instrument=name, price=last, time_ms=reading.observed_ms, bid=bid, ask=ask)


def _touch(path: str, book: schemas.OrderBook, outcome: int) -> tuple[Decimal | None, Decimal | None]:
    """Best bid and ask of an outcome. The bid for NO is what remains of the best YES ask, and so on."""
    bids = [price(f"{path}.bids", level.price) for level in book.bids]
    asks = [price(f"{path}.asks", level.price) for level in book.asks]
    bid, ask = max(bids, default=None), min(asks, default=None)
    if outcome == 0:
        return bid, ask
    return (None if ask is None else ONE - ask), (None if bid is None else ONE - bid)


def _last_price(slug: str, book: schemas.OrderBook | None, outcome: int) -> Decimal | None:
    if book is None or book.last_trade_price is None:
        return None
    yes = price(f"book:{slug}.lastTradePrice", book.last_trade_price)
    return yes if outcome == 0 else ONE - yes


def _last_trades(reading: Reading) -> dict[str, Decimal]:
    """Last trade prices that the portfolio rows carry, by instrument."""
    found: dict[str, Decimal] = {}
    for index, row in enumerate(reading.clob):
        latest = row.latest_trade
        if latest is not None:
            for side, last in (("YES", latest.latest_yes_price), ("NO", latest.latest_no_price)):
                if last is not None:
                    path = f"positions.clob[{index}].latestTrade"
                    found[f"{row.market.slug}:{side}"] = price(path, last)
    for index, amm in enumerate(reading.portfolio.amm):
        if amm.latest_trade is not None and amm.latest_trade.outcome_token_price is not None:
            path, last = f"positions.amm[{index}].latestTrade", amm.latest_trade.outcome_token_price
            found[f"{amm.market.slug}:{OUTCOMES[amm.outcome_index]}"] = price(path, last)
    return found
