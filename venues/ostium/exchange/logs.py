"""The callbacks contract's events: how an order was settled, as logs."""

from __future__ import annotations

from typing import Any, Final

from venues.ostium import abi
from venues.ostium.abi import Value
from venues.ostium.exchange.engine import Exchange
from venues.ostium.exchange.state import ALL, Order, Trade
from venues.ostium.symbols import CANCEL_REASONS

CALLBACKS: Final = "0x" + "cb" * 20
MOST: Final = 1000
AUTOMATION: Final = {"TakeProfit": 0, "StopLoss": 1, "Liquidation": 2, "CloseDayTrade": 4}

Log = dict[str, Any]
Event = tuple[str, tuple[Value, ...], tuple[Value, ...]]  # name, further topics, data


def matching(exchange: Exchange, *, address: Any, topics: list[Any], first: int, last: int) -> list[Log]:
    """Settlements of blocks ``first`` to ``last`` that fit the filter, newest order last."""
    addresses = [address] if isinstance(address, str) else address or [CALLBACKS]
    if CALLBACKS not in {str(each).lower() for each in addresses}:
        return []
    candidates = _candidates(exchange, topics)
    found = [
        _log(order, event)
        for order in candidates
        if not order.is_pending and first <= (order.executed_block or 0) <= last
        if (event := _event(exchange, order)) is not None
    ]
    return [log for log in found if _fits(log, topics)][:MOST]


def trade_fields(trade: Trade) -> tuple[Value, ...]:
    """The contract's Trade struct."""
    return (
        trade.collateral, trade.open_price, trade.take_profit, trade.stop_loss, trade.trader,
        trade.leverage, trade.pair.pair.id, trade.index, trade.is_buy, trade.is_day_trade,
    )  # fmt: skip


def _candidates(exchange: Exchange, topics: list[Any]) -> list[Order]:
    wanted = topics[1] if len(topics) > 1 else None
    if isinstance(wanted, str):
        try:
            order = exchange.orders.get(int(wanted, 16))
        except ValueError:
            return []
        return [order] if order else []
    return list(exchange.orders.values())


def _event(exchange: Exchange, order: Order) -> Event | None:
    """None for what happened in another contract (margin)."""
    if order.order_action == "RemoveCollateral":
        return None
    if order.is_cancelled:
        return _cancelled(exchange, order)
    impact = (order.price_impact or 0) * 10**16
    if order.order_action == "Open":
        fields = _opened(exchange, order)
        if order.order_type == "Market":
            return "MarketOpenExecuted", (), (*fields, impact, order.trade_notional or 0)
        slot = int((order.limit_id or "_0").rsplit("_", 1)[1])
        return "LimitOpenExecuted", (), (slot, *fields, impact, order.trade_notional or 0)
    trade_id, price = order.trade_id or 0, order.price_after_impact or 0
    percent, sent = (order.profit_percent or 0) * 10**4, order.amount_sent or 0
    if order.order_action == "Close":
        return (
            "MarketCloseExecutedV2",
            (trade_id,),
            (price, impact, percent, sent, order.close_percent or ALL),
        )
    kind = AUTOMATION[order.order_action]
    return "LimitCloseExecuted", (trade_id,), (kind, price, impact, percent, sent)


def _opened(exchange: Exchange, order: Order) -> tuple[Value, ...]:
    """The trade as it was when it was opened."""
    trade = exchange.trades[order.id]
    return (
        order.collateral or 0, order.price_after_impact or 0, order.take_profit, order.stop_loss,
        order.trader, order.leverage or 0, trade.pair.pair.id, trade.index, trade.is_buy,
        trade.is_day_trade,
    )  # fmt: skip


def _cancelled(exchange: Exchange, order: Order) -> Event:
    reason = CANCEL_REASONS.index(order.cancel_reason or "NONE")
    pair_id = order.pair.pair.id
    if order.order_action == "Open":
        name = "MarketOpenCanceled" if order.order_type == "Market" else "AutomationOpenOrderCanceled"
        return name, (order.trader, pair_id), (reason,)
    trade_id = order.trade_id or 0
    index = exchange.trades[trade_id].index
    return "MarketCloseCanceled", (trade_id, order.trader), (pair_id, index, reason)


def _log(order: Order, event: Event) -> Log:
    name, topics, data = event
    return {
        "address": CALLBACKS,
        "topics": [abi.topic(name), *("0x" + abi.word(value) for value in (order.id, *topics))],
        "data": "0x" + abi.words(data),
        "blockNumber": hex(order.executed_block or 0),
        "blockHash": order.executed_tx,
        "transactionHash": order.executed_tx,
        "transactionIndex": "0x0",
        "logIndex": "0x0",
        "removed": False,
    }


def _fits(log: Log, topics: list[Any]) -> bool:
    for position, wanted in enumerate(topics):
        if wanted is None:
            continue
        allowed = {str(each).lower() for each in (wanted if isinstance(wanted, list) else [wanted])}
        if position >= len(log["topics"]) or log["topics"][position] not in allowed:
            return False
    return True
