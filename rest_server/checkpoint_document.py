"""``/validator-checkpoint`` as a document: Vanta's sections, ours beside them, and the digests of all.

Rule 1: everything in it is of one moment; it says which (``epoch``, ``sequences``).
Rule 2: ``journal.restore`` reads it back by the rules of ``journal.restore.shape``; what is written here in
another form than there would be refused there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

import msgspec

from journal.entry import LEDGER, POSITIONS, REGISTRY
from journal.restore.facts import REPLACED_BY_SECTIONS, kind_of
from journal.restore.shape import (
    FACTS,
    HEAD,
    canonical,
    head_digest,
    list_digest,
    map_digest,
    value_digest,
)
from rest_server.audience import Audience
from rest_server.documents import Document
from rest_server.gzip_join import Piece, Stored, stored
from rest_server.ledger_books import LedgerBook
from rest_server.published import Published
from rest_server.resting import status_of
from validator.ledger.view import Shape
from validator.trade_pairs import is_vanta

OrderShape = Literal["by_pair", "by_hotkey"]

_encode: Final = msgspec.json.Encoder().encode
_CLOSE, _COMMA = stored(b"}"), stored(b",")


class Form(NamedTuple):
    """How a reader wants it. ``has_facts``: with every registered fact, for a complete restore."""

    limit_orders: OrderShape = "by_pair"
    perf_ledgers: Shape = "flat"
    has_facts: bool = False


def checkpoint(published: Published, audience: Audience, form: Form) -> Document:
    """The document for this audience, made once for this state."""
    name = ("checkpoint", audience, form)
    return published.document(name, lambda: Document(tuple(_Maker(published, audience, form).pieces())))


class _Maker:
    """One document in the making; ``_digests`` fills as sections are written."""

    def __init__(self, published: Published, audience: Audience, form: Form) -> None:
        self._published, self._audience, self._form = published, audience, form
        self._digests: dict[str, str] = {}

    def pieces(self) -> Iterable[Piece]:
        """The whole text in order."""
        yield Piece(self._before())
        yield from self._positions()
        yield stored(b'},"perf_ledgers":{')
        yield from self._ledgers()
        yield Piece(b"}," + self._after()[1:])

    def _before(self) -> bytes:
        published, registered = self._published, self._published.registered
        youngest, oldest = self._order_times()
        head = {
            "version": published.version,
            "created_timestamp_ms": published.at_ms,
            "created_date": datetime.fromtimestamp(published.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S"),
            "epoch": published.epoch,
            "sequence": published.vector.get(POSITIONS, 0),
            "sequences": dict(published.vector),
            "youngest_order_processed_ms": youngest,
            "oldest_order_processed_ms": oldest,
        }
        self._digests["head"] = head_digest(head)
        sections: dict[str, Any] = {
            "challengeperiod": self._map("challengeperiod", registered.challenge_periods),
            "miner_account_sizes": self._map("miner_account_sizes", registered.account_sizes),
            "eliminations": self._eliminations(),
        }
        first, last = HEAD[:-2], HEAD[-2:]
        shown = {name: head[name] for name in first} | sections | {name: head[name] for name in last}
        return _encode(shown)[:-1] + b',"positions":{'

    def _positions(self) -> Iterable[Piece]:
        digests: list[tuple[str, bytes]] = []
        for book, dashboard in self._published.by_returns(self._audience):
            if digests:
                yield _COMMA
            yield dashboard.member(_CLOSE)
            digests.append((book.hotkey, dashboard.piece.sha256))
        self._digests["positions"] = map_digest(digests)

    def _ledgers(self) -> Iterable[Piece]:
        digests: list[tuple[str, bytes]] = []
        for hotkey, piece in self._ledger_pieces():
            yield Stored((b",%b:" if digests else b"%b:") % _encode(hotkey))
            yield piece
            digests.append((hotkey, piece.sha256))
        self._digests["perf_ledgers"] = map_digest(digests)

    def _ledger_pieces(self) -> Iterable[tuple[str, Piece]]:
        books: Mapping[str, LedgerBook] = self._published.ledgers
        for hotkey in sorted(books):
            piece = books[hotkey].piece(self._form.perf_ledgers, self._audience.only_vanta)
            if piece is not None:
                yield hotkey, piece

    def _after(self) -> bytes:
        after: dict[str, Any] = {
            "asset_selections": self._map("asset_selections", self._published.registered.asset_selections),
            "limit_orders": self._map("limit_orders", self._limit_orders()),
            "archived": self._map("archived", self._archived()),
        }
        if self._form.has_facts:
            after[FACTS] = self._facts()
        return _encode({**after, "digests": self._digests})

    def _map(self, name: str, values: Mapping[str, Any]) -> dict[str, msgspec.Raw]:
        """The section with its values in canonical form; notes its digest."""
        raw = {key: canonical(value) for key, value in sorted(values.items())}
        self._digests[name] = map_digest((key, value_digest(value)) for key, value in raw.items())
        return {key: msgspec.Raw(value) for key, value in raw.items()}

    def _eliminations(self) -> list[dict[str, Any]]:
        rows = self._published.registered.eliminations
        self._digests["eliminations"] = list_digest(rows)
        return rows

    def _order_times(self) -> tuple[int, int]:
        """Smallest and largest ``processed_ms`` of all orders (Vanta's names for them are inverted)."""
        times = [
            order.processed_ms
            for book in self._published.books.values()
            for held in book.held.values()
            if self._audience.view_of(held) is not None
            for order in held.record.orders
        ]
        return (min(times), max(times)) if times else (0, 0)

    def _limit_orders(self) -> dict[str, Any]:
        """Unfilled orders: pair → hotkey → list as Vanta writes them, or hotkey → list as it reads them."""
        found: dict[str, Any] = {}
        for hotkey, book in sorted(self._published.orders.items()):
            orders = book.orders(self._audience, self._published.at_ms)
            for order in (one for one in orders if status_of(one) == "unfilled"):
                if self._form.limit_orders == "by_pair":
                    found.setdefault(order.trade_pair_id, {}).setdefault(hotkey, []).append(order)
                else:
                    found.setdefault(hotkey, []).append(order)
        return found

    def _archived(self) -> dict[str, Any]:
        """Hotkey → pair → what positions that are no longer kept one by one add up to."""
        found: dict[str, Any] = {}
        for hotkey, book in self._published.books.items():
            pairs = {
                pair: {name: getattr(total, name) for name in total.__struct_fields__}
                for pair, total in book.totals.items()
                if total.positions and (not self._audience.only_vanta or is_vanta(pair))
            }
            if pairs:
                found[hotkey] = pairs
        return found

    def _facts(self) -> dict[str, dict[str, msgspec.Raw]]:
        """Every registry and ledger key's newest body as it is; ``archived`` has a section of its own."""
        registered = self._published.registered.bodies()
        streams = {
            REGISTRY: {key: body for key, body in registered if kind_of(key) not in REPLACED_BY_SECTIONS},
            LEDGER: dict(self._published.ledger_bodies),
        }
        digests = [
            (f"{stream}|{key}", value_digest(canonical(msgspec.json.decode(body))))
            for stream, facts in streams.items()
            for key, body in facts.items()
        ]
        self._digests[FACTS] = map_digest(digests)
        return {
            stream: {key: msgspec.Raw(body) for key, body in sorted(facts.items())}
            for stream, facts in streams.items()
        }
