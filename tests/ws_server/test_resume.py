"""Where a stream starts: DESIGN's table of ``last_sequence`` and epochs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.entry import POSITIONS, Epoch
from tests.ws_server.helpers import EPOCH, horizon
from ws_server.resume import Plan, plan

SECOND = Epoch(id="epoch-2", first={POSITIONS: 1_000_101}, created_ms=0)


@pytest.mark.parametrize(
    ("last", "epoch", "expected"),
    [
        (-1, None, Plan(10)),
        (-1, "another", Plan(10)),
        (0, None, Plan(0)),
        (4, None, Plan(4)),
        (4, EPOCH.id, Plan(4)),
        (10, None, Plan(10)),
        (11, None, Plan(10, "future_sequence")),
        (4, "another", Plan(10, "epoch_changed")),
        (0, "another", Plan(10, "epoch_changed")),
    ],
)
def test_a_first_epoch(last: int, epoch: str | None, expected: Plan) -> None:
    """Ten entries, all kept."""
    assert plan(horizon(position=10), POSITIONS, last, epoch) == expected


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (0, Plan(5)),
        (1, Plan(10, "trimmed")),
        (4, Plan(10, "trimmed")),
        (5, Plan(5)),
    ],
)
def test_a_trimmed_stream(last: int, expected: Plan) -> None:
    """Entries 6 to 10 are kept: 5 is the smallest number that loses nothing."""
    assert plan(horizon(position=10, oldest=6), POSITIONS, last) == expected


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (100, Plan(1_000_110, "epoch_changed")),
        (1, Plan(1_000_110, "epoch_changed")),
        (0, Plan(1_000_100)),
        (1_000_100, Plan(1_000_100)),
        (1_000_105, Plan(1_000_105)),
    ],
)
def test_a_number_of_an_older_epoch_is_told_without_naming_the_epoch(last: int, expected: Plan) -> None:
    """A million numbers lie between two epochs, so an old number cannot be mistaken."""
    assert plan(horizon(position=1_000_110, epoch=SECOND), POSITIONS, last) == expected


def test_a_number_that_rest_has_shown_is_not_future() -> None:
    """REST reads the journal directly and may be an instant ahead of the broadcast."""
    assert plan(horizon(position=10, durable=12), POSITIONS, 12) == Plan(12)
    assert plan(horizon(position=10, durable=12), POSITIONS, 13) == Plan(10, "future_sequence")


def test_a_stream_without_entries_starts_at_zero() -> None:
    """An empty stream can be resumed from 0 and from nowhere else."""
    assert plan(horizon(), "orders", 0) == Plan(0)
    assert plan(horizon(), "orders", -1) == Plan(0)


@given(st.integers(0, 50), st.integers(1, 60), st.integers(-1, 70))
def test_recovered_means_that_nothing_is_missing(position: int, oldest: int, last: int) -> None:
    """Whatever is asked: a recovered cursor never skips an entry that is kept and newer than ``last``."""
    oldest = min(oldest, position + 1)
    chosen = plan(horizon(position=position, oldest=oldest), POSITIONS, last)

    if chosen.recovered and last > 0:
        assert chosen.cursor == last
        assert last >= oldest - 1
    if chosen.recovered and last == 0:
        assert chosen.cursor == oldest - 1
    if not chosen.recovered or last < 0:
        assert chosen.cursor == position
