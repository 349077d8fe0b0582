"""The metrics, each by its formula, over daily logarithmic returns (oldest first).

``weights`` None is the plain form; ``time_weights`` give the time-weighted ("augmented") one. None of these
asks whether there are enough days: ``gated`` does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from validator.ledger.checkpoint import Checkpoint
from validator.statistics.constants import (
    DECAY_LEAST,
    DECAY_RATE,
    DEVIATION_LEAST,
    DRAWDOWN_MOST_PERCENT,
    NO_CONFIDENCE,
    OMEGA_LOSS_LEAST,
    RISK_FREE,
    VARIANCE_LEAST,
)
from validator.statistics.days import Day

Floats = Sequence[float]
Weights = Sequence[float] | None


def time_weights(count: int, least: float = DECAY_LEAST) -> list[float]:
    """Weights of ``count`` days, oldest first: 1.0 for the newest, falling towards ``least``."""
    return [least + (1.0 - least) * math.exp(-DECAY_RATE * age) for age in range(count - 1, -1, -1)]


def mean(values: Floats, weights: Weights = None) -> float:
    """The (weighted) mean; 0.0 of nothing."""
    if not values:
        return 0.0
    if weights is None:
        return math.fsum(values) / len(values)
    return math.fsum(w * x for w, x in zip(weights, values, strict=True)) / math.fsum(weights)


def variance(values: Floats, weights: Weights = None) -> float:
    """The (weighted) mean squared distance from the (weighted) mean; infinite for less than two values."""
    if len(values) < 2:
        return math.inf
    middle = mean(values, weights)
    return mean([(x - middle) ** 2 for x in values], weights)


def volatility(returns: Floats, days_in_year: int, weights: Weights = None) -> float:
    """Annual volatility; infinite for less than two days."""
    return math.sqrt(variance(returns, weights) * days_in_year)


def downside_volatility(returns: Floats, days_in_year: int, weights: Weights = None) -> float:
    """Annual volatility of the days below the risk-free return; infinite for less than two of them."""
    target = math.log(1.0 + RISK_FREE) / days_in_year
    below = [index for index, x in enumerate(returns) if x < target]
    chosen = None if weights is None else [weights[index] for index in below]
    return volatility([returns[index] for index in below], days_in_year, chosen)


def sharpe(returns: Floats, days_in_year: int, weights: Weights = None) -> float:
    """Annual return above the risk-free one, over the volatility."""
    excess = mean(returns, weights) * days_in_year - RISK_FREE
    return excess / max(volatility(returns, days_in_year, weights), DEVIATION_LEAST)


def sortino(returns: Floats, days_in_year: int, weights: Weights = None) -> float:
    """Annual return above the risk-free one, over the downside volatility."""
    excess = mean(returns, weights) * days_in_year - RISK_FREE
    return excess / max(downside_volatility(returns, days_in_year, weights), DEVIATION_LEAST)


def omega(returns: Floats, weights: Weights = None) -> float:
    """What was gained over what was lost; weighted: of the weighted mean gain and loss."""
    if weights is None:
        gained = math.fsum(x for x in returns if x > 0)
        lost = math.fsum(x for x in returns if x <= 0)
        return gained / max(abs(lost), OMEGA_LOSS_LEAST)
    pairs = list(zip(weights, returns, strict=True))
    gaining, losing = ([(w, x) for w, x in pairs if (x > 0) is sign] for sign in (True, False))
    gained = math.fsum(w * x for w, x in gaining) * _weight_of(losing)
    lost = math.fsum(w * x for w, x in losing) * _weight_of(gaining)
    return gained / max(abs(lost), OMEGA_LOSS_LEAST)


def statistical_confidence(returns: Floats) -> float:
    """Student's t of the mean against 0; the no-confidence value where it means nothing."""
    if len(returns) < 2 or variance(returns) <= VARIANCE_LEAST:
        return NO_CONFIDENCE["statistical_confidence"]
    count = len(returns)
    deviation = math.sqrt(variance(returns) * count / (count - 1))
    return mean(returns) / (deviation / math.sqrt(count))


def annual_return(returns: Floats, days_in_year: int, weights: Weights = None) -> float:
    """Annual logarithmic return in percent."""
    return mean(returns, weights) * days_in_year * 100.0


def calmar(returns: Floats, days_in_year: int, drawdown: float, weights: Weights = None) -> float:
    """Annual return over the drawdown percent; 0 without a drawdown and from 10 % on."""
    percent = drawdown_percent(drawdown)
    if not 0.0 < percent < DRAWDOWN_MOST_PERCENT:
        return 0.0
    return annual_return(returns, days_in_year, weights) / percent


def daily_pnl(days: Sequence[Day]) -> list[float]:
    """Realised P&L of each day; the last one with the loss that is still open."""
    found = [day.realized for day in days]
    if days:
        found[-1] += min(0.0, days[-1].unrealized)
    return found


def raw_pnl(checkpoints: Sequence[Checkpoint]) -> float:
    """Everything realised, and the loss that is still open."""
    if not checkpoints:
        return 0.0
    return math.fsum(one.realized_pnl for one in checkpoints) + min(0.0, checkpoints[-1].unrealized_pnl)


def instantaneous_drawdown(checkpoints: Sequence[Checkpoint]) -> float:
    """The worst value over the largest before it; 1.0 is none."""
    return max(0.0, min((one.mdd for one in checkpoints), default=1.0))


def daily_drawdown(returns: Floats) -> float:
    """The same over values at the ends of days, the first of them included."""
    worst, total, highest = 1.0, 0.0, -math.inf
    for x in returns:
        total += x
        highest = max(highest, total)
        worst = min(worst, math.exp(total - highest))
    return worst


def drawdown_percent(drawdown: float) -> float:
    """A drawdown ratio as percent lost: 0.9 → 10."""
    return min(100.0, max(0.0, round((1.0 - drawdown) * 100.0, 12)))  # 1 - 0.9 is a little less than 0.1


def gated(name: str, value: float, days: int, minimum_days: int) -> float:
    """The value, or what stands for it as long as there are not enough days."""
    return value if days >= minimum_days else NO_CONFIDENCE.get(name, value)


def _weight_of(pairs: Sequence[tuple[float, float]]) -> float:
    return max(math.fsum(w for w, _ in pairs), OMEGA_LOSS_LEAST)
