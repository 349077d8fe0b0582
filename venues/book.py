"""What one account looked like after the last poll, and what a new Snapshot changes about it.

Invariant: ``plan`` is pure and ``commit`` is called only after the plan's records are durable, so that a
failed append leaves the book as it was and the next poll finds the same changes again.

A venue's list of holdings and its list of fills are rarely read in the same instant. A holding that
disagrees with the fills is therefore believed only when two polls in a row say the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from validator.positions import identity as position_identity
from validator.positions import order_identity
from validator.trade_pairs import for_instrument
from vanta_api.records import OrderSource, Position, RestingOrder, TradePairTuple
from venues import fold, resting
from venues.fold import Context
from venues.model import Fill, Holding, Instrument, Mark, Snapshot

OVERLAP_MS: Final = 10 * 60_000  # fills are asked for again this far back: venues index late
ZERO: Final = Decimal(0)


@dataclass(slots=True)
class Plan:
    """What a poll changes: records to append in order, and the book's state once they are durable."""

    positions: list[Position] = field(default_factory=list)
    orders: list[RestingOrder] = field(default_factory=list)
    lots: dict[str, Position] = field(default_factory=dict)
    resting: dict[str, RestingOrder] = field(default_factory=dict)
    suspects: dict[str, Decimal] = field(default_factory=dict)
    fill_ids: set[str] = field(default_factory=set)
    newest_fill_ms: int = 0


class AccountBook:
    """One account's last known positions and resting orders.

    An account whose every position left the journal's window is asked for everything again; the journal
    knows each key's last content for ever, so that what it had already is not written twice.
    """

    def __init__(self, venue: str, account: str, hotkey: str, account_size: Decimal) -> None:
        self.venue, self.account, self.hotkey = venue, account, hotkey
        self.account_size = account_size
        self.lots: dict[str, Position] = {}  # position id or instrument → its most recent position
        self.resting: dict[str, RestingOrder] = {}
        self.fill_ids: set[str] = set()
        self.newest_fill_ms = 0
        self.is_new = True
        self._suspects: dict[str, Decimal] = {}

    def load(self, positions: Iterable[Position], orders: Iterable[RestingOrder]) -> None:
        """Take over what the journal says about this account."""
        for position in sorted(positions, key=lambda p: p.open_ms):
            self.lots[lot_of(position)] = position
            self.fill_ids |= fills_of(position)
            self.newest_fill_ms = max(self.newest_fill_ms, *(o.processed_ms for o in position.orders), 0)
            self.is_new = False
        for order in orders:
            if order.src == OrderSource.LIMIT_UNFILLED:
                self.resting[order.order_uuid] = order

    def since_ms(self) -> int | None:
        """From when on fills are wanted; None asks for everything (nothing is known yet)."""
        return None if self.is_new else max(0, self.newest_fill_ms - OVERLAP_MS)

    def plan(self, snapshot: Snapshot) -> Plan:
        """What ``snapshot`` changes. Pure: the book itself stays as it is."""
        return _Planner(self, snapshot).plan()

    def commit(self, plan: Plan) -> None:
        """Take over a plan whose records are durable."""
        self.lots.update(plan.lots)
        self.resting = plan.resting
        self.fill_ids |= plan.fill_ids
        self.newest_fill_ms = max(self.newest_fill_ms, plan.newest_fill_ms)
        self._suspects = plan.suspects
        self.is_new = False

    @property
    def suspects(self) -> dict[str, Decimal]:
        """Disagreements between fills and holdings seen once: lot → difference."""
        return self._suspects


def lot_of(position: Position) -> str:
    """The key under which fills of this position arrive."""
    facts = position.venue
    return "" if facts is None else facts.position_id or facts.instrument


def fills_of(position: Position) -> set[str]:
    """Venue ids of the fills this position was made from."""
    return {o.venue.order_id for o in position.orders if o.venue is not None and o.venue.order_id is not None}


