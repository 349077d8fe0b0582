"""The account's history as fills: trades, splits, merges, conversions, and the ends of positions.

Rule 1: a fill's id depends only on its transaction, instrument and direction, never on which answers
happened to be in the payload, so that it stays the same when an order's execution is no longer listed.
Rule 2: a trade counts once the venue's history lists it. The history and the balances come from the same
index of the chain; an order's execution is known earlier and only adds fee, net quantity and order id.
Rule 3: money adds up. A buyer's fee is taken in shares: the fill has the shares that arrived, the gross
price, and the missing shares at that price as its fee, so that quantity x price + fee is what was paid.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import msgspec

from venues.errors import Broken
from venues.limitless import schemas
from venues.limitless.reading import Reading
from venues.limitless.resolution import closing_fills, is_settlement
from venues.limitless.units import ZERO, amount, instrument, raw, row_shares, seconds
from venues.model import Fill

BOUGHT: Final = frozenset({"buy", "limit buy", "market buy"})
SOLD: Final = frozenset({"sell", "limit sell", "market sell"})
SETTLED: Final = frozenset({"MINED", "CONFIRMED"})
HALF: Final = Decimal("0.5")
UNIT: Final = Decimal("0.000001")


@dataclass(slots=True)
class Leg:
    """What rows of one transaction did to one instrument in one direction: shares and USDC, unsigned."""

    fill_id: str
    name: str
    is_buy: bool
    time_ms: int
    order: int  # position in the history, for rows of the same second
    shares: Decimal = ZERO
    usd: Decimal = ZERO
    derived: bool = False  # the price is our inference: the venue moved shares without naming one


@dataclass(slots=True)
class Executions:
    """The account's own taker executions by fill id, and the fills whose settlement failed."""

    totals: dict[str, list[tuple[schemas.Totals, str]]] = field(default_factory=lambda: defaultdict(list))
    failed: set[str] = field(default_factory=set)


def fills(reading: Reading) -> tuple[list[Fill], frozenset[str]]:
    """All fills oldest first, and the ids of those the venue took back. Raises Broken."""
    executions = _executions(reading)
    legs: dict[str, Leg] = {}
    for index, (path, row) in enumerate(reading.history):
        for leg in () if is_settlement(row) else _legs(path, row, -index):
            _merge(legs, leg)
    trades = [
        (leg, _fill(leg, executions))
        for leg in legs.values()
        if leg.shares and leg.fill_id not in executions.failed
    ]
    ordered = [fill for _, fill in sorted(trades, key=lambda pair: (pair[0].time_ms, pair[0].order))]
    made = [*ordered, *closing_fills(reading, ordered)]
    made.sort(key=lambda fill: (fill.time_ms, fill.kind != "trade"))
    return made, frozenset(executions.failed)


def _merge(legs: dict[str, Leg], leg: Leg) -> None:
    known = legs.setdefault(leg.fill_id, leg)
    if known is not leg:
        known.shares += leg.shares
        known.usd += leg.usd


def _legs(path: str, row: schemas.HistoryRow, order: int) -> list[Leg]:
    """What a trade row moved. Raises Broken for a strategy that moves shares and is not documented."""
    strategy = (row.strategy or "").lower()
    if strategy in BOUGHT or strategy in SOLD:
        return [_leg(path, row, order, _outcome(path, row), strategy in BOUGHT, _usd(path, row))]
    if strategy in ("split", "merge"):
        half = (
            row_shares(path, row) * HALF
        )  # a pair costs 1 USDC; the venue does not say which half costs what
        return [
            _leg(path, row, order, outcome, strategy == "split", half, derived=True) for outcome in (0, 1)
        ]
    if strategy == "convert":
        outcome, price = _outcome(path, row), _price(path, row)
        return [
            _leg(path, row, order, outcome, outcome == 0, row_shares(path, row) * price, derived=price == 0)
        ]
    if row.outcome_token_amount is None:
        return []  # rewards and the like move no shares
    raise Broken(f"{path}.strategy", "a documented strategy", repr(row.strategy))


