"""One hotkey's performance ledgers, put together and encoded when somebody asks, for everybody.

Rule: a book is immutable; a new entry of the hotkey, or a boundary that all have passed, makes a new one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from typing import Final

import msgspec
import structlog

from journal.restore.shape import canonical
from rest_server.gzip_join import Piece
from validator.ledger.checkpoint import PORTFOLIO, Bundle, Ledger
from validator.ledger.record import THROUGH_KEY
from validator.ledger.shapes import to_bundle, to_flat
from validator.ledger.view import Ledgers, Shape
from validator.trade_pairs import is_vanta
from vanta_api.wire import WireError

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, WireError)

_log = structlog.get_logger()


class LedgerBook:
    """The ledgers of ``hotkey``; ``bodies`` are its entries and the one that says how far all are done."""

    def __init__(self, hotkey: str, bodies: Mapping[str, bytes]) -> None:
        self.hotkey = hotkey
        self._bodies = bodies
        self._pieces: dict[tuple[Shape, bool], Piece] = {}
        self._seen: tuple[int, Bundle | None] | None = None

    @cached_property
    def bundle(self) -> Bundle | None:
        """The portfolio's ledger and each trade pair's; None while no span is done."""
        return self._assembled(None)

    def seen(self, before_ms: int | None) -> Bundle | None:
        """The same as it was before a moment: only spans that had ended by then; None: as it is now."""
        if before_ms is None:
            return self.bundle
        seen = self._seen
        if seen is None or seen[0] != before_ms:
            seen = self._seen = (before_ms, self._assembled(before_ms))
        return seen[1]

    def _assembled(self, before_ms: int | None) -> Bundle | None:
        ledgers = Ledgers()
        try:
            for key, body in self._bodies.items():
                ledgers.take(key, body, 0)
            return ledgers.bundle(self.hotkey, before_ms)
        except UNREADABLE as error:
            _log.warning("ledger not shown", hotkey=self.hotkey, problem=str(error))
            return None

    def piece(self, shape: Shape, only_vanta: bool) -> Piece | None:
        """The hotkey's JSON in this shape. Two threads may make it at once; they make the same."""
        if self.bundle is None:
            return None
        made = self._pieces.get((shape, only_vanta))
        if made is None:
            bundle = known_pairs(self.bundle) if only_vanta else self.bundle
            value = to_bundle(bundle) if shape == "bundle" else to_flat(bundle[PORTFOLIO])
            made = self._pieces[shape, only_vanta] = Piece(canonical(value))
        return made


def known_pairs(bundle: Bundle) -> Bundle:
    """The ledgers without pairs that a plain Vanta validator does not know."""
    return {name: _known(one) for name, one in bundle.items() if name == PORTFOLIO or is_vanta(name)}


def _known(ledger: Ledger) -> Ledger:
    prices = {pair: known for pair, known in ledger.last_known_prices.items() if is_vanta(pair)}
    return msgspec.structs.replace(ledger, last_known_prices=prices)


class LedgerKeeper:
    """Follows the ``ledger`` stream. Mutable and owned by one thread at a time; ``books`` are values."""

    def __init__(self) -> None:
        self.books: dict[str, LedgerBook] = {}
        self.bodies: Mapping[str, bytes] = {}  # a value: every key's newest body, of whatever kind
        self._newest: dict[str, bytes] = {}
        self._through: dict[str, bytes] = {}
        self._bodies: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        self._touched: set[str] = set()
        self._is_different = False

    def take(self, key: str, body: bytes) -> None:
        """Take over an entry. Raises msgspec.ValidationError when the body is none of ours."""
        self._newest[key] = body
        self._is_different = True
        hotkey = Ledgers().take(key, body, 0)
        if key == THROUGH_KEY:
            self._through = {key: body}
            self._touched.update(self._bodies)
        elif hotkey is not None:
            self._bodies[hotkey][key] = body
            self._touched.add(hotkey)

    def settle(self) -> bool:
        """Make the new books of changed hotkeys; True when there was an entry."""
        if not self._is_different:
            return False
        for hotkey in self._touched:
            self.books[hotkey] = LedgerBook(hotkey, self._bodies[hotkey] | self._through)
        self.bodies = dict(self._newest)
        self._touched.clear()
        self._is_different = False
        return True
