"""The state that requests read: one immutable reference, swapped as a whole.

Rule 1: views and vector belong together. An answer says sequence N exactly when it holds everything up to N
and nothing after it.
Rule 2: below tier 100 the sequence, the times and the content come only from what is ``LAG_MS`` old or
real-time for that tier.
Rule 3: documents are made when first asked for and kept with the reference; a reference that nobody asks
costs nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from rest_server.audience import Audience
from rest_server.books import Book, Dashboard
from rest_server.documents import Document
from rest_server.gzip_join import Piece, stored
from rest_server.ledger_books import LedgerBook
from rest_server.papers import Papers
from rest_server.registered import Registered
from rest_server.resting import OrderBook
from vanta_api.records import RestingOrder

_OPEN, _CLOSE, _COMMA = stored(b"{"), stored(b"}"), stored(b",")


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a reader may see: a ``positions`` number, and the time of the newest fact (None: unknown)."""

    sequence: int
    changed_ms: int | None


@dataclass(frozen=True)
class Published:
    """Everything as of ``at_ms``. ``valid_until_ms``: when time alone changes some view (None: never)."""

    epoch: str
    vector: Mapping[str, int]
    live: Standing
    delayed: Standing
    books: Mapping[str, Book]
    orders: Mapping[str, OrderBook]
    registered: Registered
    ledgers: Mapping[str, LedgerBook]
    ledger_bodies: Mapping[str, bytes]
    papers: Mapping[str, Papers]
    at_ms: int
    valid_until_ms: int | None
    version: str
    _documents: dict[Hashable, Document] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def standing_of(self, audience: Audience) -> Standing:
        """What ``X-Sequence`` and ``Last-Modified`` say to this audience."""
        return self.live if audience.is_live else self.delayed

    def miner_positions(self, audience: Audience) -> Document:
        """``GET /miner-positions``: hotkeys by falling returns, each with its tier."""
        return self.document(("positions", audience), lambda: self._make_positions(audience))

    def one_miner(self, hotkey: str, audience: Audience) -> Document | None:
        """``GET /miner-positions/<id>``: live readers get no ``tier`` key, as in Vanta."""
        book = self.books.get(hotkey)
        if book is None:
            return None
        last = _CLOSE if audience.is_live else stored(b',"tier":%d}' % audience.tier)
        return Document((_OPEN, book.dashboard(audience).piece, last))

    def resting(self, hotkey: str, audience: Audience) -> list[RestingOrder]:
        """The hotkey's resting orders that this audience may see."""
        book = self.orders.get(hotkey)
        return book.orders(audience, self.at_ms) if book else []

    @cached_property
    def hotkeys(self) -> frozenset[str]:
        """Every hotkey the state knows."""
        return frozenset((*self.books, *self.orders, *self.registered.account_sizes))

    def document(self, name: Hashable, make: Callable[[], Document]) -> Document:
        """What ``make`` makes, made once for this state; ``name`` says what it is."""
        made = self._documents.get(name)
        if made is not None:
            return made
        with self._lock:  # one thread makes it, the others wait for the same bytes
            if name not in self._documents:
                self._documents[name] = make()
            return self._documents[name]

    def _make_positions(self, audience: Audience) -> Document:
        return Document(
            (_OPEN, *self._hotkey_pieces(audience, stored(b',"tier":%d}' % audience.tier)), _CLOSE)
        )

    def _hotkey_pieces(self, audience: Audience, last: Piece) -> list[Piece]:
        pieces: list[Piece] = []
        for _, dashboard in self.by_returns(audience):
            if pieces:
                pieces.append(_COMMA)
            pieces.append(dashboard.member(last))
        return pieces

    def by_returns(self, audience: Audience) -> list[tuple[Book, Dashboard]]:
        """Every hotkey's book and what this audience sees of it, by falling returns."""
        rows = [(book, book.dashboard(audience)) for book in self.books.values()]
        return sorted(rows, key=lambda row: (-row[1].thirty_day_returns, row[0].hotkey))