class _Planner:
    """One run of ``AccountBook.plan``."""

    def __init__(self, book: AccountBook, snapshot: Snapshot) -> None:
        self._book, self._snapshot = book, snapshot
        self._instruments = {i.name: i for i in snapshot.instruments}
        self._marks = {m.instrument: m for m in snapshot.marks}
        self._holdings = {h.position_id or h.instrument: h for h in snapshot.holdings}
        self._plan = Plan(fill_ids=set(), newest_fill_ms=book.newest_fill_ms)

    def plan(self) -> Plan:
        self._void()
        for lot, fills in self._new_fills().items():
            self._apply(lot, fills)
        for lot in self._lots_to_check():
            self._reconcile(lot)
        self._plan.resting, self._plan.orders = resting.changes(
            self._book, self._snapshot, self._context_for_order, order_identity
        )
        if self._book.is_new:
            self._plan.positions = _last_of_each(self._plan.positions)
        return self._plan

    def _void(self) -> None:
        gone = self._snapshot.voided_fills & self._book.fill_ids
        for lot, position in self._book.lots.items():
            if gone & fills_of(position):
                self._emit(lot, [fold.without_fills(self._context(lot, position), position, gone)])

    def _new_fills(self) -> dict[str, list[Fill]]:
        known = self._book.fill_ids
        grouped: dict[str, list[Fill]] = {}
        for fill in self._snapshot.fills:
            if fill.fill_id not in known:
                grouped.setdefault(fill.position_id or fill.instrument, []).append(fill)
        return grouped

    def _apply(self, lot: str, fills: list[Fill]) -> None:
        current = self._current(lot)
        context = self._context(lot, current, fills[0].instrument)
        if current is not None:
            current = _before_late_fills(context, current, fills[0].time_ms)
            if current is None:
                return
        records: list[Position] = []
        for fill in fills:
            for step in (*fold.cover(context, current, fill), fill):
                made = fold.apply_fill(context, current, step)
                records += made
                current = made[-1] if made else current
            self._plan.fill_ids.add(fill.fill_id)
            self._plan.newest_fill_ms = max(self._plan.newest_fill_ms, fill.time_ms)
        self._emit(lot, records)

    def _lots_to_check(self) -> list[str]:
        still_open = [lot for lot in {**self._book.lots, **self._plan.lots} if self._net(lot)]
        return list(dict.fromkeys((*still_open, *self._holdings)))

    def _reconcile(self, lot: str) -> None:
        holding = self._holdings.get(lot)
        if holding is None and not self._snapshot.holdings_complete:
            return
        current = self._current(lot)
        context = self._context(lot, current, holding.instrument if holding else None)
        difference = (holding.quantity if holding else ZERO) - self._net(lot)
        if abs(difference) <= context.tolerance:
            return
        if self._book.suspects.get(lot) != difference:
            self._plan.suspects[lot] = difference
            return
        for fill in _explain(context, current, holding, difference):
            self._plan.fill_ids.add(fill.fill_id)
            self._emit(lot, fold.apply_fill(context, self._current(lot), fill))

    def _emit(self, lot: str, records: list[Position]) -> None:
        """Note the records that differ from what is known, and the newest as the lot's position."""
        for record in records:
            previous = self._current(lot)
            is_same = previous is not None and position_identity(previous) == position_identity(record)
            if not is_same:
                self._plan.positions.append(record)
            self._plan.lots[lot] = record

    def _current(self, lot: str) -> Position | None:
        return self._plan.lots.get(lot) or self._book.lots.get(lot)

    def _net(self, lot: str) -> Decimal:
        return fold.net_quantity(self._current(lot))

    def _context(self, lot: str, position: Position | None, instrument: str | None = None) -> Context:
        name = instrument or (position.venue.instrument if position and position.venue else lot)
        known = self._instruments.get(name) or Instrument(name=name, base=name, quote="USD")
        pair = position.trade_pair if position and name not in self._instruments else self._pair(known)
        mark: Mark | None = self._marks.get(name)
        return Context(
            venue=self._book.venue,
            account=self._book.account,
            hotkey=self._book.hotkey,
            instrument=known,
            trade_pair=pair,
            account_size=_size_of(position, self._book.account_size),
            observed_ms=self._snapshot.observed_ms,
            mark=mark.price if mark else None,
        )

    def _context_for_order(self, instrument: str) -> Context:
        return self._context(instrument, None, instrument)

    def _pair(self, instrument: Instrument) -> TradePairTuple:
        return for_instrument(self._book.venue, instrument)


