"""What a client remembers between polls: contracts for good, reports while they matter, answers briefly."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from typing import Final

import msgspec

from runtime.clock import Clock
from venues.numbers import decode

LIVE: Final = frozenset({"NEW", "PENDING", "PARTIALLY_FILLED", "CANCEL_REJECTED"})


NOTHING: Final = msgspec.Raw(b"")


class LegHead(msgspec.Struct, rename="camel"):
    """As much of a leg as the client needs; ``contract_dto`` is the contract's JSON unchanged."""

    contract_id: int
    original_qty: float
    remaining_qty: float
    cancelled_qty: float = 0.0
    contract_dto: msgspec.Raw = NOTHING

    @property
    def contract(self) -> bytes | None:
        """The contract's JSON, None when the leg does not carry it."""
        row = bytes(self.contract_dto)
        return row if row not in (b"", b"null") else None


class OrderHead(msgspec.Struct, rename="camel"):
    """As much of an order as the client needs."""

    order_id: int
    order_status: str
    rev_date: int
    details: list[LegHead]

    @property
    def is_live(self) -> bool:
        return self.order_status in LIVE

    @property
    def progress(self) -> tuple[float, ...]:
        """What the report adds to those with the same progress: nothing."""
        return tuple(leg.original_qty - leg.remaining_qty - leg.cancelled_qty for leg in self.details)


class ContractHead(msgspec.Struct, rename="camel"):
    """A contract's id."""

    contract_id: int


class PositionHead(msgspec.Struct, rename="camel"):
    """As much of a position as the client needs."""

    contract_id: int
    positions_qty: float
    positions_avg_price: float
    orders: list[msgspec.Raw] | None = None


class Rows(msgspec.Struct):
    """An envelope around a list, its rows unchanged."""

    payload: list[msgspec.Raw]


rows_decoder: Final = msgspec.json.Decoder(Rows)
order_decoder: Final = msgspec.json.Decoder(OrderHead)
position_decoder: Final = msgspec.json.Decoder(PositionHead)
contract_decoder: Final = msgspec.json.Decoder(ContractHead)


def enveloped(rows: Iterable[bytes]) -> bytes:
    """An envelope around rows that the venue sent before."""
    return b'{"result":"OK","payload":[' + b",".join(rows) + b"]}"


def rows_of(part: str, body: bytes) -> list[bytes]:
    """The rows of an enveloped list. Raises Broken."""
    return [bytes(row) for row in decode(part, body, rows_decoder).payload]


class Catalog:
    """Contracts by id, as the venue described them. What a contract pays never changes."""

    def __init__(self) -> None:
        self._contracts: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def learn(self, part: str, body: bytes) -> None:
        """Take over the contracts of a list. Raises Broken."""
        for index, row in enumerate(rows_of(part, body)):
            self.learn_one(decode(f"{part}.payload[{index}]", row, contract_decoder).contract_id, row)

    def learn_one(self, contract_id: int, row: bytes) -> None:
        """Take over one contract."""
        with self._lock:
            self._contracts.setdefault(contract_id, row)

    def missing(self, ids: Iterable[int]) -> list[int]:
        """Which of these are not known yet."""
        with self._lock:
            return sorted({one for one in ids if one not in self._contracts})

    def body(self, ids: Iterable[int]) -> bytes:
        """An enveloped list of those that are known."""
        with self._lock:
            known = [self._contracts[one] for one in sorted(set(ids)) if one in self._contracts]
        return enveloped(known)


class Trail:
    """Earlier reports of one account's orders that were seen alive.

    The venue tells only of the last fill; with every report at hand each fill is told by its own.
    ``lock`` is held for a whole fetch: one fetch per account at a time.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.is_new = True
        self._reports: dict[int, dict[tuple[float, ...], bytes]] = {}
        self._live: set[int] = set()

    def lost(self, seen: Collection[int]) -> list[int]:
        """Orders that were alive at the last fetch and are in no answer of this one."""
        return sorted(self._live.difference(seen))

    def body(self, seen: Collection[int]) -> bytes | None:
        """An enveloped list of earlier reports of the orders seen now, None when there are none."""
        rows = [row for one in sorted(seen) for row in self._reports.get(one, {}).values()]
        return enveloped(rows) if rows else None

    def commit(self, reports: Iterable[tuple[OrderHead, bytes]], is_sound: Callable[[bytes], bool]) -> None:
        """Remember this fetch's reports (finished ones last), and forget the orders it does not mention.

        Only sound reports are remembered: a spoiled answer must not spoil the fetches after it.
        """
        kept: dict[int, dict[tuple[float, ...], bytes]] = {}
        self._live = set()
        for head, row in reports:
            earlier = self._reports.get(head.order_id, {})
            if head.is_live or earlier:
                own = kept.setdefault(head.order_id, dict(earlier))
                if head.progress not in own and is_sound(row):
                    own[head.progress] = row
            if head.is_live:
                self._live.add(head.order_id)
            else:
                self._live.discard(head.order_id)
        self._reports = kept
        self.is_new = False


class Briefly:
    """Answers that are the same for all accounts, asked for at most once in a while."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._answers: dict[str, tuple[float, bytes]] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, name: str, ttl_s: float, ask: Callable[[], bytes]) -> bytes:
        """The answer if it is younger than ``ttl_s``, else a new one; one thread asks, the others wait."""
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            known = self._answers.get(name)
            if known is not None and self._clock.monotonic() - known[0] < ttl_s:
                return known[1]
            body = ask()
            self._answers[name] = (self._clock.monotonic(), body)
            return body
