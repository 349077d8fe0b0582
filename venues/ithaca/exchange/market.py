"""What is listed and what it is worth, as pure functions of seed and time.

Invariant: nothing here is stored. A contract's id says its expiry, pair, strike and payoff, so that a
contract that expired weeks ago is found again after a restart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Any, Final

from venues.world import DAY_MS, HOUR_MS, price

PRICE_STEP: Final = Decimal("0.0001")
EPOCH: Final = datetime(2023, 1, 1, 8, tzinfo=UTC)  # contract ids count days from here
IDS_PER_DAY: Final = 100
OPTION_PAYOFFS: Final = ("Call", "Put", "BinaryCall", "BinaryPut")
FRIDAY: Final = 4
DAILY_LISTED_DAYS: Final = 3
FRIDAY_LISTED_DAYS: Final = 28
YEAR_MS: Final = 365 * DAY_MS
CARRY: Final = 0.04  # a year's interest in the forward price
QUOTE_EVERY_MS: Final = 5_000  # quotes change with the auctions


@dataclass(frozen=True, slots=True)
class Pair:
    """An underlying against USDC. ``size`` is a usual quantity; ``spot_id`` its next-auction contract."""

    name: str
    base: Decimal
    strike_step: Decimal
    strikes_each_side: int
    volatility: float
    first_index: int
    spot_id: int
    size: Decimal
    quantity_places: int = 7

    @property
    def coin(self) -> str:
        return self.name.split("/")[0]

    @property
    def indices(self) -> int:
        """Contracts per expiry: the forward, and four payoffs per strike."""
        return 1 + len(OPTION_PAYOFFS) * (2 * self.strikes_each_side + 1)


PAIRS: Final = (
    Pair("WETH/USDC", Decimal(3300), Decimal(100), 4, 0.65, 0, 1, Decimal("0.3")),
    Pair("WBTC/USDC", Decimal(95000), Decimal(2500), 2, 0.5, 37, 2, Decimal("0.01")),
)
PAIR_BY_NAME: Final = {pair.name: pair for pair in PAIRS}


@dataclass(frozen=True, slots=True)
class Listing:
    """One contract. ``expiry`` is the venue's integer form of ``expiry_ms``."""

    id: int
    payoff: str
    pair: Pair
    expiry_ms: int
    strike: Decimal | None = None

    @property
    def expiry(self) -> int:
        return expiry_number(self.expiry_ms)

    @property
    def is_binary(self) -> bool:
        return self.payoff.startswith("Binary")

    @property
    def places(self) -> int:
        """Decimals of a quantity."""
        return 4 if self.is_binary else self.pair.quantity_places

    def pays(self, spot: Decimal) -> Decimal:
        """USDC per unit when the underlying settles at ``spot``."""
        if self.strike is None:
            return spot
        if self.payoff == "Call":
            return max(spot - self.strike, Decimal(0))
        if self.payoff == "Put":
            return max(self.strike - spot, Decimal(0))
        return Decimal(int((spot > self.strike) == (self.payoff == "BinaryCall")))

    def wire(self, now_ms: int) -> dict[str, Any]:
        """The contract as the venue describes it."""
        economics: dict[str, Any] = {"currencyPair": self.pair.name, "expiry": self.expiry}
        if self.strike is not None:
            economics["strike"] = float(self.strike)
        economics["priceCurrency"] = "USDC"
        economics["qtyCurrency"] = "USDC" if self.is_binary else self.pair.coin
        is_tradeable = self.payoff == "Spot" or now_ms < self.expiry_ms
        return {
            "contractId": self.id,
            "payoff": self.payoff,
            "economics": economics,
            "tradeable": is_tradeable,
        }


@dataclass(frozen=True, slots=True)
class Quote:
    """The house's prices per unit; ``bid`` is None when a unit is worth less than the smallest price."""

    bid: Decimal | None
    ask: Decimal
    mid: Decimal


def expiry_number(at_ms: int) -> int:
    """``250207080`` for 2025-02-07 08:00 UTC."""
    return int(datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%y%m%d%H%M")[:9])


def expiry_ms_of(number: int) -> int | None:
    """The time of an expiry number, None when it is not one of this venue's."""
    try:
        at = datetime.strptime(f"{number:09d}"[:6] + "08+0000", "%y%m%d%H%z")
    except ValueError:
        return None
    return int(at.timestamp() * 1000) if number % 1000 == 80 else None


def next_expiry_ms(after_ms: int) -> int:
    """The first 08:00 UTC later than ``after_ms``."""
    today = after_ms - after_ms % DAY_MS + 8 * HOUR_MS
    return today if today > after_ms else today + DAY_MS


def black(payoff: str, forward: float, strike: float, years: float, volatility: float) -> float:
    """Black's value of one European option or digital, undiscounted."""
    deviation = volatility * math.sqrt(years)
    d1 = math.log(forward / strike) / deviation + deviation / 2
    d2 = d1 - deviation
    if payoff == "Call":
        return forward * normal(d1) - strike * normal(d2)
    if payoff == "Put":
        return strike * normal(-d2) - forward * normal(-d1)
    return normal(d2) if payoff == "BinaryCall" else normal(-d2)


def normal(x: float) -> float:
    """Standard normal distribution function."""
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))