def _size_of(position: Position | None, default: Decimal) -> Decimal:
    if position is None or position.is_closed_position or not position.account_size:
        return default
    return Decimal(repr(position.account_size))


def _before_late_fills(context: Context, current: Position, first_ms: int) -> Position | None:
    """The position that late fills apply to: derived orders they explain are taken back.

    None: the fills are older than a baseline that stands for them already (it is never recomputed).
    """
    opening = current.orders[0] if current.orders else None
    is_baseline = opening is not None and opening.venue is not None and opening.venue.derived
    if is_baseline and opening is not None and first_ms <= opening.processed_ms:
        return None
    return fold.without_derived_since(context, current, first_ms)


def _explain(
    context: Context, current: Position | None, holding: Holding | None, difference: Decimal
) -> list[Fill]:
    """The derived fills that turn what we know into what the venue says it holds."""
    net = fold.net_quantity(current)
    target = holding.quantity if holding else ZERO
    position_id = (
        holding.position_id if holding else current.venue.position_id if current and current.venue else None
    )
    lot = position_id or context.instrument.name

    def fill(quantity: Decimal, price: Decimal, at_ms: int, part: str) -> Fill:
        return Fill(
            fill_id=f"derived:{context.observed_ms}:{lot}{part}",
            instrument=context.instrument.name,
            quantity=quantity,
            price=price,
            time_ms=at_ms,
            position_id=position_id,
            derived=True,
            notional_usd=abs(quantity * holding.notional_price)
            if holding and holding.notional_price
            else None,
        )

    if net == 0 or current is None:
        opened_ms = holding.opened_ms if holding and holding.opened_ms else context.observed_ms
        price = _known_price(context, holding, None)
        return [fill(difference, price, opened_ms, "")]
    if target == 0 or (target > 0) == (net > 0):
        return [
            fill(
                difference, _explaining_price(context, current, holding, difference), context.observed_ms, ""
            )
        ]
    close = fill(-net, _known_price(context, None, current), context.observed_ms, ":close")
    return [close, fill(target, _known_price(context, holding, current), context.observed_ms, ":open")]


def _known_price(context: Context, holding: Holding | None, current: Position | None) -> Decimal:
    if holding is not None and holding.average_entry_price is not None:
        return holding.average_entry_price
    if context.mark is not None:
        return context.mark
    return fold.average_entry(current) if current is not None else ZERO


def _explaining_price(
    context: Context, current: Position, holding: Holding | None, difference: Decimal
) -> Decimal:
    """The price at which adding ``difference`` gives the venue's new average; the mark for a reduction."""
    net, average = fold.net_quantity(current), fold.average_entry(current)
    grows = (difference > 0) == (net > 0)
    if not grows or holding is None or holding.average_entry_price is None:
        return _known_price(context, None, current)
    price = (holding.average_entry_price * holding.quantity - average * net) / difference
    return price if price > 0 or average < 0 else _known_price(context, None, current)


def _last_of_each(records: list[Position]) -> list[Position]:
    """Of an account's whole history only each position's final record, in order of opening."""
    last = {record.position_uuid: record for record in records}
    return sorted(last.values(), key=lambda record: (record.close_ms or record.open_ms, record.position_uuid))
