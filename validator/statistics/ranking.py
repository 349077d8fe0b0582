"""Ranks, percentiles and what is made of them. Ties keep the order of the hotkeys' names."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from validator.statistics.constants import (
    CHALLENGE_WEIGHT_LEAST,
    CHALLENGE_WEIGHT_MOST,
    EPSILON,
    SOFTMAX_TEMPERATURE,
)

Scores = Mapping[str, float]


def ranks(scores: Scores) -> dict[str, int]:
    """1 for the largest score; equal ones in the order they come in."""
    ordered = sorted(scores, key=lambda hotkey: -scores[hotkey])
    return {hotkey: rank for rank, hotkey in enumerate(ordered, start=1)}


def percentiles(scores: Scores) -> dict[str, float]:
    """The share of scores that are strictly smaller; 1.0 for a single one."""
    if len(scores) == 1:
        return dict.fromkeys(scores, 1.0)
    ordered = sorted(scores.values())
    return {hotkey: bisect_left(ordered, value) / len(ordered) for hotkey, value in scores.items()}


def softmax(scores: Scores) -> dict[str, float]:
    """Shares of one, drawn towards the largest scores; a score of 0 gets nothing, a single hotkey all."""
    if len(scores) == 1:
        return dict.fromkeys(scores, 1.0)
    largest = max((value for value in scores.values() if value), default=0.0)
    powers = {
        hotkey: math.exp((value - largest) / SOFTMAX_TEMPERATURE) if value else 0.0
        for hotkey, value in scores.items()
    }
    total = math.fsum(powers.values()) + EPSILON
    return {hotkey: power / total for hotkey, power in powers.items()}


def normalised(scores: Scores) -> dict[str, float]:
    """The scores as shares of their sum; all 0 when there is nothing to share."""
    total = math.fsum(scores.values())
    return {hotkey: value / total if total else 0.0 for hotkey, value in scores.items()}


def gini(values: Sequence[float]) -> float | None:
    """How unequal the values are: 0 for equal ones, near 1 when one has all; None when all are 0."""
    ordered = sorted(values)
    total = math.fsum(ordered)
    if not total:
        return None
    climbing = math.fsum(place * value for place, value in enumerate(ordered, start=1))
    count = len(ordered)
    return 2.0 * climbing / (count * total) - (count + 1) / count


def challenge_weights(scores: Scores) -> dict[str, float]:
    """Tiny weights for those who are still tested, evenly spaced from the best to the last."""
    ordered = sorted(scores, key=lambda hotkey: -scores[hotkey])
    step = (CHALLENGE_WEIGHT_LEAST - CHALLENGE_WEIGHT_MOST) / max(1, len(ordered) - 1)
    return {hotkey: CHALLENGE_WEIGHT_MOST + place * step for place, hotkey in enumerate(ordered)}
