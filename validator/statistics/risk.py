"""How recklessly a hotkey adds to losing positions.

A position is flagged when three things come together: it was added to while losing, its leverage grew or used
much of what is allowed, and its orders came at uneven times. The score is the share of flagged positions,
weighted so heavily by return that a hotkey's best positions decide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

from validator.statistics.constants import (
    ADVANCE_CRITERIA,
    EPSILON,
    MARGIN_CRITERIA,
    MONOTONIC_CRITERIA,
    RISK_SHIFT,
    RISK_SPREAD,
    SCOPING,
    STEPS_CRITERIA,
    STEPS_LEAST_LEVERAGE,
    TIME_CRITERIA,
)
from vanta_api.records import Order, Position

_LEAST_RETURN = 1e-10  # stands in for a total loss, whose logarithm does not exist


def score(positions: Sequence[Position]) -> float:
    """The weighted share of flagged positions, 0..1."""
    flags = [is_flagged(position) for position in positions]
    if not any(flags):
        return 0.0
    logs = [SCOPING * math.log(max(one.return_at_close, _LEAST_RETURN)) for one in positions]
    heaviest = max(logs)
    weights = [math.exp(log - heaviest) for log in logs]
    return math.fsum(w for w, flag in zip(weights, flags, strict=True) if flag) / math.fsum(weights)


def penalty(risk_score: float) -> float:
    """The multiplier that follows from a score: nearly 1 for none."""
    return sigmoid(risk_score, RISK_SHIFT, RISK_SPREAD)


def sigmoid(value: float, shift: float, spread: float) -> float:
    """``1 / (1 + exp(spread * (value - shift)))``, the exponent kept within ±100."""
    return 1.0 / (1.0 + math.exp(max(-100.0, min(100.0, spread * (value - shift)))))


def is_flagged(position: Position) -> bool:
    """Whether all three kinds of risk come together in the position."""
    added = steps(position) >= STEPS_CRITERIA or monotonic_steps(position) >= MONOTONIC_CRITERIA
    if not added:
        return False
    grown = margin(position) >= MARGIN_CRITERIA or leverage_advance(position) >= ADVANCE_CRITERIA
    return grown and unevenness(position) >= TIME_CRITERIA


def steps(position: Position) -> int:
    """Orders that added in the position's direction while it was losing."""
    orders = _active(position)
    if len(position.orders) < 2:
        return 0
    is_long = orders[0].order_type == "LONG"
    size = max(abs(_leverage(orders[0])), STEPS_LEAST_LEVERAGE)
    paid, found = orders[0].price * size, 0
    for order in orders[1:]:
        change, average = _leverage(order), paid / size
        is_losing = order.price < average if is_long else order.price > average
        found += is_losing and (change > 0 if is_long else change < 0)
        size += abs(change)
        paid += order.price * abs(change)
    return found


def monotonic_steps(position: Position) -> int:
    """Orders that raised the leverage to a new height while the position was losing."""
    orders = _active(position)
    size = _leverage(orders[0]) if orders else 0.0
    if len(position.orders) < 2 or not size:
        return 0
    direction = 1.0 if orders[0].order_type == "LONG" else -1.0
    paid, largest, found = orders[0].price * size, size, 0
    for order in orders[1:]:
        change, average = _leverage(order), paid / size
        size += change
        if (order.price - average) * direction < 0 and abs(size) > abs(largest):
            found += 1
            largest = size
        paid += order.price * change
        size = size or EPSILON
    return found


def margin(position: Position) -> float:
    """The largest leverage, as a share of the range that the trade pair allows."""
    least, most = position.trade_pair[3], position.trade_pair[4]
    sizes = _sizes(position.orders)
    return (max(sizes) - least) / (most - least) if sizes and most > least else 0.0


def leverage_advance(position: Position) -> float:
    """The largest leverage over the smallest while the position was open."""
    sizes = _sizes(_active(position))
    return max(sizes) / max(min(sizes), STEPS_LEAST_LEVERAGE) if sizes else 0.0


def unevenness(position: Position) -> float:
    """Mean relative distance of the times between orders from their mean, up to the largest leverage."""
    sizes = _sizes(position.orders)
    building = position.orders[: sizes.index(max(sizes)) + 1] if sizes else ()
    if len(building) < 3:
        return 0.0
    times = sorted(max(1, order.processed_ms) for order in building)
    ideal_ms = (times[-1] - times[0]) / (len(times) - 1)
    if not ideal_ms:
        return 0.0
    gaps = [later - earlier for earlier, later in pairwise(times)]
    return math.fsum(abs(gap - ideal_ms) / ideal_ms for gap in gaps) / len(gaps)


def _active(position: Position) -> tuple[Order, ...]:
    """The orders without the one that closed."""
    orders = position.orders
    return orders[:-1] if position.is_closed_position and len(orders) > 1 else orders


def _sizes(orders: Sequence[Order]) -> list[float]:
    return [abs(size) for size in accumulate(map(_leverage, orders))]


def _leverage(order: Order) -> float:
    return order.leverage or 0.0
