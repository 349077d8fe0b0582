"""The fact about a hotkey's bucket: its steps, what delayed readers see, and the forms of checkpoints."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.challenge.record import (
    BUCKETS,
    CHALLENGE,
    ELIMINATED,
    MAINCOMP,
    PLAGIARISM,
    PROBATION,
    STEPS_KEPT,
    Admission,
    Challenge,
    admitted,
    as_of,
    bucket_at,
    decode,
    encode,
    from_section,
    moved,
    section,
)
from vanta_api.wire import WireError

T0 = 1_750_000_000_000
HOUR = 3_600_000


def travelled() -> Challenge:
    """CHALLENGE at 0 h, MAINCOMP at 1 h, PLAGIARISM at 2 h, cleared at 3 h."""
    one = admitted("a", CHALLENGE, T0, Admission(value=1.1, drawdown=0.95))
    one = moved(one, MAINCOMP, T0 + HOUR, T0 + HOUR, "promoted")
    one = moved(one, PLAGIARISM, T0 + 2 * HOUR, T0 + 2 * HOUR, "reported")
    return moved(one, MAINCOMP, T0 + HOUR, T0 + 3 * HOUR, "cleared")


def test_every_step_is_remembered_with_the_bucket_before() -> None:
    one = travelled()

    assert [step.bucket for step in one.history] == [CHALLENGE, MAINCOMP, PLAGIARISM, MAINCOMP]
    assert (one.bucket, one.bucket_start_time) == (MAINCOMP, T0 + HOUR)
    assert (one.previous_bucket, one.previous_bucket_start_time) == (PLAGIARISM, T0 + 2 * HOUR)
    assert moved(one, MAINCOMP, T0 + 9 * HOUR, T0 + 9 * HOUR) is one
    assert decode(encode(one)) == one


def test_a_delayed_reader_sees_what_had_been_decided() -> None:
    one = travelled()
    seen = [as_of(one, T0 + hours * HOUR + 1) for hours in range(4)]

    assert as_of(one, T0) is None
    assert [s.bucket for s in seen if s is not None] == [CHALLENGE, MAINCOMP, PLAGIARISM, MAINCOMP]
    assert seen[2] is not None
    assert (seen[2].previous_bucket, seen[2].previous_bucket_start_time) == (MAINCOMP, T0 + HOUR)
    before_the_clearance = as_of(one, T0 + 3 * HOUR)
    assert before_the_clearance == seen[2]
    assert seen[3] is one


def test_the_bucket_at_a_moment_is_the_one_decided_by_then() -> None:
    one = travelled()

    found = [bucket_at(one, T0 + hours * HOUR) for hours in (-1, 0, 1, 2, 3, 99)]
    assert found == ["unknown", CHALLENGE, MAINCOMP, PLAGIARISM, MAINCOMP, MAINCOMP]


def test_a_long_history_keeps_its_first_step_and_the_newest() -> None:
    one = admitted("a", CHALLENGE, T0)
    for n in range(1, 2 * STEPS_KEPT):
        one = moved(one, MAINCOMP if n % 2 else PROBATION, T0 + n, T0 + n)

    assert len(one.history) == STEPS_KEPT
    assert one.history[0].start_time_ms == T0
    assert one.history[-1].start_time_ms == T0 + 2 * STEPS_KEPT - 1


def test_a_checkpoint_lists_who_is_in() -> None:
    out = moved(admitted("b", CHALLENGE, T0), ELIMINATED, T0 + 1, T0 + 1, "ZOMBIE")

    assert section([out, travelled(), admitted("0", CHALLENGE, T0)]) == {
        "0": {
            "bucket": CHALLENGE,
            "bucket_start_time": T0,
            "previous_bucket": None,
            "previous_bucket_start_time": None,
        },
        "a": {
            "bucket": MAINCOMP,
            "bucket_start_time": T0 + HOUR,
            "previous_bucket": PLAGIARISM,
            "previous_bucket_start_time": T0 + 2 * HOUR,
        },
    }


def test_every_generation_of_a_checkpoint_is_read() -> None:
    row = {"bucket": MAINCOMP, "bucket_start_time": T0 + 1}
    now = section(
        from_section({"a": {**row, "previous_bucket": None, "previous_bucket_start_time": None}}, T0 + 9)
    )
    bare = section(from_section({"a": row}, T0 + 9))
    listed = section(from_section({"a": [row, {"bucket": CHALLENGE, "bucket_start_time": T0}]}, T0 + 9))
    oldest = section(from_section({"testing": {"b": T0}, "success": {"a": T0 + 1}}, T0 + 9))

    assert now == bare
    assert listed["a"]["previous_bucket"] == CHALLENGE
    assert (oldest["a"]["bucket"], oldest["b"]["bucket"]) == (MAINCOMP, CHALLENGE)
    assert from_section({}, T0) == []
    assert section(from_section(section([travelled()]), T0 + 9 * HOUR)) == section([travelled()])


def test_a_hotkey_named_testing_is_a_hotkey() -> None:
    row = {"bucket": PROBATION, "bucket_start_time": T0}
    assert section(from_section({"testing": row}, T0))["testing"]["bucket"] == PROBATION


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ([], "challengeperiod"),
        ({"a": 1}, "challengeperiod.a"),
        ({"a": {"bucket_start_time": T0}}, "challengeperiod.a.bucket"),
        ({"a": {"bucket": 5, "bucket_start_time": T0}}, "challengeperiod.a.bucket"),
        ({"a": {"bucket": "MAINCOMP"}}, "challengeperiod.a.bucket_start_time"),
        ({"a": {"bucket": "MAINCOMP", "bucket_start_time": -1}}, "challengeperiod.a.bucket_start_time"),
        ({"a": {"bucket": "MAINCOMP", "bucket_start_time": True}}, "challengeperiod.a.bucket_start_time"),
        ({"testing": {"a": "x"}}, "challengeperiod.a.bucket_start_time"),
        ({"a": []}, "challengeperiod.a"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_field(value: Any, path: str) -> None:
    with pytest.raises(WireError) as error:
        from_section(value, T0)
    assert str(error.value).startswith(f"{path}: ")


@given(st.lists(st.tuples(st.sampled_from(sorted(BUCKETS)), st.integers(0, 10 * HOUR)), max_size=12))
def test_the_past_of_a_history_never_changes(steps: list[tuple[str, int]]) -> None:
    """Later steps do not change what a reader of an earlier moment is told."""
    one, at_ms = admitted("a", CHALLENGE, T0), T0
    seen: list[tuple[int, Challenge | None]] = []
    for bucket, later in steps:
        seen.append((at_ms + 1, as_of(one, at_ms + 1)))
        at_ms += later + 1
        one = moved(one, bucket, at_ms, at_ms)

    for before_ms, told in seen:
        again = as_of(one, before_ms)
        assert again is not None
        assert told is not None
        assert (again.bucket, again.history, again.bucket_start_time) == (
            told.bucket,
            told.history,
            told.bucket_start_time,
        )