class Market:
    """Prices and listings of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.spot = lru_cache(maxsize=4096)(self._spot)
        self.listing = lru_cache(maxsize=8192)(self._listing)
        self.quote = lru_cache(maxsize=8192)(self._quote)

    def expiries(self, now_ms: int) -> list[int]:
        """Expiry times that are listed now, nearest first."""
        first = next_expiry_ms(now_ms)
        every = (first + day * DAY_MS for day in range(FRIDAY_LISTED_DAYS + 1))
        return [at for at in every if listed_from(at) <= now_ms]

    def contracts(self, now_ms: int) -> list[Listing]:
        """Every contract listed now: the next-auction contracts, then expiry by expiry."""
        spots = [self.listing(pair.spot_id) for pair in PAIRS]
        listed = [listing for at in self.expiries(now_ms) for listing in self.contracts_of(at)]
        return [listing for listing in (*spots, *listed) if listing is not None]

    def contracts_of(self, expiry_ms: int) -> list[Listing]:
        """The contracts of one expiry, whether it is past or not."""
        first = day_number(expiry_ms) * IDS_PER_DAY
        every = (self.listing(first + index) for pair in PAIRS for index in pair_range(pair))
        return [listing for listing in every if listing is not None]

    def forward(self, pair: Pair, expiry_ms: int, now_ms: int) -> float:
        """Fair price for delivery at the expiry."""
        return float(self.spot(pair, now_ms)) * math.exp(CARRY * max(0, expiry_ms - now_ms) / YEAR_MS)

    def value(self, listing: Listing, now_ms: int) -> float:
        """Fair value of one unit in USDC."""
        if listing.payoff == "Spot":
            return float(self.spot(listing.pair, now_ms))
        forward = self.forward(listing.pair, listing.expiry_ms, now_ms)
        if listing.strike is None:
            return forward
        years = max(60_000, listing.expiry_ms - now_ms) / YEAR_MS
        return black(listing.payoff, forward, float(listing.strike), years, listing.pair.volatility)

    def _spot(self, pair: Pair, now_ms: int) -> Decimal:
        return price(self.seed, pair.name, pair.base, now_ms, Decimal("0.01"))

    def _listing(self, contract_id: int) -> Listing | None:
        for pair in PAIRS:
            if contract_id == pair.spot_id:
                return Listing(contract_id, "Spot", pair, 0)
        day, index = divmod(contract_id, IDS_PER_DAY)
        pair = next((pair for pair in PAIRS if index in pair_range(pair)), PAIRS[0])
        if day < 1 or day > 30_000 or index not in pair_range(pair):
            return None
        expiry_ms = int((EPOCH + timedelta(days=day)).timestamp() * 1000)
        inner = index - pair.first_index
        if inner == 0:
            return Listing(contract_id, "Forward", pair, expiry_ms)
        step, kind = divmod(inner - 1, len(OPTION_PAYOFFS))
        centre = round(self.spot(pair, listed_from(expiry_ms)) / pair.strike_step) * pair.strike_step
        strike = centre + (step - pair.strikes_each_side) * pair.strike_step
        return Listing(contract_id, OPTION_PAYOFFS[kind], pair, expiry_ms, strike)

    def _quote(self, listing: Listing, now_ms: int) -> Quote:
        value = self.value(listing, now_ms)
        half = _half_spread(listing, value, float(self.spot(listing.pair, now_ms)))
        high = 0.9999 if listing.is_binary else math.inf
        ask = min(value + half, high)
        bid = value - half
        return Quote(
            bid=_rounded(bid) if bid >= 0.0001 else None,
            ask=max(_rounded(ask), PRICE_STEP),
            mid=_rounded(value),
        )


def pair_range(pair: Pair) -> range:
    """The places of a pair's contracts among the ids of one day."""
    return range(pair.first_index, pair.first_index + pair.indices)


def day_number(expiry_ms: int) -> int:
    """Days from the epoch of contract ids."""
    return (expiry_ms - int(EPOCH.timestamp() * 1000)) // DAY_MS


def listed_from(expiry_ms: int) -> int:
    """When the contracts of an expiry appeared: Fridays weeks ahead, other days a few days ahead."""
    is_friday = datetime.fromtimestamp(expiry_ms / 1000, UTC).weekday() == FRIDAY
    return expiry_ms - (FRIDAY_LISTED_DAYS if is_friday else DAILY_LISTED_DAYS) * DAY_MS


def quote_time(now_ms: int) -> int:
    """The auction whose prices are shown at ``now_ms``."""
    return now_ms - now_ms % QUOTE_EVERY_MS


def _half_spread(listing: Listing, value: float, spot: float) -> float:
    if listing.is_binary:
        return 0.01
    if listing.strike is None:
        return spot * 0.0002
    return value * 0.005 + spot * 0.00003


def _rounded(amount: float) -> Decimal:
    return Decimal(repr(amount)).quantize(PRICE_STEP, ROUND_HALF_EVEN)
