"""What an account sees of itself, as the venue writes it: floats, camelCase, epoch ms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

from venues.ithaca.exchange import collateral
from venues.ithaca.exchange.collateral import Lock
from venues.ithaca.exchange.ledger import Account, Leg, Order, Position, Settled
from venues.ithaca.exchange.market import PAIRS, Market
from venues.world import DAY_MS

ZERO: Final = Decimal(0)
SHOW_ORDERS: Final = "SHOW_ORDERS"
MAX_PERIOD_DAYS: Final = 90
DEFAULT_PERIOD_DAYS: Final = 30


def order(one: Order, client_id: int, now_ms: int) -> dict[str, Any]:
    """One order."""
    row: dict[str, Any] = {
        "revDate": one.rev_ms,
        "orderId": one.id,
        "clientId": client_id,
        "orderStatus": one.status,
        "netPrice": float(one.net_price),
        "orderGenesis": "CLIENT_PREDEFINED",
        "orderDescr": one.description,
        "timeInForce": one.time_in_force,
        "orderClass": "ConditionalOrder",
        "requestSinglePrice": True,
        "iocAuctionTime": one.good_till_ms,
        "details": [_leg(leg, now_ms) for leg in one.legs],
        "insertionDate": one.inserted_ms,
        "spotPriceAtCreation": float(one.spot),
    }
    if one.reason is not None:
        row["ordRejReason"] = one.reason
    if one.is_live:
        row["collateral"] = collateral.order_lock(one.legs).wire(one.legs[0].listing.pair.name)
    return row


def orders(account: Account, listed: Iterable[Order], now_ms: int) -> list[dict[str, Any]]:
    """Several orders of one account."""
    return [order(one, account.client_id, now_ms) for one in listed]


def positions(account: Account, show: str | None, now_ms: int) -> list[dict[str, Any]]:
    """The current positions, with their orders when asked for."""
    held = sorted(account.positions.values(), key=lambda one: one.listing.id)
    return [_position(account, one, show, now_ms) for one in held]


def position_of(account: Account, contract_id: int, show: str | None, now_ms: int) -> list[dict[str, Any]]:
    """The current position in one contract, as a list of one or none."""
    one = account.positions.get(contract_id)
    return [] if one is None else [_position(account, one, show, now_ms)]


def fund_lock_state(account: Account) -> list[dict[str, Any]]:
    """Money by currency: in the contract, reserved by live orders, and awaiting settlement."""
    reserved = _reserved(account)
    return [
        {
            "currency": currency,
            "orderValue": float(round(reserved.get(currency, ZERO), 7)),
            "fundLockValue": float(round(fund.deposited, 7)),
            "settleValue": float(round(fund.pending, 7)),
        }
        for currency, fund in account.funds.items()
    ]


def locked_collateral(account: Account) -> dict[str, list[dict[str, Any]]]:
    """Locks by expiry (epoch ms as text), one row per pair, with the fees paid in that expiry."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for pair in PAIRS:
        for expiry_ms, group in collateral.grouped(collateral.held(account, pair.name)):
            here = rows.setdefault(str(expiry_ms), [])
            here.append(
                {
                    "clientId": account.client_id,
                    "expiry": group[0][0].expiry,
                    "locked": collateral.lock_of(group).wire(pair.name),
                    "feesPaid": 0.0 if here else float(account.fees.get(expiry_ms, ZERO)),
                }
            )
    return rows


def historical(account: Account, expiry: int) -> dict[str, Any]:
    """What was held at one expiry, keyed by it; nothing when nothing was held."""
    settled = account.history.get(expiry)
    return {} if settled is None else {str(expiry): _settled(settled)}


def historical_between(
    account: Account, from_ms: int | None, to_ms: int | None, now_ms: int
) -> dict[str, Any]:
    """What was held at the expiries of a period: 30 days when it is open, at most 90."""
    if from_ms is None or to_ms is None:
        from_ms, to_ms = now_ms - DEFAULT_PERIOD_DAYS * DAY_MS, now_ms
    from_ms = max(from_ms, to_ms - MAX_PERIOD_DAYS * DAY_MS)
    chosen = (one for one in account.history.items() if from_ms <= one[1].expiry_ms <= to_ms)
    return {str(expiry): _settled(settled) for expiry, settled in sorted(chosen)}


