"""How one account is read: completely, at one moment, or not at all. The venue is scripted here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.clock import FakeClock
from runtime.settings import AccountSettings
from tests.venues.ithaca.payloads import (
    ACCOUNT,
    CALL,
    OBSERVED_MS,
    PUT,
    contract,
    history,
    leg,
    ok,
    order,
    position,
)
from venues.errors import Broken, Rejected, Retryable
from venues.ithaca.fetch import PAGE, fetch
from venues.ithaca.lookups import Shared
from venues.ithaca.memory import Briefly, Catalog, Trail
from venues.ithaca.normalise import normalise
from venues.model import Payload

DAY_MS = 86_400_000
SYSTEM = ok({"currencyPrecision": {"WETH": 7, "USDC": 4}})


class Venue:
    """Answers from lists; ``calls`` tells what was asked."""

    has_calc = True

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.positions: list[list[Any]] = [[]]  # successive answers; the last one is repeated
        self.open: list[Any] = []
        self.done: list[Any] = []
        self.history: dict[str, Any] = {}
        self.statuses: dict[int, Any] = {}
        self.listed: list[Any] = [CALL]
        self.by_ids: list[Any] = []
        self.past: list[Any] = []
        self.reference: list[Any] = [{"contractId": 30919, "referencePrice": 20.0}]
        self.price_list_error: Exception | None = None
        self.ignores_offset = False

    def client_current_positions(self, account: AccountSettings, show: str | None, /) -> bytes:
        self.calls.append(("positions", show))
        return ok(self.positions.pop(0) if len(self.positions) > 1 else self.positions[0])

    def client_open_orders(self, account: AccountSettings, /) -> bytes:
        return ok(self.open)

    def trade_history(
        self,
        account: AccountSettings,
        *,
        from_ms: int | None = None,
        offset: int | None = None,
        limit: int | None = None,
    ) -> bytes:
        self.calls.append(("trades", from_ms, offset, limit))
        assert limit is not None
        first = 0 if self.ignores_offset else offset or 0
        return ok(self.done[first : first + limit])

    def order_status(self, account: AccountSettings, client_order_id: int, /) -> bytes:
        self.calls.append(("status", client_order_id))
        if client_order_id not in self.statuses:
            raise Rejected("no such order", status=412, code="INVALID_ORDER_ID")
        return ok(self.statuses[client_order_id])

    def client_historical_positions_by_date_period(
        self, account: AccountSettings, from_ms: int | None, to_ms: int | None, /
    ) -> bytes:
        self.calls.append(("history", from_ms, to_ms))
        return ok(self.history)

    def client_fund_lock_state(self, account: AccountSettings, /) -> bytes:
        return ok([])

    def system_info(self) -> bytes:
        self.calls.append(("system",))
        return SYSTEM

    def contract_list(self) -> bytes:
        self.calls.append(("list",))
        return ok(self.listed)

    def contract_list_by_ids(self, ids: list[int], /) -> bytes:
        self.calls.append(("by ids", tuple(ids)))
        return ok(self.by_ids)

    def historical_contracts(self, expiry: int, /) -> bytes:
        self.calls.append(("past", expiry))
        return ok(self.past)

    def reference_prices(self, currency_pair: str, /) -> bytes:
        self.calls.append(("reference", currency_pair))
        return ok(self.reference)

    def spot_prices(self) -> bytes:
        return ok({"WETH/USDC": 3300.0})

    def best_bid_ask_precise(self) -> bytes:
        self.calls.append(("best",))
        return ok({})

    def price_list(self, positions: list[dict[str, object]], currency: str, /) -> bytes:
        self.calls.append(("price list", currency, tuple(str(row["contractId"]) for row in positions)))
        if self.price_list_error is not None:
            raise self.price_list_error
        return json.dumps([{"contractId": row["contractId"], "price": 9.5} for row in positions]).encode()

    def asked(self, what: str) -> list[tuple[Any, ...]]:
        return [call for call in self.calls if call[0] == what]


class Desk:
    """A scripted venue with one account's memory."""

    def __init__(self) -> None:
        self.venue, self.clock, self.trail = Venue(), FakeClock(OBSERVED_MS), Trail()
        self.shared = Shared(
            reads=self.venue,
            clock=self.clock,
            catalog=Catalog(),
            briefly=Briefly(self.clock),
            market_ttl_s=1.0,
        )

    def fetch(self, since_ms: int | None = OBSERVED_MS) -> Payload:
        return fetch(self.shared, self.trail, AccountSettings(account=ACCOUNT), since_ms)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def partial(filled: float, last: float) -> dict[str, Any]:
    row = leg(CALL, "BUY", 1.0, filled, average=20.0, last=last, last_price=20.0)
    return order(7, 25.0, row, status="FILLED" if filled == 1.0 else "PARTIALLY_FILLED")


def done(number: int) -> dict[str, Any]:
    return order(number, 1.0, leg(CALL, "BUY", 1.0, cancelled=1.0), status="CANCELED")


