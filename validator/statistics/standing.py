"""How hotkeys compare: metric by metric, class by class, and in the weights that follow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from validator.statistics import ranking
from validator.statistics.constants import (
    CAPITAL_LEAST_USD,
    CLASSES,
    COLLATERAL_LEAST_USD,
    COLLATERAL_PENALTY,
    EMISSION,
    METRIC_WEIGHTS,
    METRICS,
    MINIMUM_DAYS_LEAST,
    MINIMUM_DAYS_MOST,
    MINIMUM_DAYS_RANK,
    OVERALL,
    OVERALL_METRICS,
    WINDOW_DAYS,
)
from validator.statistics.facts import Facts
from validator.statistics.measures import Measures
from validator.statistics.metrics import gated


@dataclass(frozen=True, slots=True)
class Entrant:
    """A hotkey in the comparison."""

    measures: Measures
    facts: Facts

    @property
    def penalty(self) -> float:
        """Every penalty on its scores, that for missing collateral included."""
        collateral = self.facts.collateral_usd
        is_short = collateral is not None and collateral < COLLATERAL_LEAST_USD
        return self.measures.penalty * (COLLATERAL_PENALTY if is_short else 1.0)

    @property
    def account_size(self) -> float:
        """The newest account size, or the least capital."""
        records = self.facts.account_sizes
        return max(records[-1].account_size, CAPITAL_LEAST_USD) if records else CAPITAL_LEAST_USD


Entrants = Mapping[str, Entrant]
Places = dict[str, dict[str, Any]]
"""hotkey → its ``value``, ``rank``, ``percentile`` ..."""


@dataclass(slots=True)
class Standings:
    """Everyone's place. ``scores`` and ``augmented``: class or ``overall`` → metric → places."""

    scores: dict[str, dict[str, Places]] = field(default_factory=dict)
    augmented: dict[str, dict[str, Places]] = field(default_factory=dict)
    classes: dict[str, Places] = field(default_factory=dict)
    raw_pnl: Places = field(default_factory=dict)
    account_size: Places = field(default_factory=dict)
    weights: Places = field(default_factory=dict)
    competitiveness: dict[str, float | None] = field(default_factory=dict)


def compare(entrants: Entrants) -> Standings:
    """Compare all hotkeys with each other."""
    minimum_days: dict[str, int] = {name: minimum_days_of(entrants, name) for name in CLASSES}
    combined = combined_scores(entrants, minimum_days) if len(entrants) > 1 else {}
    weights = weights_of(entrants, minimum_days)
    return Standings(
        scores=metric_places(entrants, minimum_days, is_weighted=False),
        augmented=metric_places(entrants, minimum_days, is_weighted=True),
        classes={name: class_places(entrants, name, scores) for name, scores in combined.items()},
        raw_pnl=places({hotkey: one.measures.raw_pnl for hotkey, one in entrants.items()}),
        account_size=places({hotkey: one.account_size for hotkey, one in entrants.items()}),
        weights=places(weights),
        competitiveness={name: ranking.gini(list(scores.values())) for name, scores in combined.items()},
    )


def places(scores: ranking.Scores, weight: float | None = None) -> Places:
    """Value, rank and percentile of everyone; ``weight`` adds what the metric contributes overall."""
    rank, share = ranking.ranks(scores), ranking.percentiles(scores)
    found: Places = {}
    for hotkey, value in scores.items():
        found[hotkey] = {"value": value, "rank": rank[hotkey], "percentile": share[hotkey]}
        if weight is not None:
            found[hotkey]["overall_contribution"] = share[hotkey] * weight
    return found


def minimum_days_of(entrants: Entrants, asset_class: str) -> int:
    """Days that a metric of a class asks for: those of the 20th longest participant, within 7 and 60."""
    competing = [one for one in entrants.values() if one.facts.bucket in (None, "MAINCOMP", "PROBATION")]
    if not competing:
        return MINIMUM_DAYS_MOST
    days = sorted((one.measures.scopes[asset_class].days for one in competing), reverse=True)
    longest = [count for count in days if count]
    if len(longest) < MINIMUM_DAYS_RANK:
        return MINIMUM_DAYS_LEAST
    return max(MINIMUM_DAYS_LEAST, min(MINIMUM_DAYS_MOST, longest[MINIMUM_DAYS_RANK - 1]))


