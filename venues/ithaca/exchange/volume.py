"""What was traded, summed up by day, product and strike for the venue's public statistics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from venues.ithaca.exchange.fees import Part
from venues.ithaca.exchange.market import Listing
from venues.world import DAY_MS

PRODUCTS = {"BinaryCall": "Binary Call", "BinaryPut": "Binary Put"}


@dataclass(slots=True)
class Sums:
    """Quantities in USDC units (binaries) and in coins, and both converted into either."""

    num: Decimal = Decimal(0)
    und: Decimal = Decimal(0)
    total_in_num: Decimal = Decimal(0)
    total_in_und: Decimal = Decimal(0)
    count: int = 0

    def add(self, listing: Listing, quantity: Decimal, spot: Decimal) -> None:
        """Count an unsigned quantity of one contract."""
        self.count += 1
        if listing.is_binary:
            self.num += quantity
            self.total_in_num += quantity
            self.total_in_und += quantity / spot
        else:
            self.und += quantity
            self.total_in_num += quantity * spot
            self.total_in_und += quantity

    def wire(self) -> dict[str, float]:
        return {
            "num": float(self.num),
            "totalInNum": float(round(self.total_in_num, 8)),
            "totalInUnd": float(round(self.total_in_und, 8)),
            "und": float(self.und),
        }


@dataclass(slots=True)
class Volume:
    """Executions of all accounts, by pair and day and product."""

    by_day: dict[tuple[str, int, str], Sums] = field(default_factory=dict)

    def note(self, part: Part, spot: Decimal, at_ms: int) -> None:
        """Count one execution."""
        key = (part.listing.pair.name, at_ms // DAY_MS, product(part.listing))
        self.by_day.setdefault(key, Sums()).add(part.listing, part.quantity, spot)

    def rows(self, pair: str, from_day: int, to_day: int) -> Iterator[tuple[int, str, Sums]]:
        """``(day number, product, sums)`` of the days from ``from_day`` to ``to_day``, in order."""
        for (name, day, kind), sums in sorted(self.by_day.items(), key=lambda item: item[0]):
            if name == pair and from_day <= day <= to_day:
                yield day, kind, sums


def total(rows: Iterator[Sums]) -> Sums:
    """All rows in one."""
    whole = Sums()
    for sums in rows:
        whole.num += sums.num
        whole.und += sums.und
        whole.total_in_num += sums.total_in_num
        whole.total_in_und += sums.total_in_und
        whole.count += sums.count
    return whole


def product(listing: Listing) -> str:
    """The product's name as the statistics spell it."""
    return PRODUCTS.get(listing.payoff, listing.payoff)


def wire_by(groups: dict[Any, Sums]) -> dict[str, dict[str, float]]:
    """``{group: sums}`` as it goes out."""
    return {str(key): sums.wire() for key, sums in groups.items()}
