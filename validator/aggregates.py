"""A hotkey's dashboard figures, computed from exactly the positions that a reader may see."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from validator.fold import finite
from vanta_api.records import Position

MINIMUM_DURATION_MS: Final = 60_000  # a shorter position does not count towards returns
RETURNS_WINDOW_MS: Final = 120 * 86_400_000  # of "thirty_day_returns": the name is historical


def aggregates(positions: Sequence[Position], now_ms: int | None = None) -> dict[str, Any]:
    """The dashboard's figures over ``positions``, all of one hotkey.

    ``all_time_returns`` and ``percentage_profitable`` (0..1) count closed positions that lasted at
    least 60 s; ``thirty_day_returns`` those of them opened within 120 days before ``now_ms`` (None:
    before the newest order). ``n_positions`` counts all, ``total_leverage`` sums the open ones' sizes.
    """
    counted = sorted(_counted(positions), key=lambda position: position.close_ms or 0)
    since_ms = (_newest_ms(positions) if now_ms is None else now_ms) - RETURNS_WINDOW_MS
    profitable = sum(position.return_at_close > 1.0 for position in counted)
    return {
        "all_time_returns": _product(counted),
        "thirty_day_returns": _product(one for one in counted if one.open_ms > since_ms),
        "n_positions": len(positions),
        "percentage_profitable": profitable / len(counted) if counted else 0.0,
        "total_leverage": finite(
            sum(abs(one.net_leverage) for one in positions if not one.is_closed_position)
        ),
    }


def _counted(positions: Iterable[Position]) -> Iterable[Position]:
    for position in positions:
        closed = position.close_ms if position.is_closed_position else None
        if closed is not None and closed - position.open_ms >= MINIMUM_DURATION_MS:
            yield position


def _product(positions: Iterable[Position]) -> float:
    total = 1.0
    for position in positions:
        total = finite(total * position.return_at_close)
    return total


def _newest_ms(positions: Sequence[Position]) -> int:
    return max((order.processed_ms for one in positions for order in one.orders), default=0)
