"""How far portfolios are below their highest value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from journal.entry import LEDGER, Draft
from journal.fold import catch_up
from journal.state import State
from rest_server.drawdowns import Drawdowns
from tests.rest_server.world import DAY, HOUR, World, fill, position
from validator.ledger.checkpoint import Checkpoint
from validator.ledger.record import LedgerRecord, PerfCheckpoint, draft_of

SPAN: Final = 6 * HOUR


@pytest.fixture
def drawdown(world: World) -> Callable[[str], float]:
    return Drawdowns(world.journal, State(), world.source)


def put_peak(world: World, hotkey: str, peak: float, span: int = 0) -> None:
    """Journal a ledger checkpoint whose highest value so far is ``peak``."""
    end_ms = world.now // SPAN * SPAN + span * SPAN
    ledger = LedgerRecord(
        checkpoint=Checkpoint(last_update_ms=end_ms), initialization_time_ms=0, max_return=peak
    )
    record = PerfCheckpoint(
        hotkey=hotkey,
        end_ms=end_ms,
        target_cp_duration_ms=SPAN,
        target_ledger_window_ms=120 * DAY,
        ledgers={"portfolio": ledger},
    )
    world.journal.append([draft_of(record)])


def put_result(world: World, hotkey: str, profit: float, seed: str = "x") -> None:
    """Journal a closed position that earned ``profit`` dollars on an account of 100,000."""
    old = world.now - 2 * DAY
    orders = [fill(seed + "1", 1000, 100.0, old), fill(seed + "2", 0, 100.0 + profit / 1000, old + HOUR)]
    world.put(position(hotkey, orders))


def test_who_never_traded_is_not_below_anything(drawdown: Callable[[str], float]) -> None:
    assert drawdown("nobody") == 1.0


def test_without_a_ledger_a_loss_counts_from_the_start(
    world: World, drawdown: Callable[[str], float]
) -> None:
    put_result(world, "h", -5_000)
    assert drawdown("h") == pytest.approx(0.95)
    assert drawdown("other") == 1.0


def test_the_highest_value_is_the_ledgers(world: World, drawdown: Callable[[str], float]) -> None:
    put_result(world, "h", 20_000)
    assert drawdown("h") == 1.0
    put_peak(world, "h", 1.25)
    assert drawdown("h") == pytest.approx(1.2 / 1.25)
    put_peak(world, "h", 1.5, span=1)
    assert drawdown("h") == pytest.approx(1.2 / 1.5)


def test_open_positions_count_at_their_present_price(world: World, drawdown: Callable[[str], float]) -> None:
    world.put(position("h", [fill("a", 1000, 100.0, world.now - HOUR)]))
    world.mark(90)
    assert drawdown("h") == pytest.approx(0.9)
    world.mark(120, world.now + 1)
    assert drawdown("h") == 1.0


def test_a_state_gives_the_peaks_before_it(world: World) -> None:
    put_peak(world, "h", 2.0)
    state = State()
    catch_up(state, world.journal)
    later = Drawdowns(world.journal, state, world.source)

    assert later("h") == 0.5
    put_peak(world, "h", 4.0, span=1)
    assert later("h") == 0.25


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"perf_checkpoint": {}}', b"\xff"])
def test_what_cannot_be_read_is_passed_over(
    world: World, drawdown: Callable[[str], float], body: bytes
) -> None:
    put_peak(world, "h", 2.0)
    world.journal.append([Draft(LEDGER, "perf|h|6h|1", body), Draft(LEDGER, "perf_through", body + b" ")])
    assert drawdown("h") == 0.5


def test_a_portfolio_that_lost_everything_is_at_zero(world: World, drawdown: Callable[[str], float]) -> None:
    put_result(world, "h", -100_000)
    assert drawdown("h") == 0.0
