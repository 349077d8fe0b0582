"""Prices as they were ``LAG_MS`` ago, and when they change next.

Rule: a delayed price is the newest one strictly older than the lag; one that is newer is never used, not
even where no older one exists.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from rest_server.shown import Price, price_of
from validator.tiers import LAG_MS
from vanta_api.records import MarkMessage

AHEAD_MS: Final = 3_600_000  # history is read an hour ahead: once a minute and pair at most, 60 rows


class Marks(Protocol):
    """The part of a MarkStore that readers need."""

    def latest(self) -> dict[str, MarkMessage]: ...

    def changed_since(self, revision: int) -> tuple[int, list[MarkMessage]]: ...

    def at(self, trade_pair_id: str, ms: int) -> MarkMessage | None: ...

    def history(self, trade_pair_id: str, from_ms: int, to_ms: int) -> Sequence[MarkMessage]: ...


@dataclass(slots=True)
class _Tape:
    """One pair: its price at the delayed moment, and the next ones up to ``loaded_ms``."""

    price: Price | None
    ahead: deque[Price]
    loaded_ms: int


class DelayedPrices:
    """Prices ``LAG_MS`` before the moment that ``advance`` was last told."""

    def __init__(self, marks: Marks, at_ms: int) -> None:
        self._marks = marks
        self._threshold_ms = at_ms - LAG_MS
        self._tapes: dict[str, _Tape] = {}

    def price(self, pair_id: str) -> Price | None:
        """The pair's delayed price; None when there was none yet."""
        tape = self._tapes.get(pair_id)
        if tape is None:
            tape = self._tapes[pair_id] = self._load(pair_id)
        return tape.price

    def advance(self, at_ms: int) -> set[str]:
        """Move to another moment; returns the pairs whose delayed price is another one now."""
        self._threshold_ms = at_ms - LAG_MS
        return {pair_id for pair_id, tape in self._tapes.items() if self._move(pair_id, tape)}

    def next_ms(self) -> int | None:
        """When ``advance`` has something to do."""
        return min((self._due(tape) for tape in self._tapes.values()), default=None)

    def _due(self, tape: _Tape) -> int:
        older_ms = tape.ahead[0].time_ms + 1 if tape.ahead else tape.loaded_ms
        return min(older_ms, tape.loaded_ms) + LAG_MS

    def _move(self, pair_id: str, tape: _Tape) -> bool:
        before = tape.price
        while tape.ahead and tape.ahead[0].time_ms < self._threshold_ms:
            tape.price = tape.ahead.popleft()
        if self._threshold_ms >= tape.loaded_ms:
            fresh = self._load(pair_id)
            tape.price, tape.ahead, tape.loaded_ms = fresh.price, fresh.ahead, fresh.loaded_ms
        return tape.price != before

    def _load(self, pair_id: str) -> _Tape:
        loaded_ms = self._threshold_ms + AHEAD_MS
        rows = self._marks.history(pair_id, self._threshold_ms, loaded_ms)
        prices = (price_of(row) for row in rows)
        ahead = deque(p for p in prices if p is not None and self._threshold_ms <= p.time_ms <= loaded_ms)
        return _Tape(price_of(self._marks.at(pair_id, self._threshold_ms - 1)), ahead, loaded_ms)
