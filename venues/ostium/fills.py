"""Executions from settled orders.

Invariant: a trade's fills add up to what the venue holds: its opening order brings the whole size, each
close takes its share of what was left, and a full close takes all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Final

from venues.errors import Broken
from venues.model import Fill
from venues.numbers import scaled
from venues.ostium import reading, symbols
from venues.ostium.reading import Account
from venues.ostium.schemas import Order
from venues.ostium.symbols import Action

SMALLEST: Final = Decimal(1).scaleb(-18)
AGREES: Final = Decimal("1e-6")  # relative: the venue's own amount against our share of what was left
FULL: Final = Decimal(1)


@dataclass(frozen=True, slots=True)
class Execution:
    """A settled order that changed a trade."""

    order: Order
    action: Action
    price: Decimal


def fills(account: Account, limit_ids: Mapping[str, str]) -> tuple[Fill, ...]:
    """All fills, oldest first. ``limit_ids`` maps an order's id to that of the limit it executed."""
    chains: dict[str, list[Execution]] = {}
    for execution in executions(account):
        order = execution.order
        trade_id = order.trade_id or (order.id if execution.action == "open" else None)
        if trade_id is None:
            raise Broken(f"settled[{order.id}].tradeID", "the trade that was closed", "null")
        chains.setdefault(trade_id, []).append(execution)
    held = {t.trade_id: reading.quantity(t, reading.price(t.open_price, "trades[]")) for t in account.trades}
    made = [
        (reading.order_rank(execution.order), fill)
        for trade_id, chain in chains.items()
        for execution, fill in _walk(trade_id, chain, held.get(trade_id), limit_ids)
    ]
    return tuple(fill for _, fill in sorted(made, key=lambda item: item[0]))


def executions(account: Account) -> list[Execution]:
    """Settled orders that opened or closed something, oldest first. Raises Broken for an unknown action."""
    found = []
    for order in account.settled:
        action = action_of(order)
        if order.is_cancelled or order.is_pending or action == "removecollateral":
            continue
        found.append(Execution(order, action, _fill_price(order)))
    return found


def action_of(order: Order) -> Action:
    """What the order does. Raises Broken for a word the venue never documented."""
    action = symbols.action_of(order.order_action)
    if action is None:
        raise Broken(f"orders[{order.id}].orderAction", "a documented action", order.order_action)
    return "removecollateral" if symbols.action_of(order.order_type) == "removecollateral" else action


def share_of(order: Order, action: Action) -> Decimal | None:
    """The fraction of a trade that a closing order takes; None when neither word nor number says so."""
    if order.close_percent is not None and int(order.close_percent) > 0:
        return min(FULL, scaled(order.close_percent, 4))
    if order.close_percent is not None or action != "close":
        return FULL  # older contracts treat 0 % as all; everything but a market close takes all
    return None


def resting_id(trade_id: str, action: Action) -> str:
    """The id of the trade's own take-profit or stop-loss order."""
    return f"{trade_id}:{'tp' if action == 'takeprofit' else 'sl'}"


def charges(order: Order) -> Decimal:
    """Fees and running costs the order was charged, USDC; costs the trader received are negative."""
    return sum(
        (
            reading.usdc(amount)
            for amount in (
                order.dev_fee,
                order.vault_fee,
                order.oracle_fee,
                order.liquidation_fee,
                order.builder_fee,
                order.rollover_fee,
                order.funding_fee,
            )
        ),
        Decimal(0),
    )


def _fill_price(order: Order) -> Decimal:
    path = f"orders[{order.id}].priceAfterImpact"
    price = reading.price(order.price_after_impact, path) or reading.price(order.price, path)
    if price is None:
        raise Broken(path, "the price of an executed order", "nothing")
    return price


def _walk(
    trade_id: str, chain: list[Execution], held: Decimal | None, limit_ids: Mapping[str, str]
) -> list[tuple[Execution, Fill]]:
    left, entry = _before(chain, held), None
    made = []
    for execution in chain:
        order, action = execution.order, execution.action
        if action == "open":
            left = size = reading.quantity(order, execution.price)
            entry = execution.price
        else:
            size = _closed(execution, left)
            left = None if left is None or size is None else left - size
        if not size:
            continue  # nothing says how much: the holding will
        signed = size if (action == "open") == order.is_buy else -size
        made.append((execution, _fill(trade_id, execution, signed, entry, limit_ids)))
    return made


def _before(chain: list[Execution], held: Decimal | None) -> Decimal | None:
    """What the trade held before the chain's first order when its opening order is not in the chain."""
    if chain[0].action == "open":
        return None
    shares = [share_of(execution.order, execution.action) for execution in chain]
    last = reading.quantity(chain[-1].order, None)
    after, rest = (held, shares) if held else (last, shares[:-1])
    if after is None or (not held and shares[-1] != FULL):
        return None
    for share in rest:
        if share is None or share >= FULL:
            return None
        after /= FULL - share
    return after.quantize(SMALLEST) if after < reading.HIGHEST_QUANTITY else None


def _closed(execution: Execution, left: Decimal | None) -> Decimal | None:
    """Unsigned size that a closing order took. Its own ``tradeNotional`` counts where it agrees with the
    share of what was left: the venue does not say whether it means the part or the whole trade."""
    order = execution.order
    share = share_of(order, execution.action)
    reported = reading.quantity(order, None)
    if left is None:
        return reported
    if share is None:
        return min(left, reported) if reported else left
    if share >= FULL:
        return left
    expected = (left * share).quantize(SMALLEST, ROUND_DOWN)
    if reported is not None and abs(reported - expected) <= expected * AGREES:
        return reported
    return expected


def _fill(
    trade_id: str,
    execution: Execution,
    signed: Decimal,
    entry: Decimal | None,
    limit_ids: Mapping[str, str],
) -> Fill:
    order, action = execution.order, execution.action
    order_id = limit_ids.get(order.id, order.id)
    if action in ("takeprofit", "stoploss"):
        order_id = resting_id(trade_id, action)
    return Fill(
        fill_id=order.id,
        instrument=reading.instrument(order.pair),
        quantity=signed,
        price=execution.price,
        time_ms=reading.settled_ms(order),
        position_id=trade_id,
        order_id=order_id,
        fee=_liquidation_fee(execution, signed, entry) if action == "liquidation" else charges(order),
        kind="liquidation" if action == "liquidation" else "trade",
    )


def _liquidation_fee(execution: Execution, signed: Decimal, entry: Decimal | None) -> Decimal:
    """What makes a liquidation cost exactly the collateral that was not paid back, whatever the price:
    the venue keeps what was left, or bears what the price fell further."""
    order = execution.order
    if entry is None or order.collateral is None:
        return charges(order)
    profit = (entry - execution.price) * signed  # signed is the closing quantity: minus the position
    return reading.usdc(order.collateral) + profit - reading.usdc(order.amount_sent_to_trader)
