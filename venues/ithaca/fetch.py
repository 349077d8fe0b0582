"""One account read completely, at one moment, or not at all.

Rule 1: positions are read first and again last; when they differ something was executed in between, and
everything is read again, so that fills and holdings always belong together.
Rule 2: an order that was alive at the last fetch and is in no list now is asked for by its id.
Rule 3: pages overlap by one row, which must be the same row; a list that moved under us is read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from runtime.settings import AccountSettings
from venues.errors import Broken, Rejected, Retryable
from venues.ithaca import parts, schemas
from venues.ithaca.lookups import Lookups, Shared
from venues.ithaca.memory import (
    OrderHead,
    PositionHead,
    Trail,
    order_decoder,
    position_decoder,
    rows_of,
)
from venues.ithaca.orders import read_report
from venues.model import Payload
from venues.numbers import decode

PAGE: Final = 500
TRIES: Final = 4
DAY_MS: Final = 86_400_000
WINDOW_MS: Final = 90 * DAY_MS  # the venue cuts longer periods
SETTLED_LATE_MS: Final = DAY_MS  # an expiry may be published this long after it
SKEW_MS: Final = 3_600_000  # the venue's clock may be ahead of ours
SYSTEM_TTL_S: Final = 600.0


class _Moved(Exception):
    """The account changed while it was being read."""


class _One(msgspec.Struct):
    payload: msgspec.Raw


_one: Final = msgspec.json.Decoder(_One)
_keyed: Final = msgspec.json.Decoder(schemas.Envelope[dict[str, msgspec.Raw]])


def fetch(shared: Shared, trail: Trail, account: AccountSettings, since_ms: int | None) -> Payload:
    """Everything the normaliser needs; see ``venues.venue.VenueClient.fetch``."""
    with trail.lock:
        for _ in range(TRIES):
            try:
                reading = _Reading(shared, trail, account, since_ms)
                bodies = reading.read()
            except _Moved:
                continue
            trail.commit(reading.reports, reading.is_sound)
            return Payload(
                venue="ithaca",
                account=account.account,
                observed_ms=shared.clock.now_ms(),
                since_ms=since_ms,
                parts=bodies,
            )
    raise Retryable(f"account {account.account} kept changing while it was read", after_s=1.0)


class _Reading:
    """One attempt. ``reports`` are the order reports found, those of finished orders last."""

    def __init__(self, shared: Shared, trail: Trail, account: AccountSettings, since_ms: int | None) -> None:
        self._shared, self._reads, self._trail = shared, shared.reads, trail
        self._account, self._since_ms = account, since_ms
        self._bodies: dict[str, bytes] = {}
        self._rows: list[PositionHead] = []
        self._wanted: set[int] = set()  # contracts the normaliser will look up
        self._past: dict[int, str] = {}  # past contracts → the expiry they were listed under
        self.reports: list[tuple[OrderHead, bytes]] = []

    def read(self) -> dict[str, bytes]:
        """Read everything. Raises _Moved when the account changed meanwhile."""
        shared, bodies = self._shared, self._bodies
        bodies[parts.SYSTEM_INFO] = shared.briefly.get("system", SYSTEM_TTL_S, self._reads.system_info)
        is_whole = self._since_ms is None or self._trail.is_new
        before = self._reads.client_current_positions(
            self._account, "SHOW_ORDERS" if is_whole else "NO_DETAILS"
        )
        bodies[parts.POSITIONS] = before
        self._note_orders(parts.OPEN_ORDERS, self._reads.client_open_orders(self._account))
        self._trade_history()
        self._lost_orders()
        self._rows = _positions(before)
        self._historical()
        after = _positions(self._reads.client_current_positions(self._account, "NO_DETAILS"))
        if _held(self._rows) != _held(after):
            raise _Moved
        bodies[parts.FUND_LOCK] = self._reads.client_fund_lock_state(self._account)
        self._shown_orders()
        self._lookups()
        seen = {head.order_id for head, _ in self.reports}
        if (earlier := self._trail.body(seen)) is not None:
            bodies[parts.TRAIL] = earlier
        return bodies

    def is_sound(self, row: bytes) -> bool:
        """Whether the normaliser will be able to read this report."""
        contracts = parts.payload_of(self._bodies, parts.CONTRACTS, schemas.CONTRACTS)
        try:
            read_report("", decode("", row, schemas.ORDER_ROW), {c.contract_id: c for c in contracts}, {})
        except Broken:
            return False
        return True

    def _note_orders(self, part: str, body: bytes) -> list[int]:
        self._bodies[part] = body
        rows = rows_of(part, body)
        return [self._note_order(f"{part}.payload[{index}]", row) for index, row in enumerate(rows)]

    def _note_order(self, path: str, row: bytes) -> int:
        head = decode(path, row, order_decoder)
        self._note_legs(head)
        self.reports.append((head, row))
        return head.order_id

    def _note_legs(self, head: OrderHead) -> None:
        for leg in head.details:
            if leg.contract is None:
                self._wanted.add(leg.contract_id)
            else:
                self._shared.catalog.learn_one(leg.contract_id, leg.contract)

    def _trade_history(self) -> None:
        offset, page, previous = 0, 0, list[int]()
        while True:
            body = self._reads.trade_history(
                self._account, from_ms=self._since_ms or 0, offset=offset, limit=PAGE
            )
            ids = self._note_orders(f"{parts.TRADE_HISTORY}{page}", body)
            if previous and ids == previous:
                raise Broken("tradeHistory", f"another page at offset {offset}", "the same page again")
            if previous and ids[:1] != previous[-1:]:
                raise _Moved
            if len(ids) != PAGE:
                return
            previous, page, offset = ids, page + 1, offset + PAGE - 1

    def _lost_orders(self) -> None:
        for order_id in self._trail.lost({head.order_id for head, _ in self.reports}):
            try:
                body = self._reads.order_status(self._account, order_id)
            except Rejected as error:
                if error.status in (404, 412):
                    continue  # the venue forgot it: nothing more will be told of it
                raise
            part = f"{parts.ORDER_STATUS}{order_id}"
            self._bodies[part] = body
            self._note_order(f"{part}.payload", bytes(decode(part, body, _one).payload))

    def _historical(self) -> None:
        now_ms = self._shared.clock.now_ms()
        start_ms = self._history_start(now_ms)
        end_ms, window = now_ms + SKEW_MS, 0
        while True:
            part = f"{parts.HISTORICAL}{window}"
            from_ms = max(start_ms, end_ms - WINDOW_MS)
            body = self._reads.client_historical_positions_by_date_period(self._account, from_ms, end_ms)
            self._bodies[part] = body
            self._note_past(part, body)
            if from_ms <= start_ms:
                return
            end_ms, window = from_ms, window + 1

    def _history_start(self, now_ms: int) -> int:
        """Expiries matter from then on: since the last poll, or since the account's first order."""
        if self._since_ms is not None:
            return max(0, self._since_ms - SETTLED_LATE_MS)
        first_ms = min((head.rev_date for head, _ in self.reports), default=now_ms)
        return min(first_ms, now_ms) - DAY_MS

    def _note_past(self, part: str, body: bytes) -> None:
        by_expiry = decode(part, body, _keyed).payload
        if "positions" in by_expiry:
            by_expiry = {"": decode(part, body, _one).payload}
        for expiry, raw in by_expiry.items():
            past = decode(f"{part}.payload[{expiry!r}]", bytes(raw), schemas.HISTORICAL_ONE)
            self._past.update((row.contract_id, expiry) for row in past.positions)

    def _shown_orders(self) -> None:
        for index, row in enumerate(self._rows):
            for order in row.orders or ():
                path = f"{parts.POSITIONS}.payload[{index}].orders"
                self._note_legs(decode(path, bytes(order), order_decoder))

    def _lookups(self) -> None:
        """Add the contracts and prices that the answers so far refer to."""
        held = {row.contract_id for row in self._rows}
        live = {leg.contract_id for head, _ in self.reports if head.is_live for leg in head.details}
        lookups = Lookups(self._shared)
        self._bodies[parts.CONTRACTS] = lookups.contracts({*self._wanted, *held}, self._past)
        self._bodies.update(lookups.prices({*held, *live}))


def _positions(body: bytes) -> list[PositionHead]:
    rows = rows_of(parts.POSITIONS, body)
    return [
        decode(f"{parts.POSITIONS}.payload[{index}]", row, position_decoder) for index, row in enumerate(rows)
    ]


def _held(rows: Iterable[PositionHead]) -> Mapping[int, tuple[float, float]]:
    return {row.contract_id: (row.positions_qty, row.positions_avg_price) for row in rows}
