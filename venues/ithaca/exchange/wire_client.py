"""Routes that tell a client of itself; all need a session."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from venues.ithaca.exchange import collateral, fees, views, views_market
from venues.ithaca.exchange.collateral import Lock
from venues.ithaca.exchange.failure import Failure, malformed, refuse
from venues.ithaca.exchange.ledger import Account, Leg
from venues.ithaca.exchange.market import PAIR_BY_NAME, PRICE_STEP, quote_time
from venues.ithaca.exchange.wire import Call, Route
from venues.world import DAY_MS

MAX_HISTORY: Final = 1000
FILTERS: Final = (None, "NO_DETAILS", views.SHOW_ORDERS, "COMBINE_STRATEGIES")


def order_book(call: Call) -> Any:
    """Open orders of all clients; only the first account is a market maker here."""
    if call.account().index != 0:
        refuse("INVALID_ACCOUNT", "not flagged as MARKET_MAKER")
    return views_market.order_book(call.world.accounts, call.now_ms)


def matched_orders(call: Call) -> Any:
    """Orders executed within the last day."""
    account = call.account()
    first = bisect_left(account.done_ms, call.now_ms - DAY_MS)
    filled = [one for one in account.done[first:] if one.status == "FILLED"]
    return views.orders(account, filled, call.now_ms)


def open_orders(call: Call) -> Any:
    account = call.account()
    return views.orders(account, account.live.values(), call.now_ms)


def open_orders_with_lock_info(call: Call) -> Any:
    return views.open_with_locks(call.account(), _pair(call), call.now_ms)


def order_status(call: Call) -> Any:
    account, wanted = call.account(), call.field("clientOrderId", int)
    if wanted not in account.by_id:
        refuse("INVALID_ORDER_ID", "no such order")
    return views.order(account.by_id[wanted], account.client_id, call.now_ms)


def current_positions(call: Call) -> Any:
    return views.positions(call.account(), _filter(call), call.now_ms)


def current_positions_for_contract(call: Call) -> Any:
    account, wanted = call.account(), call.field("contractId", int)
    return views.position_of(account, wanted, _filter(call), call.now_ms)


def fund_lock_state(call: Call) -> Any:
    return views.fund_lock_state(call.account())


def locked_collateral(call: Call) -> Any:
    return views.locked_collateral(call.account())


def historical_positions(call: Call) -> Any:
    _filter(call)
    return views.historical(call.account(), call.field("expiry", int))


def historical_positions_by_date(call: Call) -> Any:
    from_ms = call.field("from", int, optional=True)
    to_ms = call.field("to", int, optional=True)
    return views.historical_between(call.account(), from_ms, to_ms, call.now_ms)


def trade_history(call: Call) -> Any:
    """Finished orders, newest first, by the stamp of what finished them."""
    account = call.account()
    from_ms = call.field("from", int, optional=True)
    to_ms = call.field("to", int, optional=True)
    offset = call.field("offset", int, optional=True) or 0
    limit = call.field("limit", int, optional=True) or MAX_HISTORY
    status = call.field("status", str, optional=True)
    if offset < 0 or not 0 < limit <= MAX_HISTORY:
        malformed(f"limit: expected 1 to {MAX_HISTORY}")
    first = 0 if from_ms is None else bisect_left(account.done_ms, from_ms)
    last = len(account.done) if to_ms is None else bisect_right(account.done_ms, to_ms)
    chosen = [one for one in reversed(account.done[first:last]) if status in (None, one.status)]
    return views.orders(account, chosen[offset : offset + limit], call.now_ms)


def net_asset_value(call: Call) -> Any:
    return views.net_asset_value(call.account(), call.world.market, quote_time(call.now_ms))


def portfolio_collateral(call: Call) -> Any:
    return views.portfolio_collateral(call.account(), _pair(call))


def estimate_order_lock(call: Call) -> Any:
    call.account()
    legs, net = _order(call, call.body)
    return views.estimated(legs, net).wire(legs[0].listing.pair.name)


def estimate_positioned_order_lock(call: Call) -> Any:
    return _positioned(call, [call.body])


def estimate_positioned_orders_lock(call: Call) -> Any:
    if not isinstance(call.body, list) or not call.body:
        malformed("expected a list of orders")
    return _positioned(call, call.body)


def estimate_order_payoff(call: Call) -> Any:
    """Profit at settlement prices around the strikes, less the premium."""
    call.account()
    legs, net = _order(call, call.body)
    spot = call.world.market.spot(legs[0].listing.pair, call.now_ms)
    strikes = {leg.listing.strike for leg in legs if leg.listing.strike is not None} or {spot}
    low, high = min(strikes) * Decimal("0.9"), max(strikes) * Decimal("1.1")
    points = {low, high, *strikes, *(strike + PRICE_STEP for strike in strikes)}
    return {
        f"{point:.4f}": float(
            round(sum(leg.sign * leg.original * leg.listing.pays(point) for leg in legs) - net, 4)
        )
        for point in sorted(points)
    }


def estimate_order_fees(call: Call) -> Any:
    call.account()
    legs, _ = _order(call, call.body)
    at_ms = quote_time(call.now_ms)
    quotes = [call.world.market.quote(leg.listing, at_ms) for leg in legs]
    parts = [fees.Part(leg.listing, leg.original, quote.mid) for leg, quote in zip(legs, quotes, strict=True)]
    return Lock(Decimal(0), fees.fee_of(parts)).wire(legs[0].listing.pair.name)


def _pair(call: Call) -> str:
    pair = call.query.get("currencyPair", "WETH/USDC")
    if pair not in PAIR_BY_NAME:
        malformed("currencyPair: unknown")
    return pair


def _filter(call: Call) -> str | None:
    chosen: str | None = call.field("filter", str, optional=True)
    if chosen not in FILTERS:
        malformed("filter: unknown")
    return chosen


def _positioned(call: Call, bodies: Sequence[Any]) -> Any:
    """What the orders would lock beyond what is locked already; alone for another address."""
    account: Account = call.account()
    orders = [_order(call, body) for body in bodies]
    pair = orders[0][0][0].listing.pair.name
    is_mine = str(bodies[0].get("clientEthAddress", "")).lower() == account.address
    before = collateral.held(account, pair) if is_mine else []
    wanted = [(leg.listing, leg.sign * leg.original) for legs, _ in orders for leg in legs]
    now, after = collateral.lock_by_expiry(before), collateral.lock_by_expiry([*before, *wanted])
    premium = sum((max(net, Decimal(0)) for _, net in orders), Decimal(0))
    more = Lock(after.underlier - now.underlier, after.numeraire - now.numeraire + premium)
    return more.wire(pair)


def _order(call: Call, body: Any) -> tuple[list[Leg], Decimal]:
    """Legs and net price of an unsigned order. Raises Failure with the venue's code."""
    if not isinstance(body, Mapping) or not isinstance(body.get("legs"), list) or not body["legs"]:
        refuse("INVALID_ORDER_LEGS", "an order needs legs")
    legs = [_leg(call, leg) for leg in body["legs"]]
    if len({leg.listing.id for leg in legs}) != len(legs):
        refuse("INVALID_ORDER_LEGS", "a contract is repeated")
    return legs, _number(body.get("totalNetPrice"), "INVALID_ORDER_PRICE")


