"""A hotkey's positions as curves, by trade pair, and what they are worth at any tick.

Rule: values are products in one fixed order: what is settled, then closed positions by closing time, then
open ones by opening time. So the same positions give the same bits, however often they were computed.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from operator import attrgetter

from validator.fold import finite
from validator.ledger.checkpoint import LEAST, MINUTE_MS
from validator.ledger.curve import Curve, Line, Totals, changed_from, tick_after
from validator.ledger.running import Point
from validator.ledger.tape import Tape

_ClosedKey = tuple[int, str]


class PairCurves:
    """The positions of one hotkey in one trade pair."""

    def __init__(self, trade_pair_id: str) -> None:
        self.trade_pair_id = trade_pair_id
        self._curves: dict[str, Curve] = {}
        self._open: list[Curve] = []
        self._closed: list[Curve] = []
        self._closed_keys: list[_ClosedKey] = []
        self._prefix_of: tuple[int, Totals] | None = None
        self._prefix: list[Totals] = []
        self.first_ms = 0

    def __len__(self) -> int:
        return len(self._curves)

    def get(self, uuid: str) -> Curve | None:
        """The position's curve."""
        return self._curves.get(uuid)

    def put(self, curve: Curve) -> None:
        """Add a position, or replace it."""
        self.drop(curve.uuid)
        self.first_ms = min(self.first_ms, curve.open_ms) if self._curves else curve.open_ms
        self._curves[curve.uuid] = curve
        if curve.close_ms is None:
            insort(self._open, curve, key=_opening)
        else:
            index = bisect_left(self._closed_keys, key := (curve.close_ms, curve.uuid))
            self._closed.insert(index, curve)
            self._closed_keys.insert(index, key)
        self._prefix_of = None

    def drop(self, uuid: str) -> None:
        """Remove a position, if it is there."""
        curve = self._curves.pop(uuid, None)
        if curve is None:
            return
        if curve.close_ms is None:
            self._open.remove(curve)
        else:
            index = bisect_left(self._closed_keys, (curve.close_ms, uuid))
            del self._closed[index], self._closed_keys[index]
        self._prefix_of = None
        if curve.open_ms == self.first_ms:
            self.first_ms = min((other.open_ms for other in self._curves.values()), default=0)

    def prune(self, settled_ms: int) -> list[str]:
        """Let go of positions that closed before a time; returns their uuids."""
        count = bisect_left(self._closed_keys, (settled_ms, ""))
        gone = [curve.uuid for curve in self._closed[:count]]
        for uuid in gone:
            del self._curves[uuid]
        del self._closed[:count], self._closed_keys[:count]
        if gone:
            self._prefix_of = None
        return gone

    def closed(self, tick_ms: int, settled_ms: int, settled: Totals) -> Totals:
        """What ``settled`` and the positions closed from ``settled_ms`` until the tick add up to."""
        start = bisect_left(self._closed_keys, (settled_ms, ""))
        if self._prefix_of != (settled_ms, settled):
            self._prefix_of, self._prefix = (settled_ms, settled), [settled]
            for curve in self._closed[start:]:
                self._prefix.append(self._prefix[-1].times(curve.final))
        return self._prefix[max(0, bisect_left(self._closed_keys, (tick_ms, "")) - start)]

    def is_live(self, settled_ms: int) -> bool:
        """Whether any position is open or not settled yet."""
        return bool(self._open) or bool(self._closed_keys and self._closed_keys[-1][0] >= settled_ms)

    def is_quiet(self, tick_ms: int) -> bool:
        """Whether nothing can change after the tick."""
        return not self._open and not (self._closed_keys and tick_after(self._closed_keys[-1][0]) > tick_ms)

    def oldest_closed_ms(self, settled_ms: int) -> int | None:
        """When the oldest position closed that is not settled yet."""
        index = bisect_left(self._closed_keys, (settled_ms, ""))
        return self._closed_keys[index][0] if index < len(self._closed_keys) else None

    def alive(self, start_ms: int, end_ms: int) -> list[Curve]:
        """Positions that were open at some time in ``[start, end)``, by opening time."""
        later = self._closed[bisect_left(self._closed_keys, (start_ms, "")) :]
        found = [curve for curve in (*later, *self._open) if curve.open_ms < end_ms]
        found.sort(key=_opening)
        return found

    def points(
        self, after_ms: int, until_ms: int, settled_ms: int, settled: Totals, tape: Tape
    ) -> list[Point]:
        """Values at the ticks after one and up to another at which they may have changed."""
        alive = self.alive(after_ms, until_ms)
        cuts = {after_ms + MINUTE_MS, *(cut for curve in alive for cut in curve.turns(after_ms, until_ms))}
        ordered = sorted(cuts)
        points: list[Point] = []
        for tick_ms, next_ms in zip(ordered, [*ordered[1:], until_ms + MINUTE_MS], strict=True):
            worth = self.closed(tick_ms, settled_ms, settled).ret
            lines = [
                line
                for curve in alive
                if (curve.close_ms is None or curve.close_ms >= tick_ms)
                and (line := curve.line(tick_ms)) is not None
            ]
            changes = tape.changes(tick_ms, next_ms) if lines else []
            points += _valued(worth, lines, [(tick_ms, tape.price(tick_ms)), *changes])
        return points

    def totals(
        self, tick_ms: int, settled_ms: int, settled: Totals, price: float | None
    ) -> tuple[Totals, float]:
        """What all positions add up to at a tick, and their unrealised P&L."""
        total, unrealized = self.closed(tick_ms, settled_ms, settled), 0.0
        for curve in self.alive(tick_ms, tick_ms):
            one, open_usd = curve.totals(tick_ms, price)
            total, unrealized = total.times(one), unrealized + open_usd
        return sane(total), finite(unrealized)

    def newest(self, tick_ms: int) -> Curve | None:
        """The position that was opened last before a tick."""
        opened = (curve for curve in self._curves.values() if curve.open_ms < tick_ms)
        return max(opened, key=_opening, default=None)


