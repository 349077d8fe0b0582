"""The worst drawdown that counts: measured from the admission until the old height is reached again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.challenge.record import Admission
from validator.challenge.standing import Standings, worst_ratio
from validator.ledger.checkpoint import DAY_MS, PORTFOLIO, SPAN_MS, Bundle, Checkpoint, Ledger

T0 = 1_750_032_000_000 - 1_750_032_000_000 % DAY_MS
FRESH = Admission()


def span(n: int, mdd: float, mpv: float = 1.0) -> Checkpoint:
    """The nth span after T0."""
    return Checkpoint(last_update_ms=T0 + (n + 1) * SPAN_MS, accum_ms=SPAN_MS, mdd=mdd, mpv=mpv)


def test_without_history_it_is_the_present_drawdown() -> None:
    assert worst_ratio([], (0.95, 0.93), FRESH, T0) == 0.93


def test_the_deepest_finished_span_counts_for_ever() -> None:
    assert worst_ratio([span(0, 0.97), span(1, 0.91), span(2, 1.0)], (1.2, 1.0), FRESH, T0) == 0.91


def test_spans_that_began_before_the_admission_do_not_count() -> None:
    assert worst_ratio([span(0, 0.5), span(1, 0.99)], (1.0, 1.0), FRESH, T0 + 1) == 0.99


def test_a_loss_from_before_the_admission_is_not_held_against_it() -> None:
    """Admitted 20 % down: ten per cent of what was left may not be lost, the 20 % are forgiven."""
    admission = Admission(value=0.8, drawdown=0.8)

    assert worst_ratio([], (0.8, 0.8), admission, T0) == pytest.approx(1.0)
    assert worst_ratio([], (0.72, 0.72), admission, T0) == pytest.approx(0.9)
    assert worst_ratio([span(0, 0.76, 0.8)], (0.8, 0.8), admission, T0) == pytest.approx(0.95)


def test_once_at_its_old_height_a_hotkey_is_measured_from_its_highest_value() -> None:
    admission = Admission(value=0.8, drawdown=0.8)
    recovered = [span(0, 0.8, 1.1), span(1, 0.95, 1.1)]

    assert worst_ratio(recovered, (1.0, 0.92), admission, T0) == pytest.approx(0.92)
    assert worst_ratio([], (1.05, 0.9), admission, T0) == pytest.approx(0.9)


@given(
    st.lists(st.tuples(st.floats(1e-9, 1), st.floats(0, 10)), max_size=20),
    st.tuples(st.floats(1e-9, 10), st.floats(1e-9, 1)),
    st.floats(1e-9, 10),
    st.floats(1e-9, 1),
)
def test_it_is_a_ratio_and_never_stricter_than_vantas(
    spans: list[tuple[float, float]], now: tuple[float, float], value: float, drawdown: float
) -> None:
    """Between 0 and 1, and for a hotkey that was admitted at its height exactly the smallest of all."""
    cps = [span(n, mdd, mpv) for n, (mdd, mpv) in enumerate(spans)]
    plain = min([now[1], *(mdd for mdd, _ in spans)])

    assert worst_ratio(cps, now, FRESH, T0) == min(1.0, plain)
    lenient = worst_ratio(cps, now, Admission(value=value, drawdown=drawdown), T0)
    assert min(1.0, plain) <= lenient <= 1.0


class Shelf:
    """Ledgers that count how often they are read."""

    def __init__(self) -> None:
        self.cps: tuple[Checkpoint, ...] = ()
        self.read = 0

    def revision(self, hotkey: str) -> tuple[int, int]:
        return len(self.cps), 0

    def bundle(self, hotkey: str) -> Bundle | None:
        self.read += 1
        return {PORTFOLIO: Ledger(cps=self.cps)} if self.cps else None


def test_finished_spans_are_read_once_and_complete_days_counted() -> None:
    shelf = Shelf()
    standings = Standings(shelf, {"a": (1.1, 0.99)}.get)
    assert standings.of("nobody", FRESH, T0) is None
    assert standings.admission("nobody") is None
    assert standings.admission("a") == Admission(value=1.1, drawdown=0.99)
    shelf.cps = tuple(span(n, 0.97) for n in range(9))
    for _ in range(3):
        standing = standings.of("a", FRESH, T0)

    assert standing is not None
    assert (standing.value, standing.drawdown, standing.worst, standing.days) == (1.1, 0.99, 0.97, 2)
    assert shelf.read == 1
