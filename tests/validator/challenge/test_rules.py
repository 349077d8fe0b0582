"""The rules of the challenge period: exact boundaries, ranks, and what holds for any facts."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.settings import RulesSettings
from validator.challenge.record import (
    BUCKETS,
    CHALLENGE,
    ELIMINATED,
    MAINCOMP,
    PLAGIARISM,
    PROBATION,
    SUBACCOUNT_CHALLENGE,
    SUBACCOUNT_FUNDED,
)
from validator.challenge.rules import DAY_MS, Facts, Limits, Transition, decide, limits_of, time_limit_ms
from validator.eliminations.rules import loss_verdict

NOW = 1_750_000_000_000
LIMITS = Limits()


def one(bucket: str = CHALLENGE, hotkey: str = "a", since_ms: int = NOW, **facts: object) -> Facts:
    return Facts(hotkey=hotkey, bucket=bucket, since_ms=since_ms, **facts)  # type: ignore[arg-type]


def ranked(bucket: str, scores: dict[str, float], **facts: object) -> list[Facts]:
    fields = {"days": 100, "asset_class": "crypto", **facts}
    return [one(bucket, hotkey, score=score, **fields) for hotkey, score in scores.items()]


def only(steps: list[Transition]) -> Transition:
    (step,) = steps
    return step


def test_the_defaults_of_the_settings_are_vantas() -> None:
    assert limits_of(RulesSettings()) == Limits() == LIMITS
    assert (LIMITS.drawdown, LIMITS.minimum_days, LIMITS.rank) == (0.10, 61, 25)
    days = [time_limit_ms(bucket, LIMITS) for bucket in (CHALLENGE, PROBATION, PLAGIARISM)]
    assert days == [90 * DAY_MS, 60 * DAY_MS, 14 * DAY_MS]
    assert time_limit_ms(MAINCOMP, LIMITS) is None


@pytest.mark.parametrize(
    ("bucket", "days", "reason"),
    [
        (CHALLENGE, 90, "FAILED_CHALLENGE_PERIOD_TIME"),
        (PROBATION, 60, "FAILED_CHALLENGE_PERIOD_TIME"),
        (PLAGIARISM, 14, "PLAGIARISM"),
        (SUBACCOUNT_CHALLENGE, 90, "FAILED_CHALLENGE_PERIOD_TIME"),
    ],
)
def test_a_time_limit_is_over_one_millisecond_after_it(bucket: str, days: int, reason: str) -> None:
    facts = one(bucket, is_reported=bucket == PLAGIARISM)
    end_ms = NOW + days * DAY_MS

    assert decide([facts], end_ms, LIMITS) == []
    step = only(decide([facts], end_ms + 1, LIMITS))
    assert step == Transition("a", ELIMINATED, end_ms + 1, reason, -1.0)
    assert step.is_elimination


@pytest.mark.parametrize("bucket", [MAINCOMP, SUBACCOUNT_FUNDED, "PRO_FUNDED", "SOMETHING_NEW"])
def test_other_buckets_have_no_time_limit(bucket: str) -> None:
    assert decide([one(bucket)], NOW + 10_000 * DAY_MS, LIMITS) == []


@pytest.mark.parametrize(
    ("bucket", "reason"),
    [
        (MAINCOMP, "MAX_TOTAL_DRAWDOWN"),
        (CHALLENGE, "FAILED_CHALLENGE_PERIOD_DRAWDOWN"),
        (PROBATION, "FAILED_CHALLENGE_PERIOD_DRAWDOWN"),
        (PLAGIARISM, "MAX_TOTAL_DRAWDOWN"),
        (SUBACCOUNT_FUNDED, "MAX_TOTAL_DRAWDOWN"),
        ("PRO_FUNDED", "MAX_TOTAL_DRAWDOWN"),
        ("SOMETHING_NEW", "MAX_TOTAL_DRAWDOWN"),
    ],
)
def test_ten_per_cent_down_ends_a_hotkey_in_every_bucket(bucket: str, reason: str) -> None:
    at, before = one(bucket, worst=1 - 0.1), one(bucket, worst=0.900001)

    assert decide([before], NOW, LIMITS) == []
    assert only(decide([at], NOW, LIMITS)) == Transition("a", ELIMINATED, NOW, reason, 10.0)


def test_a_loss_is_told_in_per_cent_with_two_decimals() -> None:
    assert only(decide([one(MAINCOMP, worst=0.81234567)], NOW, LIMITS)).dd == 18.77


@pytest.mark.parametrize("bucket", sorted(BUCKETS - {ELIMINATED}))
def test_nothing_left_is_a_liquidation(bucket: str) -> None:
    step = only(decide([one(bucket, value=1e-9, worst=1e-9)], NOW, LIMITS))

    assert (step.reason, step.dd) == ("LIQUIDATED", 0.0)


def test_who_came_with_nothing_has_nothing_to_lose() -> None:
    assert decide([one(value=1e-9, worst=1e-9, admitted_value=1e-9)], NOW, LIMITS) == []


def test_a_subaccounts_challenge_has_its_own_limits() -> None:
    lost = one(SUBACCOUNT_CHALLENGE, worst=0.94)
    gained = one(SUBACCOUNT_CHALLENGE, value=1.03)

    assert only(decide([lost], NOW, LIMITS)).reason == "FAILED_CHALLENGE_PERIOD_DRAWDOWN"
    assert decide([one(SUBACCOUNT_CHALLENGE, worst=0.9401)], NOW, LIMITS) == []
    assert only(decide([gained], NOW, LIMITS)) == Transition("a", SUBACCOUNT_FUNDED, NOW, "promoted")
    assert decide([one(SUBACCOUNT_CHALLENGE, value=1.0299)], NOW, LIMITS) == []
    assert decide([one(SUBACCOUNT_CHALLENGE, value=1.03, admitted_value=1.01)], NOW, LIMITS) == []


def test_a_report_puts_a_hotkey_under_review_and_a_clearance_puts_it_back() -> None:
    assert only(decide([one(MAINCOMP, is_reported=True)], NOW, LIMITS)).bucket == PLAGIARISM
    assert decide([one(PLAGIARISM, is_reported=True)], NOW, LIMITS) == []
    cleared = one(PLAGIARISM, is_cleared=True, previous_bucket=MAINCOMP, previous_since_ms=NOW - 5)
    assert only(decide([cleared], NOW, LIMITS)) == Transition("a", MAINCOMP, NOW - 5, "cleared")
    assert decide([one(PLAGIARISM)], NOW, LIMITS) == []  # it came so with a checkpoint: nobody cleared it


def test_a_loss_weighs_more_than_a_report_and_a_report_more_than_time() -> None:
    late = one(since_ms=NOW - 91 * DAY_MS, is_reported=True)

    assert only(decide([late], NOW, LIMITS)).bucket == PLAGIARISM
    assert only(decide([msgspec.structs.replace(late, worst=0.5)], NOW, LIMITS)).is_elimination


def test_who_is_among_the_best_with_enough_days_rises() -> None:
    facts = [one(days=days, asset_class="crypto", score=0.5, hotkey=str(days)) for days in (60, 61)]

    assert only(decide(facts, NOW, LIMITS)) == Transition("61", MAINCOMP, NOW, "promoted")
    back = ranked(PROBATION, {"b": 0.1})
    assert only(decide(back, NOW, LIMITS)).bucket == MAINCOMP


def test_the_main_competition_holds_25_of_each_class() -> None:
    members = ranked(MAINCOMP, {f"m{n:02}": 1 - n / 100 for n in range(25)})
    worse, better = ranked(CHALLENGE, {"c": 0.7}), ranked(CHALLENGE, {"c": 0.999})

    assert decide([*members, *worse], NOW, LIMITS) == []
    steps = decide([*members, *better], NOW, LIMITS)
    assert [(step.hotkey, step.bucket) for step in steps] == [("c", MAINCOMP), ("m24", PROBATION)]
    other = ranked(CHALLENGE, {"c": 0.1}, asset_class="forex")
    assert only(decide([*members, *other], NOW, LIMITS)).bucket == MAINCOMP


def test_who_has_too_few_days_takes_a_place_but_cannot_rise() -> None:
    members = ranked(MAINCOMP, {f"m{n:02}": 1 - n / 100 for n in range(25)})
    young = ranked(CHALLENGE, {"c": 2.0}, days=10)

    assert only(decide([*members, *young], NOW, LIMITS)) == Transition("m24", PROBATION, NOW, "demoted")


def test_who_is_not_ranked_neither_rises_nor_falls() -> None:
    unranked = [
        one(MAINCOMP, "no class", score=0.1),
        one(MAINCOMP, "no score", asset_class="crypto"),
        one(CHALLENGE, "chose nothing", days=90, score=1.0),
    ]
    assert decide(unranked, NOW, msgspec.structs.replace(LIMITS, rank=0)) == []


def test_a_negative_score_is_not_good_enough() -> None:
    assert decide(ranked(CHALLENGE, {"a": -0.1}), NOW, LIMITS) == []
    assert decide(ranked(CHALLENGE, {"a": 0.0}), NOW, LIMITS) != []
    assert only(decide(ranked(MAINCOMP, {"a": -0.1}), NOW, LIMITS)).bucket == PROBATION


def test_equal_scores_are_ranked_by_name() -> None:
    limits = msgspec.structs.replace(LIMITS, rank=1)
    steps = decide(ranked(MAINCOMP, {"b": 0.5, "a": 0.5}), NOW, limits)

    assert [step.hotkey for step in steps] == ["b"]


ratios = st.floats(0, 2, allow_nan=False)
some_facts = st.builds(
    Facts,
    hotkey=st.sampled_from("abcdefgh"),
    bucket=st.sampled_from(sorted(BUCKETS - {ELIMINATED})),
    since_ms=st.integers(NOW - 100 * DAY_MS, NOW),
    previous_bucket=st.none() | st.just(MAINCOMP),
    previous_since_ms=st.none() | st.just(NOW - 50 * DAY_MS),
    value=ratios,
    admitted_value=ratios,
    worst=st.floats(0, 1),
    days=st.integers(0, 120),
    asset_class=st.none() | st.sampled_from(["crypto", "forex"]),
    score=st.none() | st.floats(-1, 1),
    is_reported=st.booleans(),
    is_cleared=st.booleans(),
)


@given(
    st.lists(some_facts, unique_by=lambda facts: facts.hotkey),
    st.integers(0, 100),
    st.integers(0, 3),
    st.randoms(),
)
def test_decisions_are_sound_whatever_the_facts(
    facts: list[Facts], days: int, rank: int, rng: object
) -> None:
    """One step each at most, never into the bucket one is in, and the order of the facts does not matter."""
    now_ms, limits = NOW + days * DAY_MS, msgspec.structs.replace(LIMITS, rank=rank)
    steps = decide(facts, now_ms, limits)
    by_hotkey = {one.hotkey: one for one in facts}
    shuffled = list(facts)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]

    assert decide(shuffled, now_ms, limits) == steps
    assert [step.hotkey for step in steps] == sorted({step.hotkey for step in steps})
    for step in steps:
        before = by_hotkey[step.hotkey]
        assert step.bucket != before.bucket
        assert step.start_ms <= now_ms
        if before.worst <= 0.9 and before.admitted_value > 1e-6:
            assert step.is_elimination
    risen = [s for s in steps if s.reason == "promoted" and s.bucket == MAINCOMP]
    assert all(by_hotkey[s.hotkey].days >= limits.minimum_days for s in risen)
    kept = [f for f in facts if f.bucket == MAINCOMP and f.hotkey not in {s.hotkey for s in steps}]
    for name in ("crypto", "forex"):
        inside = [f.hotkey for f in kept if f.asset_class == name and f.score is not None]
        rose = [s.hotkey for s in risen if by_hotkey[s.hotkey].asset_class == name]
        assert len(inside) + len(rose) <= rank


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.001, 1))
def test_deeper_losses_are_never_forgiven(one_ratio: float, other: float, limit: float) -> None:
    """If a drawdown ends a hotkey, so does every larger one."""
    low, high = sorted((one_ratio, other))
    if loss_verdict(1.0, high, limit, "x") is not None:
        verdict = loss_verdict(1.0, low, limit, "x")
        assert verdict is not None
        assert 0.0 <= verdict.dd <= 100.0