def _leg(call: Call, body: Any) -> Leg:
    if not isinstance(body, Mapping) or not isinstance(body.get("contractId"), int):
        refuse("INVALID_CONTRACT_ID", "no contract")
    listing = call.world.market.listing(body["contractId"])
    if listing is None or not listing.wire(call.now_ms)["tradeable"]:
        refuse("INVALID_CONTRACT_ID", "not traded")
    if body.get("side") not in ("BUY", "SELL"):
        refuse("INVALID_ORDER_SIDE", "BUY or SELL")
    quantity = _number(body.get("quantity"), "INVALID_ORDER_QTY")
    if quantity <= 0:
        refuse("INVALID_ORDER_QTY", "more than nothing")
    return Leg(listing, 1 if body["side"] == "BUY" else -1, quantity)


def _number(value: Any, code: str) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise Failure(412, code, "not a number") from None
    if not number.is_finite() or abs(number) > 10**12:
        refuse(code, "out of range")
    return number


ROUTES: Final[dict[str, Route]] = {
    "POST /clientapi/orderbook": order_book,
    "POST /clientapi/getOrderbook": order_book,
    "POST /clientapi/matchedOrders": matched_orders,
    "POST /clientapi/clientOpenOrders": open_orders,
    "POST /clientapi/clientOpenOrdersWithLockInfo": open_orders_with_lock_info,
    "POST /clientapi/orderStatus": order_status,
    "POST /clientapi/clientCurrentPositions": current_positions,
    "POST /clientapi/clientCurrentPositionsForContract": current_positions_for_contract,
    "POST /clientapi/clientFundLockState": fund_lock_state,
    "POST /clientapi/getLockedCollateral": locked_collateral,
    "POST /clientapi/clientHistoricalPositions": historical_positions,
    "POST /clientapi/clientHistoricalPositionsByDatePeriod": historical_positions_by_date,
    "POST /clientapi/tradeHistory": trade_history,
    "POST /clientapi/netAssetValue": net_asset_value,
    "POST /clientapi/calcPortfolioCollateral": portfolio_collateral,
    "POST /clientapi/estimateOrderLock": estimate_order_lock,
    "POST /clientapi/estimatePositionedOrderLock": estimate_positioned_order_lock,
    "POST /clientapi/estimatePositionedOrdersLock": estimate_positioned_orders_lock,
    "POST /clientapi/estimateOrderPayoff": estimate_order_payoff,
    "POST /clientapi/estimateOrderFees": estimate_order_fees,
    "POST /clientapi/estimateOrderFeesExtended": estimate_order_fees,
}