class Holdings:
    """All positions of one hotkey."""

    def __init__(self) -> None:
        self._pairs: dict[str, PairCurves] = {}
        self._pair_of: dict[str, str] = {}

    def put(self, curve: Curve, final_ms: int = 0) -> int | None:
        """Take over a position; returns the moment from which values change, None when they do not.

        What closed before ``final_ms`` is settled: such a position neither changes nor appears any more.
        """
        pair_id = self._pair_of.get(curve.uuid)
        known = self._pairs[pair_id].get(curve.uuid) if pair_id is not None else None
        is_settled = [one.close_ms is not None and one.close_ms < final_ms for one in (known, curve) if one]
        if any(is_settled):
            return None
        moment_ms: int | None = curve.open_ms
        if known is not None and pair_id == curve.trade_pair_id:
            moment_ms = changed_from(known, curve)
            if moment_ms is None:
                return None
        elif known is not None and pair_id is not None:
            self._pairs[pair_id].drop(curve.uuid)
            moment_ms = min(known.open_ms, curve.open_ms)
        self._pair_of[curve.uuid] = curve.trade_pair_id
        self._pairs.setdefault(curve.trade_pair_id, PairCurves(curve.trade_pair_id)).put(curve)
        return moment_ms

    def pairs(self) -> Iterator[tuple[str, PairCurves]]:
        """Trade pair id and positions, in order of the ids."""
        yield from sorted((item for item in self._pairs.items() if len(item[1])), key=lambda item: item[0])

    def prune(self, settled_ms: int) -> None:
        """Let go of positions that closed before a time."""
        for _, curves in self.pairs():
            for uuid in curves.prune(settled_ms):
                del self._pair_of[uuid]

    def pair(self, trade_pair_id: str) -> PairCurves | None:
        """The positions in one pair."""
        return self._pairs.get(trade_pair_id)

    @property
    def first_ms(self) -> int | None:
        """When the first position was opened."""
        return min((curves.first_ms for _, curves in self.pairs()), default=None)

    def is_idle(self, start_ms: int, end_ms: int, settled_ms: int, next_settled_ms: int) -> bool:
        """Whether nothing was open in ``[start, end)`` and nothing becomes settled."""
        for _, curves in self.pairs():
            if curves.alive(start_ms, end_ms):
                return False
            oldest_ms = curves.oldest_closed_ms(settled_ms)
            if oldest_ms is not None and oldest_ms < next_settled_ms:
                return False
        return True

    def is_watched(self, tick_ms: int) -> bool:
        """Whether anything can change after the tick."""
        return any(not curves.is_quiet(tick_ms) for _, curves in self.pairs())

    def account_size(self, tick_ms: int) -> float:
        """What the position opened last before a tick was measured against (USD, 0.0 when unknown)."""
        newest = (curve for _, curves in self.pairs() if (curve := curves.newest(tick_ms)) is not None)
        last = max(newest, key=_opening, default=None)
        return last.account_size if last is not None else 0.0


def sane(totals: Totals) -> Totals:
    """The same with multipliers above 0 and every number finite."""
    return Totals(
        max(LEAST, finite(totals.ret, 1.0)),
        finite(totals.realized),
        finite(totals.fees_usd),
        max(LEAST, finite(totals.spread, 1.0)),
        max(LEAST, finite(totals.carry, 1.0)),
    )


def _valued(worth: float, lines: list[Line], prices: list[tuple[int, float | None]]) -> list[Point]:
    """The value at each price. One open position is by far the most common case, and the hot path."""
    if len(lines) == 1 and prices[0][1] is not None:
        base, average, slope, fee, _ = lines[0]
        known: list[tuple[int, float]] = prices  # type: ignore[assignment]
        return [(tick, worth * (max(0.0, base + (paid - average) * slope) * fee)) for tick, paid in known]
    points = []
    for tick_ms, price in prices:
        value = worth
        for line in lines:
            value *= line.at(price)
        points.append((tick_ms, value))
    return points


_opening = attrgetter("open_ms", "uuid")