def open_with_locks(account: Account, pair: str, now_ms: int) -> dict[str, Any]:
    """Open orders, what they lock now, and what would be locked once they are executed."""
    live = [one for one in account.live.values() if one.legs[0].listing.pair.name == pair]
    held = collateral.held(account, pair)
    soft = collateral.lock_by_expiry(collateral.ordered(live, pair))
    after = collateral.lock_by_expiry([*held, *collateral.ordered(live, pair)])
    return {
        "openOrders": orders(account, live, now_ms),
        "softLock": _numeraire(pair, soft),
        "postExecutionLock": _numeraire(pair, after),
    }


def portfolio_collateral(account: Account, pair: str) -> dict[str, Any]:
    """Locked now, and locked if every open order were executed."""
    held = collateral.held(account, pair)
    wanted = [*held, *collateral.ordered(account.live.values(), pair)]
    return {
        "actual": collateral.lock_by_expiry(held).wire(pair),
        "potential": collateral.lock_by_expiry(wanted).wire(pair),
    }


def net_asset_value(account: Account, market: Market, at_ms: int) -> float:
    """USD of everything the account has, positions at their fair value."""
    rates = {"USDC": Decimal(1), **{pair.coin: market.spot(pair, at_ms) for pair in PAIRS}}
    money = sum((rates[name] * (fund.deposited + fund.pending) for name, fund in account.funds.items()), ZERO)
    held = account.positions.values()
    worth = sum((one.quantity * market.quote(one.listing, at_ms).mid for one in held), ZERO)
    return float(round(money + worth, 4))


def _leg(leg: Leg, now_ms: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "contractId": leg.listing.id,
        "contractDto": leg.listing.wire(now_ms),
        "side": "BUY" if leg.sign > 0 else "SELL",
        "originalQty": float(leg.original),
        "remainingQty": float(leg.remaining),
        "cancelledQty": float(leg.cancelled),
        "avgPrice": float(leg.average),
        "totalCost": float(round(leg.sign * leg.cost, 4)),
        "currencyPair": leg.listing.pair.name,
        "expiry": leg.listing.wire(now_ms)["economics"]["expiry"],
    }
    if leg.last is not None and leg.last_price is not None:
        row["thisFillQty"] = float(leg.last)
        row["execPrice"] = float(leg.last_price)
    return row


def _position(account: Account, one: Position, show: str | None, now_ms: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "contractId": one.listing.id,
        "positionsAvgPrice": float(round(one.average, 4)),
        "positionsQty": one.shown,  # as floats add up, dust and all
    }
    if show == SHOW_ORDERS:
        row["orders"] = orders(account, one.orders, now_ms)
    return row


def _settled(settled: Settled) -> dict[str, Any]:
    locks: dict[str, dict[str, Any]] = {}
    payoffs: dict[str, dict[str, Any]] = {}
    for name, price in settled.prices.items():
        mine = [(one, quantity) for one, quantity, _ in settled.positions if one.pair.name == name]
        worth = sum((quantity * one.pays(price) for one, quantity in mine), ZERO)
        locks[name] = collateral.lock_of(mine).wire(name)
        payoffs[name] = {"currencyPair": name, "numeraireAmount": float(round(worth, 4))}
    return {
        "totalCollateral": locks,
        "expiryPrices": {name: float(price) for name, price in settled.prices.items()},
        "payoff": payoffs,
        "positions": [
            {
                "contractId": one.id,
                "positionsAvgPrice": float(round(average, 4)),
                "positionsQty": float(quantity),
            }
            for one, quantity, average in settled.positions
        ],
    }


def _reserved(account: Account) -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    for one in account.live.values():
        lock = collateral.order_lock(one.legs)
        coin = one.legs[0].listing.pair.coin
        total[coin] = total.get(coin, ZERO) + lock.underlier
        total["USDC"] = total.get("USDC", ZERO) + lock.numeraire + max(one.net_price, ZERO)
    return total


def _numeraire(pair: str, lock: Lock) -> dict[str, Any]:
    return {"currencyPair": pair, "numeraireAmount": float(round(lock.numeraire, 4))}


def estimated(legs: Sequence[Leg], net_price: Decimal) -> Lock:
    """What an order would lock: its collateral and, when it pays, its premium."""
    lock = collateral.order_lock(legs)
    return Lock(lock.underlier, lock.numeraire + max(net_price, ZERO))
