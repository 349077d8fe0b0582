"""One hotkey through one span: its portfolio's ledger and those of its trade pairs, tick by tick.

Rule 1: advancing tick by tick, or in one go, gives the same bits.
Rule 2: the portfolio's value is what retired pairs returned, times the value of every other pair, in order
of their ids. A pair retires when the last of its positions closed before the window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from operator import itemgetter

from validator.fold import finite
from validator.ledger.checkpoint import PORTFOLIO, Checkpoint
from validator.ledger.curve import NOTHING, Curve, Totals
from validator.ledger.holdings import Holdings, PairCurves, sane
from validator.ledger.markets import Spans, clipped, common, market_of, merged, open_spans
from validator.ledger.running import Point, Running, Standing, clamped
from validator.ledger.tape import Tapes


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a hotkey's ledgers stand at the end of a span: all that the next one needs to go on.

    ``settled_ms``: positions that closed earlier are in ``settled`` of their pair or of the portfolio.
    """

    end_ms: int
    settled_ms: int = 0
    ledgers: Mapping[str, Standing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finished:
    """A span's outcome. ``checkpoints`` has the portfolio's and those of pairs that were open in it, or of
    which more is settled than before."""

    stand: Stand
    checkpoints: Mapping[str, Checkpoint]
    retired: tuple[str, ...]
    last_known_prices: Mapping[str, tuple[float, int]]
    is_void: bool


class Span:
    """A span in the making, at ``tick_ms``."""

    def __init__(self, holdings: Holdings, before: Stand | None, start_ms: int, window_ms: int) -> None:
        """Begin after ``before`` (None: the hotkey's first span)."""
        self._holdings = holdings
        self._before = before or Stand(start_ms)
        self.start_ms = self.tick_ms = start_ms
        self.settled_ms = max(self._before.settled_ms, start_ms - window_ms)
        self.running: dict[str, Running] = {}
        self.retired: list[str] = []
        self._settled: dict[str, Totals] = {}
        self._resettled: set[str] = set()  # pairs of which more is settled than before
        self._take_over()

    def advance(self, tapes: Tapes, until_ms: int) -> None:
        """Take in every tick up to and including ``until_ms``."""
        after_ms = self.tick_ms
        changed: dict[str, list[Point]] = {}
        values = {pair: running.ret for pair, running in self.running.items() if pair != PORTFOLIO}
        for pair, curves in self._holdings.pairs():
            if not self._follows(pair, curves, until_ms):
                continue
            tape = tapes.tape(pair, after_ms, until_ms)
            settled = self._settled.get(pair, NOTHING)
            points = curves.points(after_ms, until_ms, self.settled_ms, settled, tape)
            self.running[pair].follow(points)
            values.setdefault(pair, 1.0)
            changed[pair] = points
        if changed:
            extra = self._settled.get(PORTFOLIO, NOTHING).ret
            self._portfolio().follow(_products(values, changed, extra))
        self.tick_ms = until_ms

    def finish(self, tapes: Tapes) -> Finished | None:
        """The checkpoints as of ``tick_ms``; None while the hotkey has never had a position."""
        if PORTFOLIO not in self.running:
            return None
        prices: dict[str, tuple[float, int]] = {}
        standings: dict[str, Standing] = {}
        checkpoints: dict[str, Checkpoint] = {}
        total, unrealized = self._settled.get(PORTFOLIO, NOTHING), 0.0
        lifetimes: Spans = []
        for pair in sorted(self.running.keys() - {PORTFOLIO}):
            curves = self._holdings.pair(pair)
            alive = curves.alive(self.start_ms, self.tick_ms) if curves is not None else []
            known = tapes.tape(pair, self.start_ms, self.tick_ms).price(self.tick_ms) if alive else None
            if known is not None and any(self._is_open(curve) for curve in alive):
                prices[pair] = (known, self.tick_ms)
            totals, open_usd = self._totals(pair, curves, known)
            standing = self._standing(pair, totals, open_usd, None)
            standings[pair] = standing
            total, unrealized = total.times(standing.totals), finite(unrealized + open_usd)
            if alive or self.running[pair].n_updates or pair in self._resettled:
                opened = open_time(alive, pair, self.start_ms, self.tick_ms)
                lifetimes += opened
                checkpoints[pair] = self._checkpoint(pair, standing, opened)
        standings[PORTFOLIO] = self._portfolio_standing(sane(total), unrealized)
        is_void = not (checkpoints or self.retired or self._portfolio().n_updates)
        checkpoints[PORTFOLIO] = self._checkpoint(PORTFOLIO, standings[PORTFOLIO], merged(lifetimes))
        stand = Stand(self.tick_ms, self.settled_ms, standings)
        return Finished(stand, checkpoints, tuple(self.retired), prices, is_void)

    def _take_over(self) -> None:
        """Continue the ledgers; settle what left the window, and retire pairs of which nothing is left."""
        ledgers, settled_ms = self._before.ledgers, self._before.settled_ms
        extra = ledgers[PORTFOLIO].settled if PORTFOLIO in ledgers else NOTHING
        for pair in sorted(ledgers.keys() - {PORTFOLIO}):
            curves = self._holdings.pair(pair)
            settled = ledgers[pair].settled
            if curves is not None and self.settled_ms > settled_ms:
                settled = curves.closed(self.settled_ms, settled_ms, settled)
            if settled != ledgers[pair].settled:
                self._resettled.add(pair)
            if curves is None or not curves.is_live(self.settled_ms):
                extra = sane(extra.times(settled))
                self.retired.append(pair)
                continue
            self._settled[pair] = settled
            self.running[pair] = Running(ledgers[pair])
        self._settled[PORTFOLIO] = extra
        if PORTFOLIO in ledgers:
            self.running[PORTFOLIO] = Running(ledgers[PORTFOLIO])

    def _follows(self, pair: str, curves: PairCurves, until_ms: int) -> bool:
        """Whether the pair has anything to say about the next ticks; begins its ledger when it does first."""
        if pair in self.retired or curves.first_ms >= until_ms:
            return False
        if pair not in self.running:
            if not curves.is_live(self.settled_ms):
                return False
            self.running[pair] = Running(Standing(initialization_time_ms=curves.first_ms))
        return self.tick_ms == self.start_ms or not curves.is_quiet(self.tick_ms)

    def _is_open(self, curve: Curve) -> bool:
        return curve.close_ms is None or curve.close_ms >= self.tick_ms

    def _portfolio(self) -> Running:
        if PORTFOLIO not in self.running:
            first_ms = self._holdings.first_ms or self.start_ms
            self.running[PORTFOLIO] = Running(Standing(initialization_time_ms=first_ms))
        return self.running[PORTFOLIO]

    def _totals(self, pair: str, curves: PairCurves | None, price: float | None) -> tuple[Totals, float]:
        settled = self._settled.get(pair, NOTHING)
        if curves is None:
            return settled, 0.0
        return curves.totals(self.tick_ms, self.settled_ms, settled, price)

    def _standing(self, key: str, totals: Totals, unrealized: float, equity_ret: float | None) -> Standing:
        settled = self._settled.get(key, NOTHING)
        return self.running[key].standing(totals, unrealized, equity_ret, settled)

    def _portfolio_standing(self, total: Totals, unrealized: float) -> Standing:
        size = self._holdings.account_size(self.tick_ms)
        earned = total.realized - total.fees_usd + unrealized
        equity_ret = finite((size + earned) / size) if size > 0 else None
        return self._standing(PORTFOLIO, total, unrealized, equity_ret)

    def _checkpoint(self, key: str, standing: Standing, opened: Spans) -> Checkpoint:
        open_ms = sum(end - start for start, end in opened)
        accum_ms = self.tick_ms - self.start_ms
        return self.running[key].checkpoint(standing, self.tick_ms, accum_ms, open_ms)


def open_time(alive: list[Curve], trade_pair_id: str, start_ms: int, end_ms: int) -> Spans:
    """When any of the positions was open while its market was, between two times."""
    lives = [(curve.open_ms, end_ms if curve.close_ms is None else curve.close_ms) for curve in alive]
    held = clipped(merged(lives), start_ms, end_ms)
    market = market_of(trade_pair_id)
    return held if market == "always" else common(held, open_spans(market, start_ms, end_ms))


def _products(values: dict[str, float], changed: Mapping[str, list[Point]], extra: float) -> list[Point]:
    """The portfolio's value at every tick at which a pair's may have changed."""
    if len(values) == 1:
        return [(tick_ms, extra * clamped(value)) for tick_ms, value in next(iter(changed.values()))]
    order = sorted(values)
    now = [values[pair] for pair in order]
    place = {pair: index for index, pair in enumerate(order)}
    events = [(tick, place[pair], value) for pair, points in changed.items() for tick, value in points]
    events.sort(key=itemgetter(0, 1))
    points: list[Point] = []
    current = events[0][0]
    for tick_ms, index, value in events:
        if tick_ms != current:
            points.append((current, prod(now, start=extra)))
            current = tick_ms
        now[index] = clamped(value)
    points.append((current, prod(now, start=extra)))
    return points
