"""When an entry's subject is over, and what a closed position contributes to its hotkey's totals.

Rule: any bytes are an answer. A body that is not a record we know is simply never over.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import msgspec

from journal.entry import POSITIONS
from vanta_api.records import OrderSource

LASTED_MS: Final = 60_000  # closed positions shorter than this do not count in returns
_ENDED_ORDERS: Final = frozenset(
    {
        OrderSource.LIMIT_FILLED,
        OrderSource.LIMIT_CANCELLED,
        OrderSource.BRACKET_FILLED,
        OrderSource.BRACKET_CANCELLED,
    }
)


class Share(msgspec.Struct, frozen=True, array_like=True):
    """A closed position's part in the totals; ``return_at_close`` is None when it did not last."""

    hotkey: str
    trade_pair: str
    return_at_close: float | None


class End(NamedTuple):
    """When the subject ended (ms UTC), and a position's share."""

    at_ms: int
    share: Share | None


class _Position(msgspec.Struct):
    miner_hotkey: str
    open_ms: int
    close_ms: int | None
    trade_pair: list[Any]
    return_at_close: float
    is_closed_position: bool


class _PositionBody(msgspec.Struct):
    position: _Position


class _Order(msgspec.Struct):
    src: int
    processed_ms: int


class _OrderBody(msgspec.Struct):
    order: _Order


_position = msgspec.json.Decoder(_PositionBody)
_order = msgspec.json.Decoder(_OrderBody)


def is_over(stream: str, body: bytes, time_ms: int) -> End | None:
    """Return the end of a closed position or finished order, None for everything else.

    ``time_ms``, the entry's time, stands in for a closed position's missing ``close_ms``.
    """
    try:
        if stream == POSITIONS:
            return _end_of_position(_position.decode(body).position, time_ms)
        order = _order.decode(body).order
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return End(order.processed_ms, None) if order.src in _ENDED_ORDERS else None


def _end_of_position(position: _Position, time_ms: int) -> End | None:
    if not position.is_closed_position:
        return None
    closed_ms = position.close_ms or time_ms
    lasted = closed_ms - position.open_ms >= LASTED_MS and math.isfinite(position.return_at_close)
    pair = str(position.trade_pair[0]) if position.trade_pair else ""
    return End(closed_ms, Share(position.miner_hotkey, pair, position.return_at_close if lasted else None))
