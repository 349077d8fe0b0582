"""When delayed readers learn of registered facts and finished spans although nothing happens.

Rule: the very millisecond at which a fact is old enough is named; a request after it finds a newer state.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final

import msgspec

from validator import eliminated
from validator.challenge import record
from validator.ledger.checkpoint import HOUR_MS
from validator.tiers import LAG_MS

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class FactTimers:
    """Mutable and owned by one thread at a time."""

    def __init__(self, at_ms: int) -> None:
        self._at_ms = at_ms
        self._dues: list[int] = []
        self._span_ms: int | None = None  # the next hour whose spans delayed readers see; None: no ledgers
        self._time_passed = False

    def take_registry(self, key: str, body: bytes) -> None:
        """Note when a fact is for everybody; what cannot be read is nobody's."""
        try:
            if key.startswith(eliminated.ELIMINATION):
                self._note(eliminated.decode(body).elimination_initiated_time_ms)
            elif key.startswith(record.PREFIX):
                for step in record.decode(body).history:
                    self._note(step.decided_ms)
        except UNREADABLE:
            return

    def take_ledger(self) -> None:
        """There are spans that end at full hours."""
        if self._span_ms is None:
            self._span_ms = self._next_hour()

    def advance(self, at_ms: int) -> None:
        """Let time pass."""
        self._at_ms = at_ms
        while self._dues and self._dues[0] <= at_ms:
            heappop(self._dues)
            self._time_passed = True
        if self._span_ms is not None and self._span_ms <= at_ms:
            self._span_ms = self._next_hour()
            self._time_passed = True

    def next_ms(self) -> int | None:
        """When ``advance`` has something to do."""
        dues = (self._dues[0] if self._dues else None, self._span_ms)
        return min((due for due in dues if due is not None), default=None)

    def settle(self) -> bool:
        """True when a delayed view is another one since the last call."""
        passed, self._time_passed = self._time_passed, False
        return passed

    def _note(self, fact_ms: int) -> None:
        due_ms = fact_ms + LAG_MS + 1  # delayed tiers see what is strictly older than LAG_MS
        if due_ms > self._at_ms:
            heappush(self._dues, due_ms)

    def _next_hour(self) -> int:
        """When the next spans that end on the hour are old enough."""
        newest_ms = self._at_ms - LAG_MS - 1
        return newest_ms - newest_ms % HOUR_MS + HOUR_MS + LAG_MS + 1
