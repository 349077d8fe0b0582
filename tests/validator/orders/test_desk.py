"""The development account: journalled apart from everything that is served."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from journal.entry import ACTIONS, DURABLE_STREAMS, Appended, Draft, UnavailableError
from journal.memory import MemoryJournal
from journal.state import State
from runtime.clock import FakeClock
from tests.validator.orders.market import MONDAY_NOON
from validator.orders.desk import DEVELOPMENT, HEAD, Desk, price_of
from validator.orders.signal import SignalError
from vanta_api.records import MarkMessage

LONG: dict[str, Any] = {"trade_pair_id": "BTCUSD", "order_type": "LONG", "leverage": 0.1}


class Marks:
    """Prices that tests set."""

    def __init__(self) -> None:
        self.prices = {"BTCUSD": "100000"}

    def latest(self) -> dict[str, MarkMessage]:
        return {pair: mark(price) for pair, price in self.prices.items()}


def mark(price: str) -> MarkMessage:
    return MarkMessage(trade_pair_id="BTCUSD", venue="ostium", instrument="BTC-USD", price=price, time_ms=1)


class World:
    """A journal and desks over it."""

    def __init__(self) -> None:
        self.clock = FakeClock(MONDAY_NOON)
        self.journal = MemoryJournal(clock=self.clock)
        self.marks = Marks()

    def desk(self, state: State | None = None, journal: Any = None) -> Desk:
        return Desk(
            journal or self.journal, state or State(), self.marks, self.clock, {DEVELOPMENT: 100_000.0}.get
        )


@pytest.fixture
def world() -> World:
    return World()


def test_an_order_is_in_the_stream_that_nobody_is_served(world: World) -> None:
    world.desk().submit(LONG)

    assert {name: world.journal.head(name) for name in DURABLE_STREAMS if name != ACTIONS} == dict.fromkeys(
        (name for name in DURABLE_STREAMS if name != ACTIONS), 0
    )
    keys = [entry.key.rsplit("|", 1)[0] for entry in world.journal.read(ACTIONS, 0).entries]
    assert keys == ["development", "development|position"]


def test_a_refused_signal_writes_nothing(world: World) -> None:
    with pytest.raises(SignalError):
        world.desk().submit({**LONG, "leverage": 0})
    assert world.journal.head(ACTIONS) == 0


def test_another_desk_sees_what_this_one_did(world: World) -> None:
    first, second = world.desk(), world.desk()
    first.submit(LONG)
    assert second.book() == first.book()
    with pytest.raises(SignalError, match="wait 10 s"):
        second.submit(LONG)


def test_a_desk_boots_from_a_state_and_its_tail(world: World) -> None:
    before = world.desk()
    before.submit(LONG)
    state = State()
    for entry in world.journal.read(ACTIONS, 0).entries:
        state.apply(entry)
    before.submit({"execution_type": "BRACKET", "trade_pair_id": "BTCUSD", "stop_loss": 90_000.0})

    after = world.desk(state)
    assert after.book() == before.book()
    world.clock.sleep(11)
    after.submit({**LONG, "order_type": "FLAT"})
    assert before.book().open_positions() == []


def test_resting_orders_are_looked_at_every_ten_seconds(world: World) -> None:
    desk = world.desk()
    body = {**LONG, "execution_type": "LIMIT", "limit_price": 90_000.0}
    desk.look_if_due()
    desk.submit(body)
    world.marks.prices["BTCUSD"] = "80000"
    desk.look_if_due()
    assert len(desk.book().unfilled()) == 1
    world.clock.sleep(10)
    desk.look_if_due()
    assert desk.book().unfilled() == []
    assert len(desk.book().open_positions()) == 1


def test_a_look_with_nothing_to_do_writes_nothing(world: World) -> None:
    desk = world.desk()
    desk.submit({**LONG, "execution_type": "LIMIT", "limit_price": 90_000.0})
    head = world.journal.head(ACTIONS)
    for _ in range(3):
        world.clock.sleep(10)
        desk.look_if_due()
    assert world.journal.head(ACTIONS) == head


class Unwilling:
    """A journal that takes nothing."""

    def __init__(self, journal: MemoryJournal) -> None:
        self.read = journal.read

    def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        raise UnavailableError("full")


def test_a_journal_that_takes_nothing_refuses_signals_and_lets_orders_wait(world: World) -> None:
    world.desk().submit({**LONG, "execution_type": "LIMIT", "limit_price": 90_000.0})
    desk = world.desk(journal=Unwilling(world.journal))
    with pytest.raises(UnavailableError):
        desk.submit(LONG)
    world.marks.prices["BTCUSD"] = "80000"
    world.clock.sleep(10)
    desk.look_if_due()
    assert len(desk.book().unfilled()) == 1


def test_desks_at_once_never_act_on_the_same_book(world: World) -> None:
    """Of many that open a position at the same moment one succeeds; the others meet its cooldown."""
    refused: list[str] = []

    def open_one() -> None:
        try:
            world.desk().submit(LONG)
        except SignalError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=open_one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(refused) == 7
    assert len(world.desk().book().positions) == 1
    assert [entry.key for entry in world.journal.read(ACTIONS, 0).entries].count(HEAD) == 1


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("100.5", 100.5),
        ("0", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("x", None),
        ("1e-300", None),
    ],
)
def test_a_mark_that_is_no_price_is_none(text: str, price: float | None) -> None:
    assert price_of(mark(text)) == price
    assert price_of(None) is None
