"""What an elimination does to open positions: each is closed once, at the price of that moment.

Rule: everything written follows from the position, the moment and the prices known of that moment, so that
whoever finishes a half-done elimination writes what was meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Protocol

from journal.entry import POSITIONS, Draft
from validator.flatten import flatten
from validator.gate import residual_draft
from validator.positions import identity
from vanta_api.records import MarkMessage, Position, PositionMessage, encode


class Marks(Protocol):
    """The part of a ``journal.marks.MarkStore`` that is asked here."""

    def at(self, trade_pair_id: str, ms: int) -> MarkMessage | None: ...


def closing_drafts(
    positions: Iterable[Position], marks: Marks, at_ms: int, repo_version: str
) -> Iterator[Draft]:
    """The entries that close these positions (closed ones are passed over), and what venues still hold."""
    for position in positions:
        if position.is_closed_position:
            continue
        closed = flatten(position, price_at(marks, position.trade_pair[0], at_ms), at_ms)
        message = PositionMessage(position=closed, miner_repo_version=repo_version, repo_version=repo_version)
        key = f"{closed.miner_hotkey}|{closed.position_uuid}"
        yield Draft(POSITIONS, key, encode(message), identity(closed))
        yield residual_draft(position)


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