def test_positions_that_change_while_being_read_are_read_again(desk: Desk) -> None:
    """The first look says one, the last says two: everything is read once more."""
    one, two = [position(30919, 1.0, 20.0)], [position(30919, 2.0, 20.0)]
    desk.venue.positions = [one, two, two, two]
    payload = desk.fetch()
    assert json.loads(payload.parts["positions"])["payload"] == two
    assert len(desk.venue.asked("trades")) == 2


def test_an_account_that_never_stands_still_is_retryable(desk: Desk) -> None:
    desk.venue.positions = [[position(30919, float(count), 20.0)] for count in range(1, 40)]
    with pytest.raises(Retryable, match="kept changing"):
        desk.fetch()


def test_the_first_fetch_of_a_process_shows_orders_and_later_ones_do_not(desk: Desk) -> None:
    desk.fetch()
    desk.fetch()
    shows = [call[1] for call in desk.venue.asked("positions")]
    assert shows == ["SHOW_ORDERS", "NO_DETAILS", "NO_DETAILS", "NO_DETAILS"]


def test_partial_fills_are_told_apart_over_several_polls(desk: Desk) -> None:
    """Three executions, three polls: the last payload still tells all three by their own reports."""
    desk.venue.open = [partial(0.4, 0.4)]
    desk.fetch()
    desk.venue.open = [partial(0.7, 0.3)]
    desk.fetch()
    desk.venue.open, desk.venue.done = [], [partial(1.0, 0.3)]
    fills = normalise(desk.fetch()).fills
    assert [fill.fill_id for fill in fills] == ["7:30919:0.4", "7:30919:0.7", "7:30919:1"]
    again = normalise(desk.fetch()).fills
    assert again == fills


def test_a_finished_order_that_left_the_lists_is_forgotten(desk: Desk) -> None:
    desk.venue.open = [partial(0.4, 0.4)]
    desk.fetch()
    desk.venue.open, desk.venue.done = [], [partial(1.0, 0.6)]
    assert "trail" in desk.fetch().parts
    desk.venue.done = []
    assert "trail" not in desk.fetch().parts
    assert desk.venue.asked("status") == []


def test_an_order_that_vanished_is_asked_for_by_its_id(desk: Desk) -> None:
    """Filled, but in neither list: its fill is found all the same."""
    desk.venue.open = [partial(0.4, 0.4)]
    desk.fetch()
    desk.venue.open, desk.venue.statuses = [], {7: partial(1.0, 0.6)}
    snapshot = normalise(desk.fetch())
    assert [fill.fill_id for fill in snapshot.fills] == ["7:30919:0.4", "7:30919:1"]
    desk.fetch()
    assert desk.venue.asked("status") == [("status", 7)]


def test_a_vanished_order_that_the_venue_forgot_is_let_go(desk: Desk) -> None:
    desk.venue.open = [partial(0.4, 0.4)]
    desk.fetch()
    desk.venue.open = []
    assert normalise(desk.fetch()).orders == ()
    desk.fetch()
    assert len(desk.venue.asked("status")) == 1


def test_pages_are_read_to_the_end_with_one_row_of_overlap(desk: Desk) -> None:
    desk.venue.done = [done(number) for number in range(2 * PAGE)]
    payload = desk.fetch(None)
    assert [call[2] for call in desk.venue.asked("trades")] == [0, PAGE - 1, 2 * PAGE - 2]
    assert len(normalise(payload).orders) == 2 * PAGE
    assert desk.venue.asked("trades")[0][1] == 0


def test_a_page_that_repeats_itself_is_broken(desk: Desk) -> None:
    desk.venue.done = [done(number) for number in range(2 * PAGE)]
    desk.venue.ignores_offset = True
    with pytest.raises(Broken, match="the same page again"):
        desk.fetch()


def test_a_list_that_moves_between_pages_is_read_again(desk: Desk) -> None:
    """A new first row shifts the second page: the overlap does not match, so nothing is believed."""
    desk.venue.done = [done(number) for number in range(2 * PAGE)]
    read, count = desk.venue.trade_history, [0]

    def moving(*args: Any, **options: Any) -> bytes:
        count[0] += 1
        if count[0] == 2:
            desk.venue.done.insert(0, done(99_999))
        return read(*args, **options)

    desk.venue.trade_history = moving  # type: ignore[method-assign]
    orders = {one.order_id for one in normalise(desk.fetch()).orders}
    assert len(orders) == 2 * PAGE + 1
    assert [call[2] for call in desk.venue.asked("trades")][:3] == [0, PAGE - 1, 0]


def test_history_goes_back_to_the_first_order_in_windows_of_ninety_days(desk: Desk) -> None:
    old = done(1)
    old["revDate"] = OBSERVED_MS - 200 * DAY_MS
    desk.venue.done = [old]
    desk.fetch(None)
    windows = [(call[1], call[2]) for call in desk.venue.asked("history")]
    assert len(windows) == 3
    assert all(to_ms - from_ms <= 90 * DAY_MS for from_ms, to_ms in windows)
    assert windows[-1][0] == OBSERVED_MS - 201 * DAY_MS
    assert [window[1] for window in windows[1:]] == [window[0] for window in windows[:-1]]


