"""How far a portfolio is below its highest value: what withdrawals of collateral are slashed by.

Rule: figures that are missing count in the owner's favour: without a ledger, the highest value is at least
what was put in and at least what is there now.
"""

from __future__ import annotations

import threading
from math import isfinite, prod
from typing import Final

import msgspec

from journal.entry import LEDGER, Reader
from journal.fold import entries_after
from journal.state import State
from rest_server.books import Book
from rest_server.services import Source
from validator.ledger.checkpoint import PORTFOLIO
from validator.ledger.record import PREFIX, read_checkpoint

START: Final = 1.0  # a portfolio's value before its first order


class Drawdowns:
    """Value over highest value, by hotkey. Threads may share it.

    ``state``: where reading the ledgers begins; ``reader`` is asked for what comes after.
    """

    def __init__(self, reader: Reader, state: State, source: Source) -> None:
        self._reader, self._source = reader, source
        self._lock = threading.Lock()
        self._peaks: dict[str, float] = {}
        self._after = state.vector.get(LEDGER, 0)
        for key, newest in state.latest.get(LEDGER, {}).items():
            self._take(key, newest.body)

    def __call__(self, hotkey: str) -> float:
        """The hotkey's portfolio value over its highest one, from 0 to 1 (1: it has never been higher)."""
        published = self._source.current()
        book = published.books.get(hotkey) if published is not None else None
        value = _value(book) if book is not None else START
        peak = max(START, value, self._peak(hotkey))
        return min(1.0, max(0.0, value / peak))

    def _peak(self, hotkey: str) -> float:
        with self._lock:
            for entry in entries_after(self._reader, LEDGER, self._after):
                self._take(entry.key, entry.body)
                self._after = entry.sequence
            return self._peaks.get(hotkey, START)

    def _take(self, key: str, body: bytes) -> None:
        if not key.startswith(PREFIX):
            return
        try:
            record = read_checkpoint(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return  # the follower has reported it
        portfolio = record.ledgers.get(PORTFOLIO)
        if portfolio is not None and isfinite(portfolio.max_return):
            peak = self._peaks.get(record.hotkey, START)
            self._peaks[record.hotkey] = max(peak, portfolio.max_return)


def _value(book: Book) -> float:
    """The product of all positions' returns after fees, those that are no longer kept included."""
    positions = (held.live.position for held in book.held.values())
    now = prod(position.return_at_close for position in positions if position is not None)
    value = now * prod(totals.product for totals in book.totals.values())
    return value if isfinite(value) else START
