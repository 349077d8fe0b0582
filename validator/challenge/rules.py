"""The rules of the challenge period. Pure: facts and a time in, transitions out.

Rule 1: losses come first, then reports of plagiarism, then time limits, then ranks; a hotkey makes at most
one step at a time.
Rule 2: a limit is over when more than it has passed: at the very millisecond it is not yet.
Rule 3: hotkeys are ranked by class of assets; who selected no class or has no score is not ranked, and who
is not ranked neither rises nor falls.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from runtime.settings import RulesSettings
from validator.challenge.record import (
    CHALLENGE,
    ELIMINATED,
    MAINCOMP,
    PLAGIARISM,
    PROBATION,
    SUBACCOUNT_CHALLENGE,
    SUBACCOUNT_FUNDED,
)
from validator.eliminations import reasons
from validator.eliminations.rules import NEARLY, NOTHING_LEFT, loss_verdict

DAY_MS: Final = 86_400_000

PROMOTED: Final = "promoted"
DEMOTED: Final = "demoted"
REPORTED: Final = "reported"
CLEARED: Final = "cleared"

_ON_TRIAL: Final = frozenset((CHALLENGE, PROBATION, SUBACCOUNT_CHALLENGE))
_RANKED: Final = frozenset((CHALLENGE, PROBATION, MAINCOMP))
_RISING: Final = frozenset((CHALLENGE, PROBATION))


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Thresholds: times in ms, drawdowns and gains as shares (0.1 is 10 %)."""

    drawdown: float = 0.10
    minimum_days: int = 61
    challenge_ms: int = 90 * DAY_MS
    probation_ms: int = 60 * DAY_MS
    plagiarism_ms: int = 14 * DAY_MS
    rank: int = 25
    subaccount_ms: int = 90 * DAY_MS
    subaccount_gain: float = 0.03
    subaccount_drawdown: float = 0.06


def limits_of(settings: RulesSettings) -> Limits:
    """The settings as thresholds."""
    return Limits(
        drawdown=settings.drawdown_percent / 100,
        minimum_days=settings.challenge_minimum_days,
        challenge_ms=round(settings.challenge_days * DAY_MS),
        probation_ms=round(settings.probation_days * DAY_MS),
        plagiarism_ms=round(settings.plagiarism_days * DAY_MS),
        rank=settings.promotion_rank,
        subaccount_ms=round(settings.subaccount_days * DAY_MS),
        subaccount_gain=settings.subaccount_gain_percent / 100,
        subaccount_drawdown=settings.subaccount_drawdown_percent / 100,
    )


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A hotkey that is not eliminated.

    ``since_ms`` and ``previous...``: its buckets. ``value``: its ledger now, as a multiplier, and
    ``admitted_value`` when it was first seen. ``worst``: see ``standing.worst_ratio``. ``days``: complete
    trading days. ``score``: in the class it selected. ``is_reported``: an operator holds it for a plagiarist;
    ``is_cleared``: it was reported, and the report was withdrawn.
    """

    hotkey: str
    bucket: str
    since_ms: int
    previous_bucket: str | None = None
    previous_since_ms: int | None = None
    value: float = 1.0
    admitted_value: float = 1.0
    worst: float = 1.0
    days: int = 0
    asset_class: str | None = None
    score: float | None = None
    is_reported: bool = False
    is_cleared: bool = False


@dataclass(frozen=True, slots=True)
class Transition:
    """A hotkey's step into ``bucket`` (ELIMINATED: for good, with drawdown ``dd`` in per cent)."""

    hotkey: str
    bucket: str
    start_ms: int
    reason: str
    dd: float | None = None

    @property
    def is_elimination(self) -> bool:
        return self.bucket == ELIMINATED


def decide(facts: Iterable[Facts], now_ms: int, limits: Limits) -> list[Transition]:
    """Every step that is due, by hotkey."""
    ordered = sorted(facts, key=lambda one: one.hotkey)
    own = {one.hotkey: step for one in ordered if (step := _own_step(one, now_ms, limits)) is not None}
    others = [one for one in ordered if one.hotkey not in own]
    ranked = {step.hotkey: step for step in _by_rank(others, now_ms, limits)}
    return [step for _, step in sorted((own | ranked).items())]


