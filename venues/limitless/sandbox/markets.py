"""The sandbox's markets: series that list a new market every so often, for ever in both directions.

Invariant: a market, its price at any moment and its outcome are pure functions of the seed and its slug.
Nothing is stored: last month's markets and next month's are there when somebody asks for them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Final, Literal

from venues.world import DAY_MS, HOUR_MS, draw, price

MINUTE_MS: Final = 60_000
MILLI: Final = 1000  # prices are counted in ticks of 0.001
FLOOR, CEILING = 5, 995  # no open market is quoted nearer to certainty than half a cent
CENT: Final = Decimal("0.01")
CHILDREN: Final = 3

EXCHANGES: Final = (
    "0xa4409D988CA2218d956BeEFD3874100F444f0DC3",
    "0xF1De958F8641448A5ba78c01f434085385Af096D",
    "0x05c748E2f4DcDe0ec9Fa8DDc40DE6b867f923fa5",
)
NEG_RISK_EXCHANGE: Final = "0x5a38afc17F7E97ad8d6C547ddb837E40B4aEDfC6"
NEG_RISK_ADAPTER: Final = "0xb8DAA4C8C9f690396f671BB601727A4c3741340C"

Kind = Literal["updown", "above", "group", "amm"]


@dataclass(frozen=True, slots=True)
class Series:
    """One recurring question. ``period_ms`` lies between two listings, ``duration_ms`` until expiry."""

    number: int
    asset: str
    base: Decimal
    kind: Kind
    label: str
    period_ms: int
    duration_ms: int
    delay_ms: int = 0  # takers wait this long before they are matched
    takes_usd_fee: bool = False  # a collateral-fee venue: buyers pay their fee in USDC, not in shares


SERIES: Final = (
    Series(1, "BTC", Decimal(79_800), "updown", "1-hour", HOUR_MS, HOUR_MS, delay_ms=3000),
    Series(2, "ETH", Decimal(2_900), "updown", "1-hour", HOUR_MS, HOUR_MS),
    Series(3, "SOL", Decimal(165), "above", "1-day", 12 * HOUR_MS, DAY_MS),
    Series(4, "BTC", Decimal(79_800), "above", "1-day", 12 * HOUR_MS, DAY_MS),
    Series(5, "BTC", Decimal(79_800), "above", "1-week", DAY_MS, 7 * DAY_MS),
    Series(6, "ETH", Decimal(2_900), "above", "1-week", DAY_MS, 7 * DAY_MS, takes_usd_fee=True),
    Series(7, "DOGE", Decimal("0.21"), "above", "1-week", 2 * DAY_MS, 7 * DAY_MS),
    Series(8, "XRP", Decimal("2.3"), "amm", "1-week", 3 * DAY_MS, 7 * DAY_MS),
    Series(9, "FED", Decimal(1), "group", "6-day", 3 * DAY_MS, 6 * DAY_MS),
)
OUTCOMES_OF_GROUP: Final = ("cut", "hold", "hike")


@dataclass(frozen=True, slots=True)
class Market:
    """One tradeable YES/NO question. ``child`` is its place in its group."""

    slug: str
    title: str
    series: Series
    index: int
    created_ms: int
    expires_ms: int
    strike: Decimal
    yes_token: str
    no_token: str
    condition_id: str
    exchange: str
    address: str | None = None
    child: int | None = None
    group: str | None = None

    @property
    def id(self) -> int:
        """The venue's number of the market."""
        child = 0 if self.child is None else self.child + 1
        return self.series.number * 10_000_000 + self.index * 4 + child

    @property
    def tokens(self) -> tuple[str, str]:
        """Token ids of YES and NO: 256-bit numbers as text."""
        return self.yes_token, self.no_token

    @property
    def is_amm(self) -> bool:
        return self.series.kind == "amm"

    @property
    def adapter(self) -> str | None:
        return NEG_RISK_ADAPTER if self.group is not None else None


def hex_of(size: int, *names: object) -> str:
    """``0x`` and ``size`` bytes that depend only on the names."""
    text = "/".join(map(str, names)).encode()
    return "0x" + hashlib.blake2b(text, digest_size=size).hexdigest()