def test_history_of_a_later_poll_starts_a_day_before_what_is_known(desk: Desk) -> None:
    desk.fetch(OBSERVED_MS - DAY_MS)
    (window,) = desk.venue.asked("history")
    assert window[1] == OBSERVED_MS - 2 * DAY_MS
    assert window[2] > OBSERVED_MS


def test_new_contracts_are_looked_up_in_three_places(desk: Desk) -> None:
    """In the list, by id, and among the contracts of their expiry; once each, then remembered."""
    past = contract(6571, "Call", 2400.0, expiry=240915080)
    desk.venue.positions = [[position(30919, 1.0, 20.0), position(30925, 1.0, 9.0)]]
    desk.venue.history = history(240915080, {"WETH/USDC": 2500.0}, position(6571, 1.0, 50.0))
    desk.venue.by_ids, desk.venue.past = [PUT], [past]
    snapshot = normalise(desk.fetch())
    assert {holding.instrument for holding in snapshot.holdings} == {
        "WETH/USDC-250207080-3500-C",
        "WETH/USDC-250207080-3000-P",
    }
    assert [fill.fill_id for fill in snapshot.fills] == ["expiry:6571"]
    assert desk.venue.asked("by ids") == [("by ids", (6571, 30925))]
    assert desk.venue.asked("past") == [("past", 240915080)]
    desk.clock.advance(120)
    desk.fetch()
    assert len(desk.venue.asked("list")) == len(desk.venue.asked("by ids")) == 1


def test_a_contract_nobody_describes_is_broken_in_the_normaliser(desk: Desk) -> None:
    desk.venue.positions = [[position(404, 1.0, 20.0)]]
    with pytest.raises(Broken, match="a contract that is listed, got 404"):
        normalise(desk.fetch())


def test_what_nobody_values_is_asked_of_the_calculation_server(desk: Desk) -> None:
    desk.venue.positions = [[position(30919, 1.0, 20.0), position(30925, 1.0, 9.0)]]
    desk.venue.listed = [CALL, PUT]
    marks = {mark.instrument: mark.price for mark in normalise(desk.fetch()).marks}
    assert marks == {"WETH/USDC-250207080-3500-C": 20, "WETH/USDC-250207080-3000-P": 9.5}
    assert desk.venue.asked("price list") == [("price list", "ETH", ("30925",))]


@pytest.mark.parametrize("error", [Retryable("down"), Rejected("no", status=404)])
def test_a_calculation_server_that_fails_costs_a_mark_and_nothing_else(desk: Desk, error: Exception) -> None:
    desk.venue.positions = [[position(30925, 1.0, 9.0)]]
    desk.venue.listed, desk.venue.price_list_error = [PUT], error
    snapshot = normalise(desk.fetch())
    assert snapshot.marks == ()
    assert len(snapshot.holdings) == 1


def test_common_answers_are_shared_for_a_moment(desk: Desk) -> None:
    """Prices are asked for again after a second, the system after ten minutes."""
    desk.venue.positions = [[position(30919, 1.0, 20.0)]]
    for wait_s in (0.0, 0.5, 2.0):
        desk.clock.advance(wait_s)
        desk.fetch()
    assert len(desk.venue.asked("best")) == 2
    assert len(desk.venue.asked("system")) == 1
    desk.clock.advance(601)
    desk.fetch()
    assert len(desk.venue.asked("system")) == 2


def test_an_account_with_nothing_asks_for_no_prices(desk: Desk) -> None:
    desk.fetch()
    assert desk.venue.asked("best") == desk.venue.asked("reference") == []


def test_orders_without_contract_details_make_the_client_look_them_up(desk: Desk) -> None:
    desk.venue.open = [order(7, 20.0, leg(CALL, "BUY", 1.0, with_contract=False))]
    assert normalise(desk.fetch()).orders[0].instrument == "WETH/USDC-250207080-3500-C"


def test_a_spoiled_report_is_not_remembered(desk: Desk) -> None:
    """One answer repeats a leg: that payload is broken, the next one is right again."""
    spoiled = partial(0.4, 0.4)
    spoiled["details"] *= 2
    desk.venue.open = [spoiled]
    with pytest.raises(Broken, match="each contract once"):
        normalise(desk.fetch())
    desk.venue.open = [partial(0.4, 0.4)]
    assert len(normalise(desk.fetch()).fills) == 1


def test_an_order_that_cannot_be_read_is_broken(desk: Desk) -> None:
    desk.venue.open = [{"orderId": "seven"}]
    with pytest.raises(Broken) as raised:
        desk.fetch()
    assert raised.value.path == "openOrders.payload[0].orderId"
