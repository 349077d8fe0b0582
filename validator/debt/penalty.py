"""Penalties at the end of a span: multipliers from 0 to 1. Pure.

Rule: only what was known by the end of the span enters: checkpoints that ended by then, orders up to then.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import msgspec

from validator.ledger.checkpoint import DAY_MS, PORTFOLIO, Bundle, Checkpoint
from validator.positions import truncate
from validator.statistics import metrics, risk
from validator.statistics.constants import COLLATERAL_PENALTY, DAYS_IN_YEAR, MINIMUM_DAYS_MOST
from validator.statistics.days import class_checkpoints, complete_days
from vanta_api.records import Position

RATIOS: Final[dict[str, dict[str, float]]] = {  # what a good performance has, by class of assets
    "crypto": {"sharpe": 1.0, "sortino": 1.0, "calmar": 2.0, "omega": 1.4},
    "forex": {"sharpe": 0.5, "sortino": 0.5, "calmar": 2.0, "omega": 1.2},
}
METRIC_MOST: Final = 10.0  # a single metric counts no more than this
PERFORMANCE_SHIFT: Final = 0.6
PERFORMANCE_SPREAD: Final = -14.0
PERFORMANCE_LEAST: Final = 0.2
PERFORMANCE_UNTIL_MS: Final = 1_769_932_800_000  # 2026-02-01: from then on it is not part of the total
ORDERS_TO_FLAG: Final = 3  # with fewer, no position can be flagged as reckless


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """One checkpoint's penalties; 1.0 is none."""

    drawdown: float = 1.0
    risk_profile: float = 1.0
    min_collateral: float = 1.0
    risk_adjusted_performance: float = 1.0
    total: float = 1.0
    challenge_period_status: str = "unknown"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What was registered about a hotkey at the end of a span.

    ``collateral_usd``: the account size that collateral made (None: no collateral is asked of it).
    ``asset_class``: the class it selected. ``status``: its bucket. A subaccount's total is never reduced.
    """

    collateral_usd: float | None = None
    asset_class: str | None = None
    status: str = "unknown"
    is_subaccount: bool = False


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """``drawdown_percent`` from which nothing counts; ``collateral_usd`` that is asked."""

    drawdown_percent: float = 10.0
    collateral_usd: float = 150_000.0


VANTAS: Final = Thresholds()


class Penalties:
    """A hotkey's penalties at any boundary of its ledgers."""

    def __init__(
        self, bundle: Bundle, positions: Sequence[Position], thresholds: Thresholds = VANTAS
    ) -> None:
        self._thresholds = thresholds
        self._bundle = bundle
        self._cps = bundle[PORTFOLIO].cps if PORTFOLIO in bundle else ()
        self._ends = [one.last_update_ms for one in self._cps]
        self._risk = _Recklessness(positions)
        self._performance: dict[str, _Performance] = {}

    def ends(self) -> list[int]:
        """Ends of the whole spans, oldest first."""
        span_ms = self._bundle[PORTFOLIO].target_cp_duration_ms if PORTFOLIO in self._bundle else 0
        return [one.last_update_ms for one in self._cps if one.accum_ms == span_ms]

    def at(self, end_ms: int, terms: Terms) -> Values:
        """The penalties at the end of a span."""
        drawdown = self._drawdown(end_ms)
        reckless = risk.penalty(self._risk.score(end_ms))
        collateral = self._collateral(terms)
        performance = self._risk_adjusted(end_ms, terms.asset_class)
        total = drawdown * reckless * collateral
        if end_ms < PERFORMANCE_UNTIL_MS:
            total *= performance
        return Values(
            drawdown=drawdown,
            risk_profile=reckless,
            min_collateral=collateral,
            risk_adjusted_performance=performance,
            total=1.0 if terms.is_subaccount else total,
            challenge_period_status=terms.status,
        )

    def _drawdown(self, end_ms: int) -> float:
        seen = self._cps[: bisect_right(self._ends, end_ms)]
        percent = metrics.drawdown_percent(metrics.instantaneous_drawdown(seen))
        return 0.0 if percent >= self._thresholds.drawdown_percent else 1.0

    def _collateral(self, terms: Terms) -> float:
        is_asked = terms.collateral_usd is not None
        is_short = is_asked and (terms.collateral_usd or 0.0) < self._thresholds.collateral_usd
        return COLLATERAL_PENALTY if is_short else 1.0

    def _risk_adjusted(self, end_ms: int, asset_class: str | None) -> float:
        if asset_class is None:
            return 0.0
        if asset_class not in RATIOS:
            return 1.0
        made = self._performance.get(asset_class)
        if made is None:
            made = self._performance[asset_class] = _Performance(self._bundle, asset_class)
        return made.penalty(end_ms)