class Universe:
    """All markets of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._listing = lru_cache(maxsize=4096)(self._list)
        self.quote = lru_cache(maxsize=16384)(self._quote)

    def listing(self, series: Series, index: int) -> tuple[Market, ...]:
        """The market listed at ``index`` periods since 1970, or the children of its group."""
        return self._listing(series, index)

    def active(self, at_ms: int) -> Iterator[tuple[Market, ...]]:
        """Listings open for trade at ``at_ms``."""
        for series in SERIES:
            first = (at_ms - series.duration_ms) // series.period_ms + 1
            for index in range(first, at_ms // series.period_ms + 1):
                yield self.listing(series, index)

    def tradeable(self, at_ms: int, *, min_left_ms: int = 0) -> list[Market]:
        """Markets (children one by one) open for trade for at least ``min_left_ms`` more."""
        return [
            market
            for listing in self.active(at_ms)
            for market in listing
            if market.expires_ms - at_ms > min_left_ms
        ]

    def find(self, name: str, at_ms: int = 0) -> tuple[Market, ...]:
        """The listing with this slug, group slug or AMM address; of a child's slug the child alone.

        Empty when there is none. Addresses are looked up among the listings of the weeks before ``at_ms``.
        """
        if name.startswith("0x"):
            return next((li for li in self._recent_amm(at_ms) if li[0].address == name.lower()), ())
        stem, _, stamp = name.rpartition("-")
        created_ms = int(stamp) if stamp.isdecimal() and len(stamp) < 16 else 0
        for series in SERIES if stem and created_ms else ():
            if created_ms % series.period_ms:
                continue
            listing = self.listing(series, created_ms // series.period_ms)
            if listing[0].group == name:
                return listing
            for market in listing:
                if market.slug == name:
                    return (market,)
        return ()

    def recent(self, at_ms: int) -> Iterator[tuple[Market, ...]]:
        """Listings that are open or expired less than a day ago."""
        for series in SERIES:
            first = (at_ms - series.duration_ms - DAY_MS) // series.period_ms
            for index in range(first, at_ms // series.period_ms + 1):
                yield self.listing(series, index)

    def _recent_amm(self, at_ms: int) -> Iterator[tuple[Market, ...]]:
        for series in SERIES:
            if series.kind == "amm":
                newest = at_ms // series.period_ms
                for index in range(newest, newest - 20, -1):
                    yield self.listing(series, index)

    def winner(self, market: Market) -> int:
        """The outcome that wins: 0 for YES, 1 for NO."""
        if market.child is not None:
            weights = self._weights(market, market.expires_ms)
            return int(market.child != weights.index(max(weights)))
        return int(self.underlying(market.series, market.expires_ms) < market.strike)

    def resolved_ms(self, market: Market) -> int:
        """When the outcome is known to the venue: minutes after expiry, now and then hours."""
        name = market.group or market.slug
        minutes = 1 + 9 * draw(self.seed, name, "resolves")
        if draw(self.seed, name, "disputed") < 0.1:
            minutes += 240
        return market.expires_ms + int(minutes * MINUTE_MS)

    def underlying(self, series: Series, at_ms: int) -> Decimal:
        """Price of what the question is about."""
        return price(self.seed, series.asset, series.base, at_ms, series.base / 10_000)

    def yes(self, market: Market, at_ms: int) -> int:
        """Price of YES in thousandths; after expiry the last one."""
        return self.quote(market, min(at_ms, market.expires_ms - 1) // 1000)

    def _quote(self, market: Market, at_s: int) -> int:
        at_ms = at_s * 1000
        if market.child is not None:
            weights = self._weights(market, at_ms)
            chance = weights[market.child] / sum(weights)
        else:
            left_days = max(market.expires_ms - at_ms, 1000) / DAY_MS
            ratio = float(self.underlying(market.series, at_ms) / market.strike)
            chance = 0.5 * (1 + math.erf(math.log(ratio) / (0.04 * math.sqrt(2 * left_days))))
        return min(CEILING, max(FLOOR, round(chance * MILLI)))

    def _weights(self, market: Market, at_ms: int) -> list[float]:
        """How likely each child of the group is, growing apart as expiry comes nearer."""
        elapsed = (at_ms - market.created_ms) / market.series.duration_ms
        return [
            float(price(self.seed, f"{market.group}/{child}", Decimal(1), at_ms, Decimal("0.000001")))
            ** (8 + 40 * max(elapsed, 0.0))
            for child in range(CHILDREN)
        ]

    def _list(self, series: Series, index: int) -> tuple[Market, ...]:
        created_ms = index * series.period_ms
        if series.kind == "group":
            group = f"fed-decision-{series.label}-{created_ms}"
            return tuple(
                self._market(series, index, f"fed-{name}-{series.label}-{created_ms}", child, group)
                for child, name in enumerate(OUTCOMES_OF_GROUP)
            )
        asset = series.asset.lower()
        if series.kind == "updown":
            return (self._market(series, index, f"{asset}-up-or-down-{series.label}-{created_ms}"),)
        strike = str(self._strike(series, created_ms)).replace(".", "dot")
        return (self._market(series, index, f"{asset}-above-dollar{strike}-{series.label}-{created_ms}"),)

    def _market(
        self, series: Series, index: int, slug: str, child: int | None = None, group: str | None = None
    ) -> Market:
        created_ms = index * series.period_ms
        yes, no = (str(int(hex_of(32, self.seed, slug, side), 16)) for side in ("yes", "no"))
        return Market(
            slug=slug,
            title=self._title(series, created_ms, child),
            series=series,
            index=index,
            created_ms=created_ms,
            expires_ms=created_ms + series.duration_ms,
            strike=self._strike(series, created_ms),
            yes_token=yes,
            no_token=no,
            condition_id=hex_of(32, self.seed, slug, "condition"),
            exchange=EXCHANGES[series.number % len(EXCHANGES)] if group is None else NEG_RISK_EXCHANGE,
            address=hex_of(20, self.seed, slug, "pool") if series.kind == "amm" else None,
            child=child,
            group=group,
        )

    def _strike(self, series: Series, created_ms: int) -> Decimal:
        now = self.underlying(series, created_ms)
        if series.kind in ("updown", "group"):
            return now
        offset = Decimal(repr(0.97 + 0.06 * draw(self.seed, series.number, created_ms, "strike")))
        return (now * offset).quantize(CENT if series.base > 10 else CENT / 100)

    def _title(self, series: Series, created_ms: int, child: int | None) -> str:
        label = series.label.replace("-", " ")
        if child is not None:
            return f"Fed decision: {OUTCOMES_OF_GROUP[child]}"
        if series.kind == "updown":
            return f"{series.asset} Up or Down - {label}"
        return f"${series.asset} above ${self._strike(series, created_ms)} - {label}"
