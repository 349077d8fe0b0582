"""An account's books: orders, positions, money. Only arithmetic; what happens when is decided elsewhere.

Invariant: the sum of an account's fills of a contract is its position in it, at every moment; money moves
only with a fill, a fee, a deposit or a settlement.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from venues.ithaca.exchange.market import PRICE_STEP, Listing

ZERO: Final = Decimal(0)
USDC: Final = "USDC"
STAMP_DELAY_MS: Final = 10  # an auction's reports are stamped this long after its round time
REPORTS_KEPT: Final = 2_000


@dataclass(slots=True)
class Leg:
    """One contract of an order. ``sign`` is 1 for BUY; ``cost`` is the sum of quantity times price."""

    listing: Listing
    sign: int
    original: Decimal
    filled: Decimal = ZERO
    cancelled: Decimal = ZERO
    cost: Decimal = ZERO
    last: Decimal | None = None
    last_price: Decimal | None = None

    @property
    def remaining(self) -> Decimal:
        return self.original - self.filled - self.cancelled

    @property
    def average(self) -> Decimal:
        """Average price per unit filled, to the venue's price step."""
        return (self.cost / self.filled).quantize(PRICE_STEP, ROUND_HALF_EVEN) if self.filled else ZERO


@dataclass(slots=True)
class Order:
    """One conditional order: all its legs fill in the same proportion or not at all.

    ``net_price`` is the most that may be paid for the whole (negative: the least to be received).
    ``skew`` moves value from the second leg's price to the first's: only their sum is agreed.
    ``is_seeded`` tells the sandbox's own orders from those that clients sent.
    """

    id: int
    legs: list[Leg]
    net_price: Decimal
    created_ms: int
    spot: Decimal
    time_in_force: str = "GOOD_TILL_CANCEL"
    description: str = ""
    good_till_ms: int = 0
    skew: Decimal = ZERO
    is_seeded: bool = False
    status: str = "NEW"
    reason: str | None = None
    rev_ms: int = 0
    inserted_ms: int = 0

    @property
    def is_live(self) -> bool:
        return self.status in ("NEW", "PARTIALLY_FILLED")


@dataclass(slots=True)
class Position:
    """What is held of one contract. ``shown`` is the quantity as the venue's floats add up."""

    listing: Listing
    quantity: Decimal = ZERO
    average: Decimal = ZERO
    shown: float = 0.0
    orders: list[Order] = field(default_factory=list)

    def add(self, quantity: Decimal, price: Decimal, order: Order) -> None:
        """Take a fill over: growing averages, shrinking keeps the average, reversing starts again."""
        before, after = self.quantity, self.quantity + quantity
        if before == 0 or (before > 0) == (quantity > 0):
            self.average = (self.average * before + price * quantity) / after
        elif after != 0 and (after > 0) != (before > 0):
            self.average, self.orders, self.shown = price, [], 0.0
            quantity = after
        self.quantity = after
        self.shown += float(quantity)
        if order not in self.orders[-3:]:
            self.orders.append(order)


@dataclass(slots=True)
class Fund:
    """Money in one currency: in the contract, and the delta that the next settlement brings."""

    deposited: Decimal = ZERO
    pending: Decimal = ZERO


@dataclass(slots=True)
class Settled:
    """What was held at one expiry, at which price it settled."""

    expiry_ms: int
    prices: dict[str, Decimal]
    positions: list[tuple[Listing, Decimal, Decimal]]  # contract, quantity, average price


@dataclass(slots=True)
class Account:
    """One client of the exchange. ``done`` are finished orders, oldest first by ``done_ms``."""

    index: int
    address: str
    private_key: str
    client_id: int
    usual_deposit: dict[str, Decimal]
    deposits: list[tuple[int, str, Decimal]] = field(default_factory=list)
    funds: dict[str, Fund] = field(default_factory=dict)
    positions: dict[int, Position] = field(default_factory=dict)
    live: dict[int, Order] = field(default_factory=dict)
    done: list[Order] = field(default_factory=list)
    done_ms: list[int] = field(default_factory=list)
    by_id: dict[int, Order] = field(default_factory=dict)
    fees: dict[int, Decimal] = field(default_factory=dict)
    history: dict[int, Settled] = field(default_factory=dict)
    reports: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=REPORTS_KEPT))
    reported: int = 0

    def report(self, order: Order) -> None:
        """Note that the order changed, for whoever listens on the socket."""
        self.reported += 1
        self.reports.append((self.reported, order.id))

    def finish(self, order: Order) -> None:
        """Move a live order to the finished ones."""
        self.live.pop(order.id, None)
        self.done.append(order)
        self.done_ms.append(order.rev_ms)
        self.report(order)

    def fill(self, order: Order, leg: Leg, quantity: Decimal, price: Decimal) -> None:
        """Execute ``quantity`` (unsigned) of a leg. Spot becomes a balance, everything else a position."""
        leg.filled += quantity
        leg.cost += quantity * price
        leg.last, leg.last_price = quantity, price
        signed = leg.sign * quantity
        self.fund(USDC).pending -= signed * price
        if leg.listing.payoff == "Spot":
            self.fund(leg.listing.pair.coin).pending += signed
            return
        position = self.positions.setdefault(leg.listing.id, Position(leg.listing))
        position.add(signed, price, order)
        if position.quantity == 0:
            del self.positions[leg.listing.id]

    def deposit(self, currency: str, at_ms: int) -> None:
        """Bring the usual amount of a currency into the contract."""
        amount = self.usual_deposit[currency]
        self.fund(currency).deposited += amount
        self.deposits.append((at_ms, currency, amount))

    def fund(self, currency: str) -> Fund:
        """The account's money in that currency."""
        return self.funds.setdefault(currency, Fund())