def _leg(
    path: str,
    row: schemas.HistoryRow,
    order: int,
    outcome: int,
    is_buy: bool,
    usd: Decimal,
    *,
    derived: bool = False,
) -> Leg:
    if row.market is None:
        raise Broken(f"{path}.market", "object", "null")
    name, shares = instrument(row.market.slug, outcome), row_shares(path, row)
    direction = "buy" if is_buy else "sell"
    where = row.transaction_hash.lower() if row.transaction_hash else f"{row.block_timestamp}/{shares}/{usd}"
    return Leg(
        fill_id=f"{where}:{name}:{direction}",
        name=name,
        is_buy=is_buy,
        time_ms=seconds(f"{path}.blockTimestamp", row.block_timestamp),
        order=order,
        shares=shares,
        usd=usd,
        derived=derived,
    )


def _outcome(path: str, row: schemas.HistoryRow) -> int:
    if row.outcome_index is None:
        raise Broken(f"{path}.outcomeIndex", "0 or 1", "null")
    return row.outcome_index


def _usd(path: str, row: schemas.HistoryRow) -> Decimal:
    if row.collateral_amount is None:
        return row_shares(path, row) * _price(path, row)
    return abs(amount(f"{path}.collateralAmount", row.collateral_amount))


def _price(path: str, row: schemas.HistoryRow) -> Decimal:
    """The row's own price; 0 when it names none."""
    try:
        price = msgspec.json.decode(row.outcome_token_price, type=Decimal | None)
    except msgspec.DecodeError:
        return ZERO
    return ZERO if price is None else amount(f"{path}.outcomeTokenPrice", price)


def _executions(reading: Reading) -> Executions:
    known = Executions()
    for index, data in enumerate(reading.results):
        execution, order = data.execution, data.order
        is_failed = execution.settlement_status == "FAILED"
        is_taker = bool(data.maker_matches)  # a maker's execution adds up several transactions
        if execution.tx_hash is None or not (is_failed or is_taker):
            continue
        facts = reading.markets.get(order.market.slug) if order.market is not None else None
        outcome = facts.tokens.get(order.token_id) if facts is not None else None
        if facts is None or outcome is None:
            continue
        direction = "buy" if is_buy(f"status[{index}].order.side", order.side) else "sell"
        fill_id = f"{execution.tx_hash.lower()}:{instrument(facts.slug, outcome)}:{direction}"
        if is_failed:
            known.failed.add(fill_id)
        elif execution.settlement_status in SETTLED:
            known.totals[fill_id].append((execution.totals_raw, order.id))
    return known


def is_buy(path: str, side: str | int) -> bool:
    """Whether a side as the venue writes it (BUY, SELL, 0, 1) buys. Raises Broken."""
    text = str(side).upper()
    if text not in ("BUY", "SELL", "0", "1"):
        raise Broken(path, "BUY, SELL, 0 or 1", repr(side))
    return text in ("BUY", "0")


def _fill(leg: Leg, executions: Executions) -> Fill:
    shares, price, fee, order_id = leg.shares, leg.usd / leg.shares, ZERO, None
    known = executions.totals.get(leg.fill_id)
    if known:
        gross, net, paid, fee_shares, fee_usd = _sum(leg.fill_id, [totals for totals, _ in known])
        slack = UNIT * (len(known) + 1)
        if gross > 0 and min(abs(leg.shares - gross), abs(leg.shares - net)) <= slack:
            price = paid / gross
            shares, fee = (net if leg.is_buy else gross), fee_usd + fee_shares * price
            order_id = known[0][1] if len(known) == 1 else None
    return Fill(
        fill_id=leg.fill_id,
        instrument=leg.name,
        quantity=shares if leg.is_buy else -shares,
        price=price,
        time_ms=leg.time_ms,
        order_id=order_id,
        fee=fee,
        derived=leg.derived,
    )


def _sum(path: str, all_totals: list[schemas.Totals]) -> tuple[Decimal, Decimal, Decimal, Decimal, Decimal]:
    """Gross shares, net shares, gross USD, fee in shares, fee in USD."""
    columns = zip(
        *((t.contracts_gross, t.contracts_net, t.usd_gross, t.contracts_fee, t.usd_fee) for t in all_totals),
        strict=True,
    )
    gross, net, paid, fee_shares, fee_usd = (
        sum((raw(f"execution {path}", value) for value in column), ZERO) for column in columns
    )
    return gross, net, paid, fee_shares, fee_usd
