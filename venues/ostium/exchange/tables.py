"""The subgraph's tables over the exchange: rows are made when asked for, those of final orders only once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from venues.ostium.exchange import entities
from venues.ostium.exchange.accrual import LIQUIDATION_THRESHOLD
from venues.ostium.exchange.engine import Exchange
from venues.ostium.exchange.entities import Row
from venues.ostium.exchange.market import GROUPS
from venues.ostium.exchange.state import Order, PairState


class Tables:
    """One query's view: every pair's row is made at most once."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._pairs: dict[int, Row] = {}
        self._groups: dict[str, Row] = {}

    def pairs(self, where: Row, newest: int | None = None) -> Iterable[Row]:
        """All pairs."""
        return map(self.pair, self._exchange.pairs)

    def trades(self, where: Row, newest: int | None = None) -> Iterable[Row]:
        """Trades, open and closed."""
        trader, wanted = where.get("trader"), where.get("id")
        if wanted is not None:
            found = self._exchange.trades.get(_number(wanted))
            return [entities.trade(found)] if found else []
        if trader is not None and where.get("isOpen") is True:
            return map(entities.trade, self._exchange.open_trades.get(trader, {}).values())
        return map(entities.trade, self._exchange.trades.values())

    def limits(self, where: Row, newest: int | None = None) -> Iterable[Row]:
        """Limits, active and ended."""
        return map(entities.limit, self._exchange.limits.values())

    def orders(self, where: Row, newest: int | None = None) -> Iterable[Row]:
        """Orders, pending and settled; where only the ``newest`` settled ones of a trader are wanted, not
        many more."""
        trader, wanted = where.get("trader"), where.get("id")
        if wanted is not None:
            found = self._exchange.orders.get(_number(wanted))
            return [_order(found)] if found else []
        if trader is not None and where.get("isPending") is True:
            return map(_order, self._exchange.pending.get(trader, {}).values())
        if trader is not None and newest is not None and where == {"trader": trader, "isPending": False}:
            return map(_order, _newest(self._exchange.settled_of.get(trader, []), newest))
        if trader is not None:
            return map(_order, self._exchange.orders_of.get(trader, ()))
        return map(_order, self._exchange.orders.values())

    def meta_datas(self, where: Row, newest: int | None = None) -> Iterable[Row]:
        """The protocol's one row of settings."""
        return [{"id": "ostium", "liqMarginThresholdP": str(LIQUIDATION_THRESHOLD)}]

    def pair(self, pair_id: int) -> Row:
        """The row that trades, limits and orders of a pair point to."""
        if pair_id not in self._pairs:
            state = self._exchange.pairs[pair_id]
            self._pairs[pair_id] = entities.pair(state, self._group(state))
        return self._pairs[pair_id]

    def _group(self, state: PairState) -> Row:
        name = state.pair.group
        if name not in self._groups:
            members = [s for s in self._exchange.pairs.values() if s.pair.terms is GROUPS[name]]
            self._groups[name] = entities.group(name, members)
        return self._groups[name]


def _newest(settled: list[Order], count: int) -> list[Order]:
    """The last ``count`` orders, and those settled in the same second as the first of them."""
    start = max(0, len(settled) - count)
    while 0 < start < len(settled) and settled[start - 1].executed_at == settled[start].executed_at:
        start -= 1
    return settled[start:]


def _order(found: Order) -> Row:
    if found.is_pending:
        return entities.order(found)
    if found.rendered is None:
        found.rendered = entities.order(found)
    return found.rendered


def _number(value: Any) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1
