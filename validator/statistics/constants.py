"""The numbers that scores depend on, under the names that readers of ``/statistics`` know."""

from __future__ import annotations

import math
from typing import Any, Final

from validator.ledger.checkpoint import DAY_MS, SPAN_MS

CLASSES: Final = ("crypto", "forex")  # classes of assets that are scored
OVERALL: Final = "overall"

DAYS_IN_YEAR: Final[dict[str, int]] = {"crypto": 365, "forex": 252, OVERALL: 365}
EMISSION: Final[dict[str, float]] = {"crypto": 0.5, "forex": 0.5}
CLASS_OF_VENUE: Final[dict[str, str]] = {"O2": "crypto", "ITHACA": "crypto"}  # of pairs only it has

RISK_FREE: Final = 0.0389  # a year
DECAY_RATE: Final = 0.075  # per day, of the time weights
DECAY_LEAST: Final = 0.15
DECAY_LEAST_PNL: Final = 0.045
MINIMUM_DAYS_MOST: Final = 60
MINIMUM_DAYS_LEAST: Final = 7
MINIMUM_DAYS_RANK: Final = 20  # the days of the 20th longest participant are asked of everybody
DEVIATION_LEAST: Final = 0.01  # divisor of sharpe and sortino is never smaller
OMEGA_LOSS_LEAST: Final = 0.01
VARIANCE_LEAST: Final = 1e-8  # of daily returns; below, a t statistic means nothing
NO_CONFIDENCE: Final[dict[str, float]] = {
    "omega": 0.0,
    "sharpe": -100.0,
    "sortino": -100.0,
    "statistical_confidence": -100.0,
    "calmar": -100.0,
    "pnl": 0.0,
}
VOLATILITY_MOST: Final = 100.0
DRAWDOWN_MOST_PERCENT: Final = 10.0

METRICS: Final = ("omega", "sharpe", "sortino", "statistical_confidence", "calmar", "pnl")
OVERALL_METRICS: Final = ("omega", "sharpe", "sortino", "statistical_confidence", "calmar", "return", "pnl")
METRIC_WEIGHTS: Final[dict[str, float]] = dict.fromkeys(OVERALL_METRICS, 0.0) | {"pnl": 1.0}

SOFTMAX_TEMPERATURE: Final = 0.15
EPSILON: Final = 1e-6
CHALLENGE_WEIGHT_MOST: Final = 2.4e-05
CHALLENGE_WEIGHT_LEAST: Final = 1.5e-05
WINDOW_DAYS: Final = 120
COLLATERAL_LEAST_USD: Final = 150_000.0
COLLATERAL_PENALTY: Final = 0.01
CAPITAL_LEAST_USD: Final = 5_000.0
CHALLENGE_DAYS: Final = 90
PROBATION_DAYS: Final = 60
PLAGIARISM_DAYS: Final = 14

STEPS_LEAST_LEVERAGE: Final = 0.01
STEPS_CRITERIA: Final = 3
MONOTONIC_CRITERIA: Final = 2
MARGIN_CRITERIA: Final = 0.5
ADVANCE_CRITERIA: Final = 1.5
TIME_CRITERIA: Final = 0.185
SCOPING: Final = 100.0  # exponent that gives the best positions nearly all the weight
RISK_SHIFT: Final = 1.2
RISK_SPREAD: Final = 4.0


