"""The venue's public statistics of one pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from venues.ithaca.exchange.market import PAIRS, Pair
from venues.ithaca.exchange.volume import Sums, product, total, wire_by
from venues.ithaca.exchange.world import World
from venues.world import DAY_MS

ALL_DAYS: Final = (0, 1 << 40)
Days = tuple[int, int]


def trading_volume(world: World, pair: Pair, body: Any) -> Any:
    """Everything traded so far."""
    return total(sums for _, _, sums in world.volume.rows(pair.name, *ALL_DAYS)).wire()


def contracts_traded(world: World, pair: Pair, body: Any) -> Any:
    """How many executions there were so far."""
    return total(sums for _, _, sums in world.volume.rows(pair.name, *ALL_DAYS)).count


def open_interest(world: World, pair: Pair, body: Any) -> Any:
    """Everything held now; None when nothing is."""
    groups = _held(world, pair, lambda one: one)
    return total(iter(groups.values())).wire() if groups else None


def value_locked(world: World, pair: Pair, body: Any) -> Any:
    """USDC worth of what the accounts have deposited in the pair's coin and in USDC."""
    spot = world.market.spot(pair, world.now_ms)
    worth = Decimal(0)
    for account in world.accounts:
        for currency, rate in ((pair.coin, spot), ("USDC", Decimal(1))):
            worth += account.fund(currency).deposited * rate
    return float(round(worth, 8))


def trades(world: World, pair: Pair, body: Any) -> Any:
    """Executions by day."""
    counts: dict[str, int] = {}
    for day, _, sums in world.volume.rows(pair.name, *days_of(body)):
        counts[_day(day)] = counts.get(_day(day), 0) + sums.count
    return counts or None


def trades_detail(world: World, pair: Pair, body: Any) -> Any:
    """Executions by day and product."""
    found: dict[str, dict[str, int]] = {}
    for day, kind, sums in world.volume.rows(pair.name, *days_of(body)):
        found.setdefault(_day(day), {})[kind] = sums.count
    return found or None


def daily_volume(world: World, pair: Pair, body: Any) -> Any:
    """What was traded by day."""
    by_day: dict[str, list[Sums]] = {}
    for day, _, sums in world.volume.rows(pair.name, *days_of(body)):
        by_day.setdefault(_day(day), []).append(sums)
    return {day: total(iter(every)).wire() for day, every in by_day.items()} or None


def daily_volume_detail(world: World, pair: Pair, body: Any) -> Any:
    """What was traded by day and product."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for day, kind, sums in world.volume.rows(pair.name, *days_of(body)):
        found.setdefault(_day(day), {})[kind] = sums.wire()
    return found or None


def open_interest_by_product(world: World, pair: Pair, body: Any) -> Any:
    """What is held now, by product."""
    days_of(body)
    return wire_by(_held(world, pair, lambda one: product(one))) or None


def open_interest_by_strike(world: World, pair: Pair, body: Any) -> Any:
    """What is held now, by strike and product."""
    days_of(body)
    strikes = body.get("strikeRange") if isinstance(body, Mapping) else None
    if not isinstance(strikes, Mapping):
        raise ValueError("strikeRange")
    low, high = float(strikes["from"]), float(strikes["to"])
    found: dict[str, dict[str, dict[str, float]]] = {}
    groups = _held(world, pair, lambda one: (one.strike, product(one)))
    for (strike, kind), sums in sorted(groups.items(), key=lambda item: (item[0][0] or 0, item[0][1])):
        if strike is not None and low <= strike <= high:
            found.setdefault(str(float(strike)), {})[kind] = sums.wire()
    return found or None


def days_of(body: Any) -> Days:
    """First and last day number of a ``dateRange``. Raises ValueError or KeyError when it is none."""
    span = body.get("dateRange") if isinstance(body, Mapping) else None
    if not isinstance(span, Mapping):
        raise ValueError("dateRange")
    return _number(span["from"]), _number(span["to"])


def pair_of(underlier: str, numeraire: str) -> Pair | None:
    """The pair of two currencies in a path."""
    return next((pair for pair in PAIRS if pair.name == f"{underlier}/{numeraire}"), None)


def _number(text: Any) -> int:
    return (date.fromisoformat(str(text)) - date(1970, 1, 1)).days


def _day(number: int) -> str:
    return datetime.fromtimestamp(number * DAY_MS / 1000, UTC).strftime("%Y-%m-%dT%H:%M")


def _held(world: World, pair: Pair, group: Callable[[Any], Any]) -> dict[Any, Sums]:
    spot = world.market.spot(pair, world.now_ms)
    found: dict[Any, Sums] = {}
    for account in world.accounts:
        for one in account.positions.values():
            if one.listing.pair is pair:
                found.setdefault(group(one.listing), Sums()).add(one.listing, abs(one.quantity), spot)
    return found


GET: Final = {
    "totalTradingVolume": trading_volume,
    "totalContractsTraded": contracts_traded,
    "totalOpenInterest": open_interest,
    "totalValueLocked": value_locked,
}
POST: Final = {
    "trades": trades,
    "trades/detail": trades_detail,
    "openInterestByProduct": open_interest_by_product,
    "openInterestByStrike": open_interest_by_strike,
    "dailyVolume": daily_volume,
    "dailyVolume/detail": daily_volume_detail,
}
