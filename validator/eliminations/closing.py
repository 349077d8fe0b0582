"""The drafts that close what an eliminated hotkey holds. Pure: nothing here reads a journal or a clock.

Rule: every draft is held to the entry it was made from; if somebody wrote the key meanwhile, the whole append
is refused, and made again from what is there then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from journal.entry import ORDERS, POSITIONS, Draft
from validator.eliminations.index import Held
from validator.entities.closing import Marks, price_at
from validator.flatten import STATUS, flatten
from validator.gate import residual_draft
from validator.positions import identity, order_identity
from vanta_api.records import (
    OrderMessage,
    OrderSource,
    Position,
    PositionMessage,
    RestingOrder,
    encode,
)

_CANCELLED: Final = {
    OrderSource.LIMIT_UNFILLED: OrderSource.LIMIT_CANCELLED,
    OrderSource.BRACKET_UNFILLED: OrderSource.BRACKET_CANCELLED,
}


def prices_of(positions: Sequence[Position], marks: Marks, ms: int) -> dict[str, Any]:
    """``price_info``: what each open pair is closed at; pairs without a price are absent."""
    pairs = sorted({position.trade_pair[0] for position in positions})
    found = ((pair, price_at(marks, pair, ms)) for pair in pairs)
    return {pair: float(price) for pair, price in found if price is not None}


def position_draft(held: Held, position: Position, marks: Marks, at_ms: int, version: str) -> Draft:
    """An open position closed at the price of the elimination."""
    closed = flatten(position, price_at(marks, position.trade_pair[0], at_ms), at_ms)
    message = PositionMessage(position=closed, miner_repo_version=version, repo_version=version)
    return Draft(POSITIONS, held.key, encode(message), identity(closed), held.sequence)


def order_draft(held: Held, order: RestingOrder) -> Draft:
    """A resting order cancelled."""
    facts = None if order.venue is None else msgspec.structs.replace(order.venue, status=STATUS)
    source = _CANCELLED.get(OrderSource(order.src), OrderSource.LIMIT_CANCELLED)
    cancelled = msgspec.structs.replace(order, src=int(source), venue=facts)
    body = encode(OrderMessage(order=cancelled))
    return Draft(ORDERS, held.key, body, order_identity(cancelled), held.sequence)


def closing_drafts(
    positions: Sequence[tuple[Held, Position]],
    orders: Sequence[tuple[Held, RestingOrder]],
    marks: Marks,
    at_ms: int,
    version: str,
) -> list[Draft]:
    """Everything open closed, everything resting cancelled, and what venues then still hold."""
    closed = [position_draft(held, one, marks, at_ms, version) for held, one in positions]
    cancelled = [order_draft(held, one) for held, one in orders]
    return closed + cancelled + [residual_draft(one) for _, one in positions if one.venue is not None]
