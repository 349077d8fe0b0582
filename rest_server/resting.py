"""Resting orders as they are and as they were 24 hours ago.

Rule 1: a delayed reader sees an order only in a state that is older than ``LAG_MS``: an order that was
filled an hour ago is still unfilled for it, one that was placed an hour ago does not exist.
Rule 2: a state counts from the moment we saw it appear; only the first state known of an order may count
from the venue's own time. Where that is not known the order is withheld.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from rest_server.audience import Audience
from validator.tiers import LAG_MS
from validator.trade_pairs import is_vanta
from vanta_api.records import OrderSource, RestingOrder

Status = Literal["unfilled", "filled", "cancelled"]

STATUSES: Final[tuple[Status, ...]] = ("unfilled", "filled", "cancelled")
_STATUS_OF: Final[dict[int, Status]] = {
    OrderSource.LIMIT_UNFILLED: "unfilled",
    OrderSource.BRACKET_UNFILLED: "unfilled",
    OrderSource.LIMIT_FILLED: "filled",
    OrderSource.BRACKET_FILLED: "filled",
    OrderSource.ORGANIC: "filled",
}


def status_of(order: RestingOrder) -> Status:
    """Vanta's word for the order's state."""
    return _STATUS_OF.get(order.src, "cancelled")


@dataclass(frozen=True, slots=True)
class Version:
    """One state of an order, true since ``since_ms``."""

    since_ms: int
    order: RestingOrder


@dataclass(frozen=True, slots=True)
class History:
    """The states of one order that still matter, oldest first; the last one is true now."""

    versions: tuple[Version, ...]

    def with_version(self, version: Version, at_ms: int) -> History:
        """The history after a new state; what no delayed reader can see any more is dropped."""
        kept = [*self.versions, version]
        while len(kept) > 1 and kept[1].since_ms < at_ms - LAG_MS:
            kept.pop(0)
        return History(tuple(kept))

    def live(self) -> RestingOrder:
        """The order now."""
        return self.versions[-1].order

    def delayed(self, at_ms: int) -> RestingOrder | None:
        """The order as it was ``LAG_MS`` before ``at_ms``."""
        threshold_ms = at_ms - LAG_MS
        older = [one.order for one in self.versions if one.since_ms < threshold_ms]
        return older[-1] if older else None


def first_version(order: RestingOrder, seen_ms: int, *, is_first_ever: bool) -> Version:
    """The first state we know. ``is_first_ever``: no older state can exist that we do not know."""
    facts = order.venue
    if not is_first_ever or facts is None or facts.venue_ms is None:
        return Version(seen_ms, order)
    was_updated = facts.venue_ms > order.processed_ms
    is_untouched = status_of(order) == "unfilled" and facts.filled in (None, "0")
    if was_updated or is_untouched:
        return Version(max(facts.venue_ms, order.processed_ms), order)
    return Version(seen_ms, order)


class OrderBook:
    """One hotkey's resting orders by uuid. Immutable."""

    def __init__(self, histories: Mapping[str, History]) -> None:
        self._histories = histories

    def orders(self, audience: Audience, at_ms: int) -> list[RestingOrder]:
        """What the audience sees, by placing time."""
        found = (
            history.live() if audience.is_live else history.delayed(at_ms)
            for history in self._histories.values()
        )
        seen = [one for one in found if one is not None and _is_shown(one, audience)]
        return sorted(seen, key=lambda order: (order.processed_ms, order.order_uuid))


def _is_shown(order: RestingOrder, audience: Audience) -> bool:
    return not audience.only_vanta or is_vanta(order.trade_pair_id)


def dashboard_row(order: RestingOrder) -> dict[str, Any]:
    """The order as ``/limit-orders`` shows it."""
    return {
        "trade_pair": list(order.trade_pair[:2]),
        "trade_pair_id": order.trade_pair_id,
        "order_type": order.order_type,
        "processed_ms": order.processed_ms,
        "limit_price": order.limit_price,
        "price": order.price,
        "leverage": order.leverage,
        "value": order.value,
        "quantity": order.quantity,
        "src": order.src,
        "execution_type": order.execution_type,
        "order_uuid": order.order_uuid,
        "stop_loss": order.stop_loss,
        "take_profit": order.take_profit,
        "venue": order.venue,
    }


def by_status(orders: Sequence[RestingOrder], wanted: Iterable[Status]) -> dict[Status, list[RestingOrder]]:
    """The orders of each wanted status."""
    return {status: [one for one in orders if status_of(one) == status] for status in wanted}
