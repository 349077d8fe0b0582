"""What both readers of checkpoints have in common: what they find, and the checks of every record.

A reader's ``check`` looks at everything once and keeps nothing; ``drafts`` goes through it again to write it.
So the memory it takes is that of the text and of one hotkey.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from journal.entry import Draft
from journal.restore.problem import Refused
from vanta_api.records import Order, Position, RestingOrder

Progress = Callable[[int], None]
"""Called with the bytes that were dealt with since the last call."""


@dataclass
class Summary:
    """What a checkpoint holds. Times are ms; ``first_ms`` and ``last_ms``: of its oldest and newest order
    (None: no order). ``sequences``: where it was made, by stream."""

    version: str | None
    created_ms: int
    is_own: bool
    sequences: dict[str, int] = field(default_factory=dict)
    first_ms: int | None = None
    last_ms: int | None = None
    counts: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def note(self, orders: Sequence[Order]) -> None:
        """Take the times of executed orders into account."""
        for order in orders:
            ms = order.processed_ms
            self.first_ms = ms if self.first_ms is None else min(self.first_ms, ms)
            self.last_ms = ms if self.last_ms is None else max(self.last_ms, ms)

    def count(self, what: str, number: int = 1) -> None:
        """Add to a count."""
        self.counts[what] = self.counts.get(what, 0) + number


class Reader(Protocol):
    """A checkpoint of one of the known forms."""

    def check(self, progress: Progress) -> Summary:
        """Look at everything. Raises Refused with the path of the first thing that is wrong."""

    def drafts(self, now_ms: int) -> Iterator[Draft]:
        """Everything as entries; only after ``check``."""


class InBucket(Protocol):
    """What is known of a hotkey's challenge period."""

    @property
    def bucket(self) -> str: ...
    @property
    def bucket_start_time(self) -> int: ...
    @property
    def previous_bucket(self) -> str | None: ...
    @property
    def previous_bucket_start_time(self) -> int | None: ...


def steps_of(one: InBucket) -> list[tuple[str, int]]:
    """The bucket before and the present one, with their start times, as far as they are known."""
    steps = [(one.bucket, one.bucket_start_time)]
    if one.previous_bucket is not None and one.previous_bucket_start_time is not None:
        steps.insert(0, (one.previous_bucket, one.previous_bucket_start_time))
    return steps


class PositionCheck:
    """The rules that every position must satisfy, whoever wrote it."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self._seen: set[str] = set()

    def check(self, position: Position, hotkey: str, path: str) -> None:
        """Count a position. Raises Refused."""
        require(position.miner_hotkey == hotkey, f"{path}.miner_hotkey", f"is not {hotkey}, whose it is")
        require(position.position_uuid != "", f"{path}.position_uuid", "is empty")
        require(position.position_uuid not in self._seen, f"{path}.position_uuid", "is there twice")
        self._seen.add(position.position_uuid)
        require(position.open_ms >= 0, f"{path}.open_ms", "is negative")
        require((position.close_ms or 0) >= 0, f"{path}.close_ms", "is negative")
        require(position.trade_pair[0] != "", f"{path}.trade_pair[0]", "is empty")
        uuids = set()
        for number, order in enumerate(position.orders):
            check_order(order, f"{path}.orders[{number}]")
            require(order.order_uuid not in uuids, f"{path}.orders[{number}].order_uuid", "is there twice")
            uuids.add(order.order_uuid)
        self._summary.note(position.orders)
        self._summary.count("positions")
        self._summary.count("orders", len(position.orders))


def check_order(order: Order | RestingOrder, path: str) -> None:
    """Raise Refused for an order that no reader would take."""
    require(order.price >= 0, f"{path}.price", "is negative")
    require(order.processed_ms >= 0, f"{path}.processed_ms", "is negative")
    require(order.order_uuid != "", f"{path}.order_uuid", "is empty")


def require(holds: bool, path: str, problem: str) -> None:
    """Raise Refused unless it holds."""
    if not holds:
        raise Refused(path, problem)