def time_limit_ms(bucket: str, limits: Limits) -> int | None:
    """The longest stay in a bucket; None where there is none."""
    return {
        CHALLENGE: limits.challenge_ms,
        PROBATION: limits.probation_ms,
        PLAGIARISM: limits.plagiarism_ms,
        SUBACCOUNT_CHALLENGE: limits.subaccount_ms,
    }.get(bucket)


def _own_step(one: Facts, now_ms: int, limits: Limits) -> Transition | None:
    """The step that follows from a hotkey's own facts."""
    return (
        _after_loss(one, now_ms, limits)
        or _after_report(one, now_ms)
        or _after_time(one, now_ms, limits)
        or _after_gain(one, now_ms, limits)
    )


def _after_loss(one: Facts, now_ms: int, limits: Limits) -> Transition | None:
    limit, reason = limits.drawdown, reasons.MAX_TOTAL_DRAWDOWN
    if one.bucket in _ON_TRIAL:
        reason = reasons.FAILED_CHALLENGE_PERIOD_DRAWDOWN
    if one.bucket == SUBACCOUNT_CHALLENGE:
        limit = min(limit, limits.subaccount_drawdown)
    if one.admitted_value <= NOTHING_LEFT:
        return None  # it came with nothing, so there is nothing to lose
    verdict = loss_verdict(one.value, one.worst, limit, reason)
    return None if verdict is None else Transition(one.hotkey, ELIMINATED, now_ms, *verdict)


def _after_report(one: Facts, now_ms: int) -> Transition | None:
    if one.is_reported and one.bucket != PLAGIARISM:
        return Transition(one.hotkey, PLAGIARISM, now_ms, REPORTED)
    if not one.is_cleared or one.bucket != PLAGIARISM or one.previous_bucket is None:
        return None
    since_ms = now_ms if one.previous_since_ms is None else one.previous_since_ms
    return Transition(one.hotkey, one.previous_bucket, since_ms, CLEARED)


def _after_time(one: Facts, now_ms: int, limits: Limits) -> Transition | None:
    limit_ms = time_limit_ms(one.bucket, limits)
    if limit_ms is None or now_ms <= one.since_ms + limit_ms:
        return None
    reason = reasons.FAILED_CHALLENGE_PERIOD_TIME
    if one.bucket == PLAGIARISM:
        reason = reasons.PLAGIARISM
    return Transition(one.hotkey, ELIMINATED, now_ms, reason, reasons.NO_DRAWDOWN)


def _after_gain(one: Facts, now_ms: int, limits: Limits) -> Transition | None:
    gain = one.value / one.admitted_value - 1.0 if one.admitted_value > 0 else 0.0
    if one.bucket != SUBACCOUNT_CHALLENGE or gain < limits.subaccount_gain - NEARLY:
        return None
    return Transition(one.hotkey, SUBACCOUNT_FUNDED, now_ms, PROMOTED)


def _by_rank(facts: Sequence[Facts], now_ms: int, limits: Limits) -> list[Transition]:
    best = _best(facts, limits.rank)
    steps: list[Transition] = []
    for one in facts:
        is_best = one.hotkey in best
        if one.bucket in _RISING and is_best and one.days >= limits.minimum_days:
            steps.append(Transition(one.hotkey, MAINCOMP, now_ms, PROMOTED))
        elif one.bucket == MAINCOMP and _is_ranked(one) and not is_best:
            steps.append(Transition(one.hotkey, PROBATION, now_ms, DEMOTED))
    return steps


def _best(facts: Iterable[Facts], rank: int) -> set[str]:
    """Who is among the first of its class; who has too few days takes a place, but cannot rise."""
    classes: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
    for one in facts:
        if one.asset_class is not None and one.score is not None and _is_ranked(one):
            classes[one.asset_class].append((-one.score, one.hotkey))
    return {hotkey for found in classes.values() for score, hotkey in sorted(found)[:rank] if score <= 0}


def _is_ranked(one: Facts) -> bool:
    return one.bucket in _RANKED and one.asset_class is not None and one.score is not None
