"""What readers see of one position: live, and as of 24 hours ago.

Rule 1: the delayed view is worked out from the orders that are old enough and from the price of that time
alone; nothing newer enters it, and nothing in it tells whether there is something newer.
Rule 2: a view is a value. It changes only by being replaced, at the very moments that ``changes_at`` names,
when the record is replaced, or when a price moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Final

import msgspec

from validator.aggregates import MINIMUM_DURATION_MS, RETURNS_WINDOW_MS
from validator.positions import truncate, value_position
from validator.tiers import LAG_MS, share_of
from validator.trade_pairs import is_vanta
from vanta_api.records import MarkMessage, Position, VenueFacts
from vanta_api.wire import rest_fragment

SOURCES_MS: Final = 7 * 86_400_000  # older orders are shown without their price sources


@dataclass(frozen=True, slots=True)
class Price:
    """A mark that can be calculated with: USD per unit and its moment."""

    amount: Decimal
    time_ms: int


def price_of(mark: MarkMessage | None) -> Price | None:
    """The mark's price, or None when there is none that is a finite number."""
    if mark is None:
        return None
    try:
        amount = Decimal(mark.price)
    except InvalidOperation:
        return None
    return Price(amount, mark.time_ms) if amount.is_finite() else None


class Shown:
    """A position as it is shown now, valued at ``price``."""

    def __init__(self, record: Position, price: Price | None, at_ms: int) -> None:
        self._record, self._price, self._at_ms = record, price, at_ms

    @cached_property
    def position(self) -> Position | None:
        """The record to show; None: this reader may not see it yet."""
        return self._work_out()

    @cached_property
    def fragment(self) -> bytes:
        """Its JSON (empty when there is nothing to show)."""
        if self.position is None:
            return b""
        return rest_fragment(self.position, sources_since_ms=self._at_ms - SOURCES_MS)

    def _work_out(self) -> Position | None:
        if self._price is None:
            return self._record
        try:
            return value_position(self._record, self._price.amount, self._price.time_ms)
        except ValueError:
            return self._record  # a venue amount that is no number: shown as it was journalled


class Delayed(Shown):
    """A position as it was ``LAG_MS`` before ``at_ms``, valued at the price of that time."""

    def _work_out(self) -> Position | None:
        threshold_ms = self._at_ms - LAG_MS
        record = self._record if was_over(self._record, threshold_ms) else from_orders_alone(self._record)
        return truncate(record, threshold_ms, self._price.amount if self._price else None)


@dataclass(frozen=True, slots=True)
class Held:
    """One position of the state with both of its views.

    ``share``: it is real-time for tiers above this. ``next_ms``: when a view changes by time alone.
    """

    record: Position
    share: int
    is_vanta: bool
    live: Shown
    delayed: Shown
    next_ms: int | None

    @property
    def pair_id(self) -> str:
        return self.record.trade_pair[0]

    def repriced(self, live: Shown) -> Held:
        """The same with another live view (``dataclasses.replace`` is ten times slower)."""
        return Held(self.record, self.share, self.is_vanta, live, self.delayed, self.next_ms)

    @property
    def is_settled(self) -> bool:
        """Whether prices no longer matter to either view."""
        return self.live is self.delayed


def was_over(record: Position, threshold_ms: int) -> bool:
    """Whether the position closed before that moment and nothing was learnt about it since."""
    if not record.is_closed_position or record.close_ms is None or record.close_ms >= threshold_ms:
        return False
    seen_ms = record.venue.observed_ms if record.venue is not None else None
    return record.venue is None or (seen_ms is not None and seen_ms < threshold_ms)


def from_orders_alone(record: Position) -> Position:
    """The record without the venue's totals: what cannot be dated must not tell that something changed.

    A total that the venue reported yesterday is not kept once it reports another one today. If it were
    shown until then and derived from the orders afterwards, the switch itself would be news.
    """
    if record.venue is None:
        return record
    facts = record.venue
    names = VenueFacts(
        name=facts.name, account=facts.account, instrument=facts.instrument, position_id=facts.position_id
    )
    return msgspec.structs.replace(record, venue=names)


def hold(record: Position, live: Price | None, delayed: Price | None, at_ms: int) -> Held:
    """The position with its views as of ``at_ms``; ``delayed`` is the price of ``LAG_MS`` earlier."""
    shown = Shown(record, live, at_ms)
    older: Shown = Delayed(record, delayed, at_ms)
    if record.is_closed_position and older.position is record:
        older = shown  # over for so long that everybody sees the same
    return Held(
        record=record,
        share=share_of(record.position_uuid),
        is_vanta=is_vanta(record.trade_pair[0]),
        live=shown,
        delayed=older,
        next_ms=min((ms for ms in changes_at(record) if ms > at_ms), default=None),
    )


def changes_at(record: Position) -> Iterator[int]:
    """The moments at which a view of this record changes although nothing happened."""
    for fact_ms in _facts_ms(record):
        yield fact_ms + LAG_MS + 1  # delayed tiers see what is strictly older than LAG_MS
    for order in record.orders:
        if order.price_sources:
            yield order.processed_ms + SOURCES_MS + 1
    if record.close_ms is not None and record.close_ms - record.open_ms >= MINIMUM_DURATION_MS:
        yield record.open_ms + RETURNS_WINDOW_MS


def _facts_ms(record: Position) -> Iterator[int]:
    for order in record.orders:
        yield order.processed_ms
        if order.venue is not None and order.venue.observed_ms is not None:
            yield order.venue.observed_ms
    if record.close_ms is not None:
        yield record.close_ms
    if record.venue is not None and record.venue.observed_ms is not None:
        yield record.venue.observed_ms
