"""The price at which the rules close a position: the newest one known at the moment of the decision."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Protocol

from vanta_api.records import MarkMessage


class Marks(Protocol):
    """The part of a ``journal.marks.MarkStore`` that is asked here."""

    def at(self, trade_pair_id: str, ms: int) -> MarkMessage | None: ...


def price_at(marks: Marks, trade_pair_id: str, at_ms: int) -> Decimal | None:
    """The newest price of the pair at that moment, or None."""
    mark = marks.at(trade_pair_id, at_ms)
    if mark is None:
        return None
    try:
        price = Decimal(mark.price)
    except InvalidOperation:
        return None
    return price if price.is_finite() else None
