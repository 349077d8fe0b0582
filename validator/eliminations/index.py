"""What the journal says of every hotkey, as far as rules need it: positions, resting orders, ledgers.

Rule 1: an index stands at a number in each stream; ``catch_up`` brings it to the journal's present.
Rule 2: bodies are kept packed and read when somebody asks; what is open is known at once.
Rule 3: a body that cannot be read is left alone: nobody is eliminated or closed by guessing.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from journal.entry import LEDGER, ORDERS, POSITIONS, Entry, Journal
from journal.fold import entries_after
from journal.state import State
from validator.ledger.checkpoint import Bundle
from validator.ledger.view import Ledgers
from vanta_api.records import (
    OrderSource,
    Position,
    RestingOrder,
    decode_order_message,
    decode_position_message,
)

UNFILLED: Final = frozenset((OrderSource.LIMIT_UNFILLED, OrderSource.BRACKET_UNFILLED))
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)
_FAST: Final = 1  # zlib level

Watcher = Callable[[str, bytes, int], None]

_log = structlog.get_logger()


class _Life(msgspec.Struct):
    is_closed_position: bool
    close_ms: int | None


class _PositionLife(msgspec.Struct):
    position: _Life


class _Source(msgspec.Struct):
    src: int


class _OrderSource(msgspec.Struct):
    order: _Source


_life: Final = msgspec.json.Decoder(_PositionLife)
_source: Final = msgspec.json.Decoder(_OrderSource)


@dataclass(frozen=True, slots=True)
class Held:
    """A key's newest entry. ``close_ms`` None: a position that is open, an order that rests."""

    key: str
    sequence: int
    packed: bytes
    close_ms: int | None = None

    @property
    def body(self) -> bytes:
        return zlib.decompress(self.packed)


class Index:
    """Follows ``journal``. ``watch_ledger`` is called with every ledger entry."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._after = {POSITIONS: 0, ORDERS: 0, LEDGER: 0}
        self._positions: defaultdict[str, dict[str, Held]] = defaultdict(dict)
        self._orders: defaultdict[str, dict[str, Held]] = defaultdict(dict)
        self._watchers: list[Watcher] = []
        self._ledgers = Ledgers()
        self._unread: dict[str, str] = {}  # hotkeys whose ledger cannot be read, and why

    def watch_ledger(self, watcher: Watcher) -> None:
        """Have ``watcher`` told key, body and number of every ledger entry, beginning with ``load``."""
        self._watchers.append(watcher)

    def load(self, state: State) -> None:
        """Begin with a journal's State."""
        for stream in self._after:
            for key, newest in state.latest.get(stream, {}).items():
                self._take(stream, key, newest.body, newest.sequence)
            self._after[stream] = state.vector.get(stream, 0)

    def catch_up(self) -> None:
        """Take over what the journal has by now. Raises JournalError."""
        for stream, after in self._after.items():
            for entry in entries_after(self._journal, stream, after):
                self.take(entry)

    def take(self, entry: Entry) -> None:
        """Take over one entry of a followed stream."""
        self._take(entry.stream, entry.key, entry.body, entry.sequence)
        self._after[entry.stream] = entry.sequence

    def hotkeys(self) -> list[str]:
        """Everybody who has ever had a position here, as far back as the window."""
        return sorted(self._positions)

    def open_positions(self, hotkey: str) -> list[tuple[Held, Position]]:
        """The hotkey's open positions, by key."""
        return [(held, one) for held, one in self.positions(hotkey) if not one.is_closed_position]

    def positions(self, hotkey: str, *, closed_since_ms: int | None = None) -> list[tuple[Held, Position]]:
        """The hotkey's positions, by key: the open ones and those closed since a moment (None: none)."""
        found = []
        for key in sorted(self._positions.get(hotkey, {})):
            held = self._positions[hotkey][key]
            is_wanted = held.close_ms is None or (
                closed_since_ms is not None and held.close_ms >= closed_since_ms
            )
            if is_wanted and (position := _position_of(held)) is not None:
                found.append((held, position))
        return found

    def resting_orders(self, hotkey: str) -> list[tuple[Held, RestingOrder]]:
        """The hotkey's unfilled orders, by key."""
        found = ((held, _order_of(held)) for _, held in sorted(self._orders.get(hotkey, {}).items()))
        return [(held, order) for held, order in found if order is not None]

    def is_busy(self, hotkey: str) -> bool:
        """Whether anything of the hotkey is open or resting."""
        held = self._positions.get(hotkey, {}).values()
        return bool(self._orders.get(hotkey)) or any(one.close_ms is None for one in held)

    @property
    def through_ms(self) -> int | None:
        """The boundary that every ledger has passed; None before the first."""
        return self._ledgers.through_ms

    def ledger_hotkeys(self) -> list[str]:
        """Who has a ledger."""
        return self._ledgers.hotkeys()

    def revision(self, hotkey: str) -> tuple[int, int]:
        """Changes exactly when the hotkey's ledgers do."""
        return self._ledgers.revision(hotkey)

    def bundle(self, hotkey: str) -> Bundle | None:
        """The hotkey's ledgers; None when there are none, or they cannot be read."""
        try:
            return self._ledgers.bundle(hotkey)
        except UNREADABLE as error:
            if self._unread.get(hotkey) != str(error):
                _log.warning("ledger not judged", hotkey=hotkey, problem=str(error))
            self._unread[hotkey] = str(error)
            return None

    def forget_closed(self, before_ms: int) -> None:
        """Let go of positions that closed before a moment."""
        for hotkey, held in self._positions.items():
            kept = {
                key: one for key, one in held.items() if one.close_ms is None or one.close_ms >= before_ms
            }
            self._positions[hotkey] = kept

    def _take(self, stream: str, key: str, body: bytes, sequence: int) -> None:
        try:
            if stream == POSITIONS:
                self._take_position(key, body, sequence)
            elif stream == ORDERS:
                self._take_order(key, body, sequence)
            else:
                self._take_ledger(key, body, sequence)
        except UNREADABLE as error:
            _log.warning("entry not judged", stream=stream, sequence=sequence, problem=str(error))

    def _take_position(self, key: str, body: bytes, sequence: int) -> None:
        life = _life.decode(body).position
        close_ms = (life.close_ms or 0) if life.is_closed_position else None
        hotkey = key.rpartition("|")[0]
        self._positions[hotkey][key] = Held(key, sequence, zlib.compress(body, _FAST), close_ms)

    def _take_order(self, key: str, body: bytes, sequence: int) -> None:
        hotkey = key.rpartition("|")[0]
        if _source.decode(body).order.src in UNFILLED:
            self._orders[hotkey][key] = Held(key, sequence, zlib.compress(body, _FAST))
        else:
            self._orders[hotkey].pop(key, None)

    def _take_ledger(self, key: str, body: bytes, sequence: int) -> None:
        self._ledgers.take(key, body, sequence)
        for watcher in self._watchers:
            watcher(key, body, sequence)


def _position_of(held: Held) -> Position | None:
    try:
        return decode_position_message(held.body).position
    except UNREADABLE as error:
        _log.warning("position not judged", key=held.key, problem=str(error))
        return None


def _order_of(held: Held) -> RestingOrder | None:
    try:
        return decode_order_message(held.body).order
    except UNREADABLE as error:
        _log.warning("order not judged", key=held.key, problem=str(error))
        return None