def metric_places(
    entrants: Entrants, minimum_days: Mapping[str, int], *, is_weighted: bool
) -> dict[str, dict[str, Places]]:
    """Everyone's place in every metric, per class and overall. Whom a penalty stops has none in a class."""
    scored = {hotkey: one for hotkey, one in entrants.items() if one.penalty}
    found: dict[str, dict[str, Places]] = {
        name: {
            metric: places(
                metric_scores(scored, name, metric, minimum_days[name], is_weighted=is_weighted),
                METRIC_WEIGHTS[metric],
            )
            for metric in METRICS
        }
        for name in CLASSES
    }
    found[OVERALL] = {
        metric: places(
            metric_scores(entrants, OVERALL, metric, MINIMUM_DAYS_MOST, is_weighted=is_weighted),
            METRIC_WEIGHTS[metric],
        )
        for metric in OVERALL_METRICS
    }
    return found


def metric_scores(
    entrants: Entrants, scope: str, metric: str, minimum_days: int, *, is_weighted: bool
) -> dict[str, float]:
    """One metric of everyone."""
    scores = {}
    for hotkey, one in entrants.items():
        found = one.measures.scopes[scope]
        value = (found.weighted if is_weighted else found.plain)[metric]
        scores[hotkey] = gated(metric, value, found.days, minimum_days)
    return scores


def combined_scores(entrants: Entrants, minimum_days: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """Class → hotkey → weighted percentiles of its time-weighted metrics, times its penalty."""
    scored = {hotkey: one for hotkey, one in entrants.items() if one.penalty}
    combined: dict[str, dict[str, float]] = {}
    for name in CLASSES:
        sums = dict.fromkeys(scored, 0.0)
        for metric in METRICS:
            if not METRIC_WEIGHTS[metric]:
                continue
            scores = metric_scores(scored, name, metric, minimum_days[name], is_weighted=True)
            for hotkey, share in ranking.percentiles(scores).items():
                sums[hotkey] += METRIC_WEIGHTS[metric] * share
        combined[name] = {hotkey: value * scored[hotkey].penalty for hotkey, value in sums.items()}
    return combined


def class_places(entrants: Entrants, asset_class: str, scores: ranking.Scores) -> Places:
    """Everyone's share of a class, and the place among those who chose it (rank 0: chose another)."""
    shares = ranking.softmax(scores)
    chosen = {
        hotkey: share
        for hotkey, share in shares.items()
        if entrants[hotkey].facts.asset_selection == asset_class
    }
    rank, percentile = ranking.ranks(chosen), ranking.percentiles(chosen)
    return {
        hotkey: {
            "score": share,
            "rank": rank.get(hotkey, 0),
            "percentile": 100.0 * percentile.get(hotkey, 0.0),
        }
        for hotkey, share in shares.items()
    }


def weights_of(entrants: Entrants, minimum_days: Mapping[str, int]) -> dict[str, float]:
    """Everyone's weight: shares of one for the main competition, next to nothing for those still tested."""
    main = {hotkey: one for hotkey, one in entrants.items() if not one.facts.is_tested}
    tested = {hotkey: one for hotkey, one in entrants.items() if one.facts.is_tested}
    scores = competition(tested, minimum_days)
    seasoned = {
        hotkey: score * math.sqrt(tested[hotkey].measures.scopes[OVERALL].days / WINDOW_DAYS)
        for hotkey, score in scores.items()
    }
    found = competition(main, minimum_days) | ranking.challenge_weights(seasoned)
    return {hotkey: found[hotkey] for hotkey in entrants}


def competition(entrants: Entrants, minimum_days: Mapping[str, int]) -> dict[str, float]:
    """Shares of one within a group: each class gives its emission to those who are good at it."""
    if len(entrants) == 1:
        return dict.fromkeys(entrants, 1.0)
    sums = dict.fromkeys(entrants, 0.0)
    for name, scores in combined_scores(entrants, minimum_days).items():
        for hotkey, share in ranking.softmax(scores).items():
            sums[hotkey] += share * EMISSION[name]
    return ranking.normalised(sums)


def in_order(hotkeys: Iterable[str], standings: Standings) -> list[str]:
    """Hotkeys by the rank of their weight."""
    return sorted(hotkeys, key=lambda hotkey: standings.weights[hotkey]["rank"])
