"""The callbacks contract: what becomes of an order once the oracle has answered."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from venues.numbers import scaled
from venues.ostium import formulae
from venues.ostium.exchange import accrual
from venues.ostium.exchange.market import E18, day_trading
from venues.ostium.exchange.state import ALL, Limit, Order, Trade, block_at

if TYPE_CHECKING:
    from venues.ostium.exchange.engine import Exchange

Settle = Callable[["Exchange", Order, int], None]

ORACLE_FEE: Final = 100_000  # 0.10 USDC
REMOVAL_FEE: Final = 500_000  # 0.50 USDC
MAKER_MAX_LEVERAGE: Final = 2_000
VAULT_SHARE: Final = 30  # percent of the opening fee
PERCENT: Final = 100


def settle_open(exchange: Exchange, order: Order, at_ms: int) -> None:
    """MarketOpenExecuted or MarketOpenCanceled."""
    state = order.pair
    quote = exchange.market.quote(state.pair, at_ms)
    fill = quote.used(is_opening=True, is_long=order.is_buy)
    reason = None if quote.is_open else "MARKET_CLOSED"
    if reason is None and order.is_day_trade and day_trading(state.pair, at_ms)[0]:
        reason = "DAY_TRADE_NOT_ALLOWED"
    if reason is None and slipped(order, fill, order.is_buy):
        reason = "SLIPPAGE"
    reason = reason or _exit_reached(order, fill) or _too_much(order, state.max_oi)
    if reason is None:
        _open(exchange, order, fill, at_ms, trade_type="Market", mid=quote.mid)
        return
    assert order.collateral is not None
    order.oracle_fee = ORACLE_FEE
    exchange.receive(order.trader, order.collateral - ORACLE_FEE)
    exchange.vault += ORACLE_FEE
    exchange.finish(order, reason=reason)


def settle_limit(exchange: Exchange, order: Order, limit: Limit, at_ms: int) -> None:
    """LimitOpenExecuted, or AutomationOpenOrderCanceled: then the limit goes on resting."""
    quote = exchange.market.quote(order.pair.pair, at_ms)
    fill = quote.used(is_opening=True, is_long=order.is_buy)
    if not quote.is_open or not is_hit(limit, fill):
        limit.execution_started = False
        exchange.finish(order, reason="NOT_HIT" if quote.is_open else "MARKET_CLOSED")
        return
    order.collateral, order.leverage = limit.collateral, limit.leverage
    order.take_profit, order.stop_loss = limit.take_profit, limit.stop_loss
    order.is_day_trade = limit.is_day_trade
    order.builder, order.builder_fee = limit.builder, limit.builder_fee
    exchange.end_limit(limit, order.id)
    _open(exchange, order, fill, at_ms, trade_type=limit.limit_type.capitalize(), mid=quote.mid)


def settle_close(exchange: Exchange, order: Order, at_ms: int) -> None:
    """MarketCloseExecutedV2 or MarketCloseCanceled."""
    trade = exchange.trades[order.trade_id or 0]
    if not trade.is_open:
        exchange.finish(order, reason="NO_TRADE")
        return
    trade.close_initiated = False
    quote = exchange.market.quote(order.pair.pair, at_ms)
    fill = quote.used(is_opening=False, is_long=trade.is_buy)
    reason = None if quote.is_open else "MARKET_CLOSED"
    if reason is None and slipped(order, fill, not trade.is_buy):
        reason = "SLIPPAGE"
    if reason is not None:
        _charge_oracle(exchange, order)
        exchange.finish(order, reason=reason)
        return
    if (order.close_percent or ALL) < ALL:
        _charge_oracle(exchange, order)
    close(exchange, order, trade, fill, order.close_percent or ALL, quote.mid)


def settle_removal(exchange: Exchange, order: Order, at_ms: int) -> None:
    """RemoveCollateralExecuted or RemoveCollateralRejected."""
    trade = exchange.trades[order.trade_id or 0]
    if not trade.is_open or order.remove_amount >= trade.collateral:
        exchange.finish(order, reason="NO_TRADE")
        return
    accrual.accrue(trade.pair, block_at(at_ms))
    quote = exchange.market.quote(trade.pair.pair, at_ms)
    rest = trade.collateral - order.remove_amount
    leverage = trade.collateral * trade.leverage // rest
    worth = value(trade, quote.used(is_opening=False, is_long=trade.is_buy)) - order.remove_amount
    highest = trade.pair.pair.terms.overnight_max_leverage or trade.pair.pair.terms.max_leverage
    reason = None if quote.is_open else "MARKET_CLOSED"
    if reason is None and leverage > highest:
        reason = "MAX_LEVERAGE"
    if reason is None and worth <= accrual.liquidation_margin(trade) * 2:
        reason = "UNDER_LIQUIDATION"
    if reason is not None:
        exchange.finish(order, reason=reason)
        return
    trade.collateral, trade.leverage = rest, leverage
    trade.highest_leverage = max(trade.highest_leverage, leverage)
    if trade.stop_loss != clamp_stop(trade.open_price, leverage, trade.stop_loss, trade.is_buy):
        trade.stop_loss = 0
    order.oracle_fee = REMOVAL_FEE
    exchange.vault += REMOVAL_FEE
    exchange.receive(order.trader, order.remove_amount - REMOVAL_FEE)
    exchange.refresh(trade)
    exchange.finish(order)


def keeper_close(exchange: Exchange, trade: Trade, action: str, at_ms: int) -> None:
    """LimitCloseExecuted: take-profit, stop-loss, liquidation or the end of the session."""
    quote = exchange.market.quote(trade.pair.pair, at_ms)
    order = exchange.new_order(trade.trader, trade.pair, "Limit", action, is_buy=trade.is_buy)
    order.trade_id, order.close_percent, order.leverage = trade.id, ALL, trade.leverage
    fill = quote.used(is_opening=False, is_long=trade.is_buy)
    order.price = {"TakeProfit": trade.take_profit, "StopLoss": trade.stop_loss}.get(action, fill)
    close(exchange, order, trade, fill, ALL, quote.mid)


def close(exchange: Exchange, order: Order, trade: Trade, fill: int, percent: int, mid: Decimal) -> None:
    """Pay out ``percent`` (1e2) of the trade at ``fill``; one that is worth too little is liquidated."""
    accrual.accrue(trade.pair, block_at(exchange.timeline.now_ms))
    if value(trade, fill) <= accrual.liquidation_margin(trade):
        order.order_action, percent = "Liquidation", ALL
    part = trade.collateral * percent // ALL
    notional = trade.notional * percent // ALL
    rollover, funding = accrual.costs(trade, part)
    profit = accrual.profit_percent(trade, fill)
    gained = int(Decimal(part) * profit / PERCENT)
    worth = part + gained - rollover - funding
    paid = 0 if order.order_action == "Liquidation" else max(0, worth)
    order.liquidation_fee = max(0, worth) if order.order_action == "Liquidation" else 0
    order.price_after_impact, order.price_impact = fill, _impact(mid, fill)
    order.close_percent, order.collateral, order.trade_notional = percent, part, notional
    order.notional = part * trade.leverage // 100
    order.rollover_fee, order.funding_fee, order.amount_sent = rollover, funding, paid
    order.profit_percent = int(profit * 100)
    order.total_profit_percent = max(-ALL, (worth - part) * ALL // part) if part else 0
    exchange.receive(trade.trader, paid)
    exchange.vault += part - paid
    exchange.change_oi(trade, -notional)
    trade.pair.last_trade_price = fill
    trade.collateral, trade.notional = trade.collateral - part, trade.notional - notional
    if percent == ALL:
        trade.close_price = fill
        exchange.unregister(trade)
    else:
        exchange.refresh(trade)
    exchange.finish(order)


def value(trade: Trade, fill: int) -> int:
    """What the whole trade would pay at ``fill``, USDC × 1e6, before any floor; the pair is up to date."""
    gained = int(Decimal(trade.collateral) * accrual.profit_percent(trade, fill) / PERCENT)
    return trade.collateral + gained - sum(accrual.costs(trade, trade.collateral))


def is_hit(limit: Limit, fill: int) -> bool:
    """LIMIT waits for a price at least as good, STOP for the market to get there."""
    if (limit.limit_type == "LIMIT") == limit.is_buy:
        return fill <= limit.price
    return fill >= limit.price


def slipped(order: Order, fill: int, is_buying: bool) -> bool:
    """True when the fill is worse than the wanted price by more than the slippage (percent × 1e2)."""
    wanted = order.price or fill
    if is_buying:
        return fill * ALL > wanted * (ALL + order.slippage)
    return fill * ALL < wanted * (ALL - order.slippage)


def clamp_stop(open_price: int, leverage: int, stop: int, is_buy: bool) -> int:
    """The stop-loss, moved to the widest one allowed where it is further away; 0 stays none."""
    if not stop:
        return 0
    widest = int(formulae.widest_stop_loss(Decimal(open_price), scaled(leverage, 2), is_long=is_buy))
    return max(stop, widest) if is_buy else min(stop, widest)


def opening_fee(order: Order, size: int) -> int:
    """USDC × 1e6 for opening ``size`` (1e6): the part that evens the pair's skew pays the maker fee."""
    state, terms = order.pair, order.pair.pair.terms
    skew = (state.long_oi - state.short_oi) * state.last_trade_price // E18 // 10**12
    evens = (skew < 0) == order.is_buy and skew != 0
    maker = min(size, abs(skew)) if evens and (order.leverage or 0) <= MAKER_MAX_LEVERAGE else 0
    return (terms.maker_fee_p * maker + terms.taker_fee_p * (size - maker)) // 10**8


