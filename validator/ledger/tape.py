"""Minute marks as a ledger reads them: for each tick the newest price from before it.

Rule 1: the last mark of a minute is what the next tick shows. A mark of the minute that is still running is
never looked at, so a tick reads the same now and for ever.
Rule 2: a tape is read from the store, never from memory of what came by: whoever recomputes sees the same.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol

from validator.ledger.checkpoint import MINUTE_MS
from validator.ledger.curve import tick_after
from vanta_api.records import MarkMessage


class Marks(Protocol):
    """The part of a MarkStore that a ledger needs."""

    def at(self, trade_pair_id: str, ms: int) -> MarkMessage | None: ...

    def history(self, trade_pair_id: str, from_ms: int, to_ms: int) -> Sequence[MarkMessage]: ...


class Tape:
    """One pair's prices: ``changes`` are ``(tick, price from then on)``, oldest first."""

    __slots__ = ("_prices", "_ticks", "from_ms", "until_ms")

    def __init__(self, from_ms: int) -> None:
        """A tape that knows nothing before the tick ``from_ms`` and nothing from it on yet."""
        self.from_ms = self.until_ms = from_ms
        self._ticks = array("q")
        self._prices = array("d")

    def add(self, tick_ms: int, price: float) -> None:
        """Note the price from a tick on; ticks must not go back."""
        if math.isfinite(price) and (not self._prices or self._prices[-1] != price):
            self._ticks.append(tick_ms)
            self._prices.append(price)

    def price(self, tick_ms: int) -> float | None:
        """The newest price from before the tick."""
        index = bisect_right(self._ticks, tick_ms)
        return self._prices[index - 1] if index else None

    def changes(self, after_ms: int, until_ms: int) -> list[tuple[int, float]]:
        """Changes at ticks after one and before another."""
        first = bisect_right(self._ticks, after_ms)
        last = bisect_right(self._ticks, until_ms - 1)
        return list(zip(self._ticks[first:last], self._prices[first:last], strict=True))


class Tapes:
    """The tapes of all pairs, read when asked for and kept until ``forget``."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._tapes: dict[str, Tape] = {}

    def tape(self, trade_pair_id: str, from_ms: int, until_ms: int) -> Tape:
        """The pair's tape, good for the ticks from one to another (both included)."""
        tape = self._tapes.get(trade_pair_id)
        if tape is None or tape.from_ms > from_ms:
            tape = self._tapes[trade_pair_id] = self._begin(trade_pair_id, from_ms)
        if tape.until_ms < until_ms:
            for mark in self._marks.history(trade_pair_id, tape.until_ms, until_ms - 1):
                tape.add(tick_after(mark.time_ms), float(mark.price))
            tape.until_ms = until_ms
        return tape

    def forget(self) -> None:
        """Read everything again from here on."""
        self._tapes.clear()

    def _begin(self, trade_pair_id: str, from_ms: int) -> Tape:
        start_ms = from_ms - from_ms % MINUTE_MS
        tape = Tape(start_ms)
        before = self._marks.at(trade_pair_id, start_ms - 1)
        if before is not None:
            tape.add(start_ms, float(before.price))
        return tape
