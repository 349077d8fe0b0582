"""The subgraph's tables over the exchange: rows are made when asked for, final ones only once.

A final order's row is kept without its pair, whose numbers go on changing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from venues.ostium.exchange import entities
from venues.ostium.exchange.accrual import LIQUIDATION_THRESHOLD
from venues.ostium.exchange.engine import Exchange
from venues.ostium.exchange.entities import Row
from venues.ostium.exchange.market import GROUPS
from venues.ostium.exchange.state import Limit, Order, PairState, Trade


class Tables:
    """One query's view: every pair's row is made at most once."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._pairs: dict[int, Row] = {}
        self._groups: dict[str, Row] = {}

    def pairs(self, where: Row) -> Iterable[Row]:
        """All pairs."""
        return (self._pair(state) for state in self._exchange.pairs.values())

    def trades(self, where: Row) -> Iterable[Row]:
        """Trades, open and closed."""
        trader, wanted = where.get("trader"), where.get("id")
        if wanted is not None:
            found = self._exchange.trades.get(_number(wanted))
            return [self._trade(found)] if found else []
        if trader is not None and where.get("isOpen") is True:
            return map(self._trade, self._exchange.open_trades.get(trader, {}).values())
        return map(self._trade, self._exchange.trades.values())

    def limits(self, where: Row) -> Iterable[Row]:
        """Limits, active and ended."""
        return map(self._limit, self._exchange.limits.values())

    def orders(self, where: Row) -> Iterable[Row]:
        """Orders, pending and settled."""
        trader, wanted = where.get("trader"), where.get("id")
        if wanted is not None:
            found = self._exchange.orders.get(_number(wanted))
            return [self._order(found)] if found else []
        if trader is not None and where.get("isPending") is True:
            return map(self._order, self._exchange.pending.get(trader, {}).values())
        if trader is not None:
            return map(self._order, self._exchange.orders_of.get(trader, ()))
        return map(self._order, self._exchange.orders.values())

    def meta_datas(self, where: Row) -> Iterable[Row]:
        """The protocol's one row of settings."""
        return [{"id": "ostium", "liqMarginThresholdP": str(LIQUIDATION_THRESHOLD)}]

    def _pair(self, state: PairState) -> Row:
        if state.pair.id not in self._pairs:
            self._pairs[state.pair.id] = entities.pair(state, self._group(state))
        return self._pairs[state.pair.id]

    def _group(self, state: PairState) -> Row:
        name = state.pair.group
        if name not in self._groups:
            members = [s for s in self._exchange.pairs.values() if s.pair.terms is GROUPS[name]]
            self._groups[name] = entities.group(name, members)
        return self._groups[name]

    def _trade(self, found: Trade) -> Row:
        return entities.trade(found, self._pair(found.pair))

    def _limit(self, found: Limit) -> Row:
        return entities.limit(found, self._pair(found.pair))

    def _order(self, found: Order) -> Row:
        if found.is_pending:
            return entities.order(found, self._pair(found.pair))
        if found.rendered is None:
            found.rendered = entities.order(found, {})
        return {**found.rendered, "pair": self._pair(found.pair)}


def _number(value: Any) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1
