"""What both foldings of orders into a position produce, and how floats are kept finite."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from typing import Final, Literal

from vanta_api.records import Order

Direction = Literal["LONG", "SHORT"]
LARGEST: Final = sys.float_info.max


@dataclass(slots=True)
class Fold:
    """A position after some of its orders.

    ``gain`` is the gross gain as a fraction of the account. ``timeline`` holds ``(ms, net leverage)``
    after each order. ``orders`` are the orders as they count: the closing one is rewritten to exactly
    undo the position, and orders after it are gone.
    """

    direction: Direction
    open_ms: int
    orders: list[Order] = field(default_factory=list)
    timeline: list[tuple[int, float]] = field(default_factory=list)
    close_ms: int | None = None
    net_leverage: float = 0.0
    net_value: float = 0.0
    net_quantity: float = 0.0
    average: float = 0.0
    initial: float = 0.0
    cumulative_entry_value: float = 0.0
    realized: float = 0.0
    unrealized: float = 0.0
    gain: float = 0.0

    @property
    def is_closed(self) -> bool:
        return self.close_ms is not None


def finite(number: float, default: float = 0.0) -> float:
    """The number, cut to the largest float; ``default`` when it is not a number."""
    if math.isnan(number):
        return default
    return max(-LARGEST, min(LARGEST, number))


def multiplier(gain: float) -> float:
    """A return as a multiplier: 1 + gain, and 0 once everything (or more) is lost."""
    return finite(1.0 + gain, 1.0) if gain > -1.0 else (1.0 if math.isnan(gain) else 0.0)
