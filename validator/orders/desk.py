"""The account ``DEVELOPMENT``: orders for trying things out, filled by Vanta's rules at the marks.

Rule 1: everything it does is journalled in the stream ``actions``, which nobody is served: no frame, no
checkpoint and no list of hotkeys ever shows it.
Rule 2: each action is one append with a compare-and-set on the account, so two servers never act on the same
book twice.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

import msgspec
import structlog

from journal.entry import ACTIONS, Appended, ConflictError, Draft, Page, UnavailableError
from journal.fold import TrimmedError
from journal.state import State
from runtime.clock import Clock
from validator.orders.acting import act, look
from validator.orders.book import Account, Book, Change, Market
from validator.orders.signal import Signal, read_signal
from validator.positions import value_position
from validator.registry import Registry
from vanta_api.records import AccountSizeMessage, MarkMessage, Position, RestingOrder

DEVELOPMENT: Final = "DEVELOPMENT"  # its hotkey
LOOK_MS: Final = 10_000  # between two looks at resting orders
ATTEMPTS: Final = 50
HEAD: Final = "development|account"
POSITION: Final = "development|position|"  # <uuid>
ORDER: Final = "development|order|"  # <uuid>
OPEN_LAST: Final = 2**63  # open positions come after every closed one
PRICE_LEAST, PRICE_MOST = 1e-12, 1e12  # outside, a mark is no price that can be calculated with

_encode: Final = msgspec.json.Encoder().encode
_position: Final = msgspec.json.Decoder(Position).decode
_order: Final = msgspec.json.Decoder(RestingOrder).decode
_size: Final = msgspec.json.Decoder(AccountSizeMessage).decode
_log = structlog.get_logger()


class Store(Protocol):
    """The part of a journal that the desk needs."""

    def read(self, stream: str, after: int) -> Page: ...

    def append(self, drafts: Sequence[Draft]) -> list[Appended]: ...


class Marks(Protocol):
    """Where prices come from: a MarkStore."""

    def latest(self) -> dict[str, MarkMessage]: ...


class Desk:
    """``state``: where reading begins. ``size_of``: an account's size in USD by hotkey, None when not known.

    Threads may share it. Methods raise JournalError.
    """

    def __init__(
        self,
        journal: Store,
        state: State,
        marks: Marks,
        clock: Clock,
        size_of: Callable[[str], float | None],
    ) -> None:
        self._journal, self._marks, self._clock, self._size_of = journal, marks, clock, size_of
        self._lock = threading.Lock()
        self._book = Book()
        self._positions: dict[str, Position] = {}
        self._orders: dict[str, RestingOrder] = {}
        self._head = 0  # number of the account's newest entry
        self._after = state.vector.get(ACTIONS, 0)
        self._next_look_ms = 0
        for key, newest in state.latest.get(ACTIONS, {}).items():
            self._take(key, newest.body, newest.sequence)
        self._book = Book(dict(self._positions), dict(self._orders))

    def submit(self, body: Mapping[str, Any]) -> tuple[Signal, Change]:
        """Carry out a signal. Raises SignalError, UnavailableError."""
        signal = read_signal(body)
        return signal, self._transact(lambda book, account, market: act(book, account, signal, market))

    def look_if_due(self) -> None:
        """Fill resting orders that are due, at most every ``LOOK_MS``."""
        now_ms = self._clock.now_ms()
        if now_ms < self._next_look_ms:
            return
        self._next_look_ms = now_ms + LOOK_MS
        try:
            if self.book().unfilled():
                self._transact(look)
        except UnavailableError as error:
            _log.warning("development orders wait", problem=str(error))

    def book(self) -> Book:
        """The account as of now."""
        with self._lock:
            self._catch_up()
            return self._book

    def positions(self) -> list[Position]:
        """Closed positions by closing time, then open ones, valued at the present marks."""
        marks, now_ms = self._marks.latest(), self._clock.now_ms()
        held = self.book().positions.values()
        found = (_valued(one, price_of(marks.get(one.trade_pair[0])), now_ms) for one in held)
        return sorted(found, key=lambda one: (one.close_ms or OPEN_LAST, one.open_ms))

    def _transact(self, decide: Callable[[Book, Account, Market], Change]) -> Change:
        with self._lock:
            for _ in range(ATTEMPTS):
                self._catch_up()
                account = Account(DEVELOPMENT, self._size_of(DEVELOPMENT))
                change = decide(self._book, account, self._market())
                try:
                    self._write(change)
                except ConflictError:
                    continue  # another server was faster: look at the book as it is now
                return change
        raise UnavailableError("too many writers of the development account at once")

    def _market(self) -> Market:
        marks = self._marks.latest()
        return Market(self._clock.now_ms(), lambda pair: price_of(marks.get(pair)), lambda: str(uuid.uuid4()))

    def _write(self, change: Change) -> None:
        if not change.positions and not change.orders:
            return
        body = _encode({"development": {"action": str(uuid.uuid4())}})  # never equal to the one before
        drafts = [Draft(ACTIONS, HEAD, body, expected_last=self._head)]
        drafts += [Draft(ACTIONS, POSITION + one.position_uuid, _encode(one)) for one in change.positions]
        drafts += [Draft(ACTIONS, ORDER + one.order_uuid, _encode(one)) for one in change.orders]
        self._journal.append(drafts)

    def _catch_up(self) -> None:
        before = self._head
        while True:
            page = self._journal.read(ACTIONS, self._after)
            if page.trimmed:
                raise TrimmedError(f"{ACTIONS}: entries from {self._after + 1} on were trimmed")
            for entry in page.entries:
                self._take(entry.key, entry.body, entry.sequence)
                self._after = entry.sequence
            if not page.entries or self._after >= page.head:
                break
        if self._head != before:  # every change of the account has an entry of the head's
            self._book = Book(dict(self._positions), dict(self._orders))

    def _take(self, key: str, body: bytes, sequence: int) -> None:
        if key == HEAD:
            self._head = max(self._head, sequence)
        elif key.startswith(POSITION):
            position = _position(body)
            self._positions[position.position_uuid] = position
        elif key.startswith(ORDER):
            order = _order(body)
            self._orders[order.order_uuid] = order


def _valued(position: Position, price: float | None, now_ms: int) -> Position:
    return position if price is None else value_position(position, Decimal(repr(price)), now_ms)


def sizes_in(registry: Registry) -> Callable[[str], float | None]:
    """Account sizes in USD by hotkey, as they are registered."""

    def size_of(hotkey: str) -> float | None:
        fact = registry.get(f"account_size|{hotkey}")
        return None if fact is None else _size(fact.body).account_size.account_size

    return size_of


def price_of(mark: MarkMessage | None) -> float | None:
    """The mark's price; None when there is none that can be calculated with."""
    try:
        price = float(mark.price) if mark is not None else 0.0
    except ValueError:
        return None
    return price if PRICE_LEAST <= price <= PRICE_MOST else None
