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
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

import msgspec

from journal.entry import POSITIONS
from rest_server.audience import Audience
from rest_server.books import Book, Dashboard
from rest_server.documents import Document
from rest_server.gzip_join import Piece, stored
from rest_server.resting import OrderBook, status_of
from vanta_api.records import AccountSizeRecord, RestingOrder

_encode: Final = msgspec.json.Encoder().encode
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
    account_sizes: Mapping[str, tuple[AccountSizeRecord, ...]]
    at_ms: int
    valid_until_ms: int | None
    version: str
    _documents: dict[tuple[str, Audience], Document] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def standing_of(self, audience: Audience) -> Standing:
        """What ``X-Sequence`` and ``Last-Modified`` say to this audience."""
        return self.live if audience.is_live else self.delayed

    def miner_positions(self, audience: Audience) -> Document:
        """``GET /miner-positions``: hotkeys by falling returns, each with its tier."""
        return self._document("positions", audience)

    def checkpoint(self, audience: Audience) -> Document:
        """``GET /validator-checkpoint``."""
        return self._document("checkpoint", audience)

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
        return frozenset((*self.books, *self.orders, *self.account_sizes))

    def _document(self, kind: str, audience: Audience) -> Document:
        made = self._documents.get((kind, audience))
        if made is not None:
            return made
        with self._lock:  # one thread makes it, the others wait for the same bytes
            if (kind, audience) not in self._documents:
                make = self._make_positions if kind == "positions" else self._make_checkpoint
                self._documents[kind, audience] = make(audience)
            return self._documents[kind, audience]

    def _make_positions(self, audience: Audience) -> Document:
        return Document(
            (_OPEN, *self._hotkey_pieces(audience, stored(b',"tier":%d}' % audience.tier)), _CLOSE)
        )

    def _hotkey_pieces(self, audience: Audience, last: Piece) -> list[Piece]:
        pieces: list[Piece] = []
        for _, dashboard in self._by_returns(audience):
            if pieces:
                pieces.append(_COMMA)
            pieces.append(dashboard.member(last))
        return pieces

    def _by_returns(self, audience: Audience) -> list[tuple[Book, Dashboard]]:
        rows = [(book, book.dashboard(audience)) for book in self.books.values()]
        return sorted(rows, key=lambda row: (-row[1].thirty_day_returns, row[0].hotkey))

    def _make_checkpoint(self, audience: Audience) -> Document:
        head, tail = self._checkpoint_ends(audience)
        return Document((Piece(head), *self._hotkey_pieces(audience, _CLOSE), Piece(tail)))

    def _checkpoint_ends(self, audience: Audience) -> tuple[bytes, bytes]:
        youngest, oldest = self._order_times(audience)
        before = {
            "version": self.version,
            "created_timestamp_ms": self.at_ms,
            "created_date": datetime.fromtimestamp(self.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S"),
            "epoch": self.epoch,
            "sequence": self.vector.get(POSITIONS, 0),
            "sequences": dict(self.vector),
            "challengeperiod": {},
            "miner_account_sizes": {
                hotkey: [_size_row(record) for record in records]
                for hotkey, records in sorted(self.account_sizes.items())
            },
            "eliminations": [],
            "youngest_order_processed_ms": youngest,
            "oldest_order_processed_ms": oldest,
        }
        after = {
            "perf_ledgers": {},
            "asset_selections": {},
            "limit_orders": self._limit_orders(audience),
        }
        return _encode(before)[:-1] + b',"positions":{', b"}," + _encode(after)[1:]

    def _order_times(self, audience: Audience) -> tuple[int, int]:
        """Smallest and largest ``processed_ms`` of all orders (Vanta's names for them are inverted)."""
        times = [
            order.processed_ms
            for book in self.books.values()
            for held in book.held.values()
            if audience.view_of(held) is not None
            for order in held.record.orders
        ]
        return (min(times), max(times)) if times else (0, 0)

    def _limit_orders(self, audience: Audience) -> dict[str, dict[str, list[RestingOrder]]]:
        found: dict[str, dict[str, list[RestingOrder]]] = {}
        for hotkey, book in sorted(self.orders.items()):
            unfilled = (one for one in book.orders(audience, self.at_ms) if status_of(one) == "unfilled")
            for order in unfilled:
                found.setdefault(order.trade_pair_id, {}).setdefault(hotkey, []).append(order)
        return found


def _size_row(record: AccountSizeRecord) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(record)
    del row["hotkey"]  # it is the key above
    return row
