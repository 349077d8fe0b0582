"""What the leverage rules leave of an order.

Rule 1: an order that would take a position through zero only closes it.
Rule 2: an order that would go beyond a limit is cut to it; one that would leave less than the pair's smallest
position is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from validator.orders.signal import SignalError
from validator.orders.sizes import Sizes
from validator.trade_pairs import TradePair, by_id
from vanta_api.records import OrderType, Position

ORDER_MIN: Final = 0.001  # multiples of the account size, for one order
ORDER_MAX: Final = 500.0
PORTFOLIO_MAX: Final = 10.0  # sum of all positions' sizes, weighted by class of assets
WEIGHTS: Final = {"crypto": 10.0, "forex": 1.0, "indices": 1.0, "equities": 2.0}
NOTHING: Final = 1e-12  # room that is smaller is none: sums of floats are not exact


def admitted(
    pair: TradePair,
    position: Position | None,
    others: Sequence[Position],
    order_type: OrderType,
    sizes: Sizes,
) -> tuple[OrderType, Sizes]:
    """The order that is carried out. ``others``: open positions in other pairs. Raises SignalError."""
    before = position.net_leverage if position is not None else 0.0
    if order_type == "FLAT":
        if position is None:
            raise SignalError(f"There is no open position in {pair.trade_pair_id} to close")
        return "FLAT", closing(position)
    if position is None and not pair.is_tradeable:
        raise SignalError(f"No new positions can be opened in {pair.trade_pair_id}")
    if not ORDER_MIN <= abs(sizes.leverage) <= ORDER_MAX:
        raise SignalError(
            f"Order leverage {abs(sizes.leverage):g} is not between {ORDER_MIN:g} and {ORDER_MAX:g}"
        )
    after = before + sizes.leverage
    if position is not None and before * after <= 0:
        return "FLAT", closing(position)
    if abs(after) > abs(before):
        sizes = sizes.scaled(_share(pair, before, after, others))
    if abs(before + sizes.leverage) < pair.min_leverage - NOTHING:
        raise SignalError(
            f"{pair.trade_pair_id} positions must be at least {pair.min_leverage:g} times the account size"
        )
    return order_type, sizes


def closing(position: Position) -> Sizes:
    """The sizes that undo a position."""
    return Sizes(-position.net_leverage, -position.net_value, -position.net_quantity)


def weight_of(pair_id: str) -> float:
    """What a position's size counts for in the portfolio."""
    pair = by_id(pair_id)
    return WEIGHTS[pair.category] if pair is not None else 1.0


def _share(pair: TradePair, before: float, after: float, others: Sequence[Position]) -> float:
    """What part of an increase there is room for. Raises SignalError when there is none."""
    held = sum(abs(one.net_leverage) * weight_of(one.trade_pair[0]) for one in others)
    by_portfolio = (PORTFOLIO_MAX - held) / weight_of(pair.trade_pair_id)
    limit = min(pair.max_leverage, by_portfolio)
    room = limit - abs(before)
    if room <= NOTHING:
        which = f"{pair.trade_pair_id} positions" if limit == pair.max_leverage else "the portfolio"
        raise SignalError(f"The leverage limit of {which} is reached")
    return min(1.0, room / (abs(after) - abs(before)))