class _Performance:
    """Risk-adjusted performance in one class of assets."""

    def __init__(self, bundle: Bundle, asset_class: str) -> None:
        self._cps = class_checkpoints(bundle, asset_class)
        self._ends = [one.last_update_ms for one in self._cps]
        self._days = complete_days(self._cps)
        self._good = RATIOS[asset_class]
        self._days_in_year = DAYS_IN_YEAR[asset_class]

    def penalty(self, end_ms: int) -> float:
        """The multiplier; 1.0 when nothing was traded in the class by then."""
        seen = self._cps[: bisect_right(self._ends, end_ms)]
        if not seen:
            return 1.0
        found = self._metrics(end_ms, seen)
        reached = math.fsum(min(value, METRIC_MOST) for value in found.values()) / len(found)
        wanted = math.fsum(self._good.values()) / len(self._good)
        share = risk.sigmoid(reached / wanted, PERFORMANCE_SHIFT, PERFORMANCE_SPREAD)
        return PERFORMANCE_LEAST + (1.0 - PERFORMANCE_LEAST) * share

    def _metrics(self, end_ms: int, seen: Sequence[Checkpoint]) -> dict[str, float]:
        days = [day for day in self._days if (day.number + 1) * DAY_MS <= end_ms]
        returns, year = [day.log_return for day in days], self._days_in_year
        found = {
            "sharpe": metrics.sharpe(returns, year),
            "sortino": metrics.sortino(returns, year),
            "calmar": metrics.calmar(returns, year, metrics.instantaneous_drawdown(seen)),
            "omega": metrics.omega(returns),
        }
        return {
            name: metrics.gated(name, value, len(days), MINIMUM_DAYS_MOST) for name, value in found.items()
        }


class _Recklessness:
    """The risk score of positions as they stood at a moment."""

    def __init__(self, positions: Sequence[Position]) -> None:
        self._positions = positions
        self._times = [[order.processed_ms for order in one.orders] for one in positions]
        self._flags: dict[tuple[int, int], bool] = {}

    def score(self, end_ms: int) -> float:
        """The weighted share of reckless positions among those that had begun."""
        begun = [
            (index, count)
            for index, times in enumerate(self._times)
            if (count := bisect_right(times, end_ms)) > 0
        ]
        if not any(self._is_flagged(*one, end_ms) for one in begun):
            return 0.0
        then = [self._as_of(*one, end_ms) for one in begun]
        return risk.score([one for one in then if one is not None])

    def _is_flagged(self, index: int, count: int, end_ms: int) -> bool:
        if count < ORDERS_TO_FLAG:
            return False
        if (index, count) not in self._flags:
            then = self._as_of(index, count, end_ms)
            self._flags[index, count] = then is not None and risk.is_flagged(then)
        return self._flags[index, count]

    def _as_of(self, index: int, count: int, end_ms: int) -> Position | None:
        """The position after its first ``count`` orders; while it was open, its fees grew with time."""
        position = self._positions[index]
        if count == len(position.orders) and position.is_closed_position:
            return position
        return truncate(position, end_ms + 1, None)
