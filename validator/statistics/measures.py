"""What one hotkey's ledger and positions say about it, without regard to any other hotkey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

from validator.aggregates import MINIMUM_DURATION_MS
from validator.fold import finite
from validator.ledger.checkpoint import PORTFOLIO, Bundle, Checkpoint
from validator.statistics import metrics, risk
from validator.statistics.constants import (
    CLASSES,
    DAYS_IN_YEAR,
    DECAY_LEAST_PNL,
    DRAWDOWN_MOST_PERCENT,
    MINIMUM_DAYS_MOST,
    OVERALL,
    VOLATILITY_MOST,
)
from validator.statistics.days import Day, class_checkpoints, complete_days
from vanta_api.records import Position


@dataclass(frozen=True, slots=True)
class Scope:
    """Metrics over the portfolio or one class of assets, whether or not there are enough days."""

    days: int
    plain: Mapping[str, float]
    weighted: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Measures:
    """Everything that follows from one hotkey alone. ``scopes``: ``overall`` and each class."""

    scopes: Mapping[str, Scope]
    days: Sequence[Day]
    checkpoints: Sequence[Checkpoint]
    volatility: Mapping[str, float]
    drawdowns: Mapping[str, float]
    engagement: Mapping[str, Any]
    risk_score: float
    risk_penalty: float
    drawdown_penalty: float
    raw_pnl: float

    @property
    def penalty(self) -> float:
        """Both penalties as one multiplier."""
        return self.drawdown_penalty * self.risk_penalty


def measure(bundle: Bundle, positions: Sequence[Position]) -> Measures:
    """Measure a hotkey by its ledgers and the positions that the reader may see."""
    checkpoints = bundle[PORTFOLIO].cps if PORTFOLIO in bundle else ()
    days = complete_days(checkpoints)
    returns = [day.log_return for day in days]
    counted = [one for one in positions if has_lasted(one)]
    risk_score = risk.score(counted)
    drawdown = metrics.instantaneous_drawdown(checkpoints)
    is_too_deep = metrics.drawdown_percent(drawdown) >= DRAWDOWN_MOST_PERCENT
    classes = {name: class_checkpoints(bundle, name) for name in CLASSES}
    return Measures(
        scopes={
            OVERALL: scope(OVERALL, checkpoints, days),
            **{name: scope(name, parts, complete_days(parts)) for name, parts in classes.items()},
        },
        days=days,
        checkpoints=checkpoints,
        volatility={
            "annual": min(VOLATILITY_MOST, metrics.volatility(returns, DAYS_IN_YEAR[OVERALL])),
            "annual_downside": min(
                VOLATILITY_MOST, metrics.downside_volatility(returns, DAYS_IN_YEAR[OVERALL])
            ),
        },
        drawdowns={
            "instantaneous_max_drawdown": drawdown,
            "daily_max_drawdown": metrics.daily_drawdown(returns),
        },
        engagement=engagement(checkpoints, positions, counted, len(days)),
        risk_score=risk_score,
        risk_penalty=risk.penalty(risk_score),
        drawdown_penalty=0.0 if is_too_deep else 1.0,
        raw_pnl=finite(metrics.raw_pnl(checkpoints)),
    )


def scope(name: str, checkpoints: Sequence[Checkpoint], days: Sequence[Day]) -> Scope:
    """All metrics, plain and time-weighted."""
    returns = [day.log_return for day in days]
    drawdown = metrics.instantaneous_drawdown(checkpoints)
    pnl = metrics.daily_pnl(days)

    def all_of(weights: metrics.Weights, pnl_weights: metrics.Weights) -> dict[str, float]:
        year = DAYS_IN_YEAR[name]
        found = {
            "omega": metrics.omega(returns, weights),
            "sharpe": metrics.sharpe(returns, year, weights),
            "sortino": metrics.sortino(returns, year, weights),
            "statistical_confidence": metrics.statistical_confidence(returns),
            "calmar": metrics.calmar(returns, year, drawdown, weights),
            "return": metrics.annual_return(returns, year, weights),
            "pnl": metrics.mean(pnl, pnl_weights),
        }
        return {metric: finite(value) for metric, value in found.items()}

    count = len(days)
    weighted = all_of(metrics.time_weights(count), metrics.time_weights(count, DECAY_LEAST_PNL))
    return Scope(count, all_of(None, None), weighted)


def engagement(
    checkpoints: Sequence[Checkpoint], positions: Sequence[Position], counted: Sequence[Position], days: int
) -> dict[str, Any]:
    """How much the hotkey trades. Durations and the share in profit are those of ``counted`` positions."""
    profitable = sum(one.return_at_close > 1.0 for one in counted)
    return {
        "n_checkpoints": sum(one.open_ms > 0 for one in checkpoints),
        "n_positions": len(positions),
        "position_duration": sum((one.close_ms or 0) - one.open_ms for one in counted),
        "checkpoint_durations": fsum(one.open_ms for one in checkpoints),
        "minimum_days_boolean": days >= MINIMUM_DAYS_MOST,
        "percentage_profitable": profitable / len(counted) if counted else 0.0,
    }


def has_lasted(position: Position) -> bool:
    """Whether the position is closed and lasted long enough to count."""
    if not position.is_closed_position or position.close_ms is None:
        return False
    return position.close_ms - position.open_ms >= MINIMUM_DURATION_MS