def printable(version: str, span_ms: int = SPAN_MS) -> dict[str, Any]:
    """``constants`` of the envelope."""
    return {
        "VERSION": version,
        "DAYS_IN_YEAR_CRYPTO": DAYS_IN_YEAR["crypto"],
        "DAYS_IN_YEAR_FOREX": DAYS_IN_YEAR["forex"],
        "STATISTICAL_CONFIDENCE_MINIMUM_N_CEIL": MINIMUM_DAYS_MOST,
        "STATISTICAL_CONFIDENCE_MINIMUM_N_FLOOR": MINIMUM_DAYS_LEAST,
        "DYNAMIC_MIN_DAYS_NUM_MINERS": MINIMUM_DAYS_RANK,
        "ANNUAL_RISK_FREE_PERCENTAGE": round(100 * RISK_FREE, 6),
        "ANNUAL_RISK_FREE_DECIMAL": RISK_FREE,
        "DAILY_LOG_RISK_FREE_RATE_CRYPTO": math.log(1 + RISK_FREE) / DAYS_IN_YEAR["crypto"],
        "DAILY_LOG_RISK_FREE_RATE_FOREX": math.log(1 + RISK_FREE) / DAYS_IN_YEAR["forex"],
        "TARGET_CHECKPOINT_DURATION_MS": span_ms,
        "DAILY_MS": DAY_MS,
        "DAILY_CHECKPOINTS": DAY_MS // span_ms,
        "TARGET_LEDGER_WINDOW_DAYS": WINDOW_DAYS,
        "TARGET_LEDGER_WINDOW_MS": WINDOW_DAYS * DAY_MS,
        "WEIGHTED_AVERAGE_DECAY_RATE": DECAY_RATE,
        "WEIGHTED_AVERAGE_DECAY_MIN": DECAY_LEAST,
        "WEIGHTED_AVERAGE_DECAY_MAX": 1.0,
        "WEIGHTED_AVERAGE_DECAY_MIN_PNL": DECAY_LEAST_PNL,
        "RISK_PROFILING_STEPS_MIN_LEVERAGE": STEPS_LEAST_LEVERAGE,
        "RISK_PROFILING_STEPS_CRITERIA": STEPS_CRITERIA,
        "RISK_PROFILING_MONOTONIC_CRITERIA": MONOTONIC_CRITERIA,
        "RISK_PROFILING_MARGIN_CRITERIA": MARGIN_CRITERIA,
        "RISK_PROFILING_LEVERAGE_ADVANCE": ADVANCE_CRITERIA,
        "RISK_PROFILING_SCOPING_MECHANIC": SCOPING,
        "RISK_PROFILING_SIGMOID_SHIFT": RISK_SHIFT,
        "RISK_PROFILING_SIGMOID_SPREAD": RISK_SPREAD,
        "RISK_PROFILING_TIME_CRITERIA": TIME_CRITERIA,
        "EPSILON": EPSILON,
        "MINIMUM_POSITION_DURATION_MS": 60_000,
        **{f"SCORING_{name.upper()}_WEIGHT": weight for name, weight in METRIC_WEIGHTS.items()},
        "OMEGA_LOSS_MINIMUM": OMEGA_LOSS_LEAST,
        "SHARPE_STDDEV_MINIMUM": DEVIATION_LEAST,
        "SORTINO_DOWNSIDE_MINIMUM": DEVIATION_LEAST,
        **{f"{name.upper()}_NOCONFIDENCE_VALUE": value for name, value in NO_CONFIDENCE.items()},
        "DRAWDOWN_MAXVALUE_PERCENTAGE": DRAWDOWN_MOST_PERCENT,
        "CHALLENGE_PERIOD_MIN_WEIGHT": CHALLENGE_WEIGHT_LEAST,
        "CHALLENGE_PERIOD_MAX_WEIGHT": CHALLENGE_WEIGHT_MOST,
        "CHALLENGE_PERIOD_MAXIMUM_DAYS": CHALLENGE_DAYS,
        "CHALLENGE_PERIOD_MAXIMUM_MS": CHALLENGE_DAYS * DAY_MS,
        "PROBATION_MAXIMUM_DAYS": PROBATION_DAYS,
        "PROBATION_MAXIMUM_MS": PROBATION_DAYS * DAY_MS,
        "PLAGIARISM_REVIEW_PERIOD_MS": PLAGIARISM_DAYS * DAY_MS,
        "SOFTMAX_TEMPERATURE": SOFTMAX_TEMPERATURE,
        "MIN_COLLATERAL_VALUE": COLLATERAL_LEAST_USD,
        "MIN_CAPITAL": CAPITAL_LEAST_USD,
        "asset_class_breakdown": {
            name: {"emission": EMISSION[name], "days_in_year": DAYS_IN_YEAR[name]} for name in CLASSES
        },
    }