def _open(exchange: Exchange, order: Order, fill: int, at_ms: int, *, trade_type: str, mid: Decimal) -> None:
    assert order.collateral is not None
    assert order.leverage is not None
    state = order.pair
    accrual.accrue(state, block_at(at_ms))
    size = order.collateral * order.leverage // 100
    fee = opening_fee(order, size)
    builder_fee = size * order.builder_fee // 10**8
    order.vault_fee = fee * VAULT_SHARE // 100
    order.dev_fee, order.builder_fee = fee - order.vault_fee, builder_fee
    exchange.vault += fee + builder_fee
    order.collateral -= fee + builder_fee
    order.notional = order.collateral * order.leverage // 100
    order.trade_notional = order.notional * 10**12 * E18 // fill
    order.price = order.price or fill
    order.price_after_impact, order.price_impact = fill, _impact(mid, fill)
    order.trade_id, state.last_trade_price = order.id, fill
    trade = _new_trade(exchange, order, fill, at_ms, trade_type)
    exchange.register(trade)
    exchange.finish(order)


def _new_trade(exchange: Exchange, order: Order, fill: int, at_ms: int, trade_type: str) -> Trade:
    assert order.collateral is not None
    assert order.leverage is not None
    assert order.trade_notional is not None
    state, is_buy, leverage = order.pair, order.is_buy, scaled(order.leverage, 2)
    furthest = int(formulae.default_take_profit(Decimal(fill), leverage, is_long=is_buy))
    wanted = order.take_profit
    too_far = not wanted or (wanted > furthest if is_buy else wanted < furthest)
    return Trade(
        id=order.id,
        trader=order.trader,
        pair=state,
        index=exchange.free_trade_slot(order.trader, state.pair.id),
        trade_type=trade_type,
        is_buy=is_buy,
        is_day_trade=order.is_day_trade,
        collateral=order.collateral,
        leverage=order.leverage,
        highest_leverage=order.leverage,
        notional=order.trade_notional,
        open_price=fill,
        take_profit=furthest if too_far else wanted,
        stop_loss=clamp_stop(fill, order.leverage, order.stop_loss, is_buy),
        funding=state.acc_funding_long if is_buy else state.acc_funding_short,
        rollover=state.acc_rollover,
        timestamp=at_ms // 1000,
        block=block_at(at_ms),
    )


def _exit_reached(order: Order, fill: int) -> str | None:
    if order.take_profit and (fill >= order.take_profit) == order.is_buy:
        return "TP_REACHED"
    if order.stop_loss and (fill <= order.stop_loss) == order.is_buy:
        return "SL_REACHED"
    return None


def _too_much(order: Order, max_oi: int) -> str | None:
    state, size = order.pair, order.notional or 0
    side = state.long_oi if order.is_buy else state.short_oi
    usd = side * state.last_trade_price // E18 // 10**12
    return "EXPOSURE_LIMITS" if usd + size > max_oi else None


def _charge_oracle(exchange: Exchange, order: Order) -> None:
    charged = min(ORACLE_FEE, exchange.wallets[order.trader])
    exchange.pay(order.trader, charged)
    exchange.vault += charged
    order.oracle_fee = charged


def _impact(mid: Decimal, fill: int) -> int:
    """Percent × 1e2 between the mid price and the fill."""
    middle = int(mid.scaleb(18))
    return abs(fill - middle) * ALL // middle
