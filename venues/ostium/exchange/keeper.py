"""Keepers: they watch the price for resting limits, take-profits, stop-losses and liquidations."""

from __future__ import annotations

from typing import Final

from venues.ostium.exchange import accrual, settlement
from venues.ostium.exchange.engine import Exchange
from venues.ostium.exchange.market import Quote, day_trading
from venues.ostium.exchange.state import Limit, Trade, block_at
from venues.world import DAY_MS, HISTORY_DAYS, HOUR_MS, draw

HISTORY_STEP_MS: Final = 15 * 60_000
LIVE_STEP_MS: Final = 3_000
RECHECK_MS: Final = 12 * HOUR_MS  # running costs move the liquidation price only slowly


class Keeper:
    """Looks at everything that can trigger, every three seconds (every quarter of an hour in the past)."""

    def __init__(self, exchange: Exchange, origin_ms: int) -> None:
        self._exchange = exchange
        self._live_from_ms = origin_ms + HISTORY_DAYS * DAY_MS
        exchange.timeline.at(origin_ms, self.look)

    def look(self, at_ms: int) -> None:
        """One look at all books, and the plan of the next."""
        step = HISTORY_STEP_MS if at_ms < self._live_from_ms else LIVE_STEP_MS
        self._exchange.timeline.at(at_ms + step, self.look)
        for book in list(self._exchange.open_trades.values()):
            for trade in list(book.values()):
                self._look_at_trade(trade, at_ms)
        for limits in list(self._exchange.active_limits.values()):
            for limit in list(limits.values()):
                self._look_at_limit(limit, at_ms)

    def _look_at_trade(self, trade: Trade, at_ms: int) -> None:
        exchange = self._exchange
        quote = exchange.market.quote(trade.pair.pair, at_ms)
        if not quote.is_open:
            return
        if at_ms - trade.liquidation_checked_ms > RECHECK_MS:
            accrual.accrue(trade.pair, block_at(at_ms))
            exchange.refresh(trade)
        action = _due(trade, quote) or _session_end(trade, at_ms)
        if action is not None:
            settlement.keeper_close(exchange, trade, action, at_ms)

    def _look_at_limit(self, limit: Limit, at_ms: int) -> None:
        exchange = self._exchange
        quote = exchange.market.quote(limit.pair.pair, at_ms)
        fill = quote.used(is_opening=True, is_long=limit.is_buy)
        if limit.execution_started or not quote.is_open or not settlement.is_hit(limit, fill):
            return
        limit.execution_started = True
        order = exchange.new_order(limit.trader, limit.pair, "Limit", "Open", is_buy=limit.is_buy)
        order.limit_id, order.price = limit.id, limit.price
        order.collateral, order.leverage = limit.collateral, limit.leverage
        delay_ms = 600 + int(1000 * draw(exchange.seed, "oracle", order.id))
        exchange.timeline.at(at_ms + delay_ms, lambda ms: settlement.settle_limit(exchange, order, limit, ms))


def _due(trade: Trade, quote: Quote) -> str | None:
    fill = quote.used(is_opening=False, is_long=trade.is_buy)
    sign = 1 if trade.is_buy else -1
    if trade.take_profit and sign * (fill - trade.take_profit) >= 0:
        return "TakeProfit"
    if sign * (fill - trade.liquidation_price) <= 0:
        return "Liquidation"
    if trade.stop_loss and sign * (fill - trade.stop_loss) <= 0:
        return "StopLoss"
    return None


def _session_end(trade: Trade, at_ms: int) -> str | None:
    if not trade.is_day_trade:
        return None
    is_closed, _ = day_trading(trade.pair.pair, at_ms)
    return "CloseDayTrade" if is_closed else None
