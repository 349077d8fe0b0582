"""Snapshots for the tests of books: a spot market, one account, fills written as short tuples."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from vanta_api.records import Position
from venues.book import AccountBook, Plan
from venues.model import Fill, Holding, Instrument, Mark, Snapshot

T0 = 1_750_000_000_000
FUEL = Instrument(name="FUEL/USDC", base="FUEL", quote="USDC", lot=Decimal("0.000001"))


def d(value: object) -> Decimal:
    return Decimal(str(value))


def fill(number: int, quantity: object, price: object, **options: Any) -> Fill:
    """Fill ``f<number>``, ``number`` seconds after T0."""
    options.setdefault("fill_id", f"f{number}")
    options.setdefault("time_ms", T0 + number * 1000)
    options.setdefault("instrument", FUEL.name)
    return Fill(quantity=d(quantity), price=d(price), **options)


def snapshot(
    at_s: int, fills: list[Fill] | None = None, held: object = None, mark: object = 10, **options: Any
) -> Snapshot:
    """A complete picture ``at_s`` seconds after T0; ``held`` None: the venue lists no holding at all."""
    average = options.pop("average", None)
    position_id = options.pop("position_id", None)
    holding = Holding(
        instrument=FUEL.name,
        quantity=d(held or 0),
        position_id=position_id,
        average_entry_price=None if average is None else d(average),
    )
    options.setdefault("holdings", () if held is None else (holding,))
    options.setdefault("holdings_complete", held is not None)
    options.setdefault("instruments", (FUEL,))
    return Snapshot(
        venue="o2",
        account="a",
        observed_ms=T0 + at_s * 1000,
        fills=tuple(fills or ()),
        marks=(Mark(instrument=FUEL.name, price=d(mark), time_ms=T0 + at_s * 1000),),
        **options,
    )


def book(size: object = 1000) -> AccountBook:
    return AccountBook("o2", "a", "hk", d(size))


def feed(account: AccountBook, *snapshots: Snapshot) -> list[Plan]:
    """Plan and commit each snapshot in turn."""
    plans = []
    for one in snapshots:
        plan = account.plan(one)
        account.commit(plan)
        plans.append(plan)
    return plans


def quantities(plan: Plan) -> list[str | None]:
    return [p.venue.quantity if p.venue else None for p in plan.positions]


def last(plans: list[Plan]) -> Position:
    return plans[-1].positions[-1]
