"""What signals and the market do to an account."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.validator.orders.market import MONDAY_NOON, SATURDAY, Stage
from validator.orders.acting import ORDERS_MAX, UNFILLED_MAX
from validator.orders.signal import SignalError
from validator.positions import rebuild
from vanta_api.records import Order, OrderSource, RestingOrder


@pytest.fixture
def stage() -> Stage:
    return Stage()


def refusal(stage: Stage, **body: Any) -> str:
    before = stage.book
    with pytest.raises(SignalError) as caught:
        stage.send(**body)
    assert stage.book is before
    return str(caught.value)


# --- market orders ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [{"leverage": 0.2}, {"value": 20_000.0}, {"quantity": 0.2}])
def test_the_three_sizes_say_the_same(stage: Stage, size: dict[str, float]) -> None:
    done = stage.send(order_type="LONG", **size).done

    assert isinstance(done, Order)
    assert (done.leverage, done.value, done.quantity) == pytest.approx((0.2, 20_000.0, 0.2))
    assert (done.price, done.bid, done.ask, done.src) == (100_000.0, 100_000.0, 100_000.0, 0)
    assert stage.position().position_uuid == done.order_uuid


def test_a_forex_quantity_is_in_lots(stage: Stage) -> None:
    done = stage.send(trade_pair_id="EURUSD", order_type="SHORT", quantity=0.5).done

    assert isinstance(done, Order)
    assert done.value == pytest.approx(-62_500.0)
    assert done.usd_base_rate == pytest.approx(0.8)


def test_a_cross_rate_needs_the_price_of_its_currency(stage: Stage) -> None:
    stage.prices |= {"EURGBP": 0.8}
    body = {"trade_pair_id": "EURGBP", "order_type": "LONG", "value": 50_000.0}
    assert refusal(stage, **body) == "No price of GBP in USD is known"

    stage.prices["GBPUSD"] = 1.5
    done = stage.send(**body).done
    assert isinstance(done, Order)
    assert (done.quote_usd_rate, done.quantity) == (1.5, pytest.approx(50_000 / 1.2 / 100_000))


def test_without_a_price_or_a_market_nothing_is_filled(stage: Stage) -> None:
    assert refusal(stage, trade_pair_id="ETHUSD", order_type="LONG", leverage=0.1) == (
        "No price of ETHUSD is known"
    )
    stage.now_ms = SATURDAY
    assert refusal(stage, trade_pair_id="EURUSD", order_type="LONG", leverage=1) == (
        "The market of EURUSD is closed"
    )
    assert stage.send(order_type="LONG", leverage=0.1).done is not None, "crypto never closes"


def test_an_account_of_unknown_size_has_the_least_capital() -> None:
    stage = Stage(size=None)
    done = stage.send(order_type="LONG", leverage=0.1).done
    assert isinstance(done, Order)
    assert done.value == pytest.approx(500.0)
    assert stage.position().account_size == 5000.0


def test_an_order_is_cut_to_the_pairs_limit_and_then_refused(stage: Stage) -> None:
    done = stage.send(order_type="LONG", leverage=3).done
    assert isinstance(done, Order)
    assert done.leverage == pytest.approx(0.5)
    assert done.value == pytest.approx(50_000.0)

    assert refusal(stage, order_type="LONG", leverage=0.1) == (
        "The leverage limit of BTCUSD positions is reached"
    )


def test_the_portfolio_has_a_limit_of_its_own(stage: Stage) -> None:
    """Crypto counts ten times: half of what 10 allows is 0.5 in one pair, which leaves 5 for forex."""
    stage.send(order_type="LONG", leverage=0.5)
    first = stage.send(trade_pair_id="EURUSD", order_type="SHORT", leverage=4).done
    second = stage.send(trade_pair_id="EURUSD", order_type="SHORT", leverage=4).done

    assert isinstance(first, Order)
    assert isinstance(second, Order)
    assert (first.leverage, second.leverage) == (-4.0, pytest.approx(-1.0))
    stage.prices["GBPUSD"] = 1.3
    assert refusal(stage, trade_pair_id="GBPUSD", order_type="LONG", leverage=1) == (
        "The leverage limit of the portfolio is reached"
    )


def test_positions_may_not_be_too_small(stage: Stage) -> None:
    text = "BTCUSD positions must be at least 0.01 times the account size"
    assert refusal(stage, order_type="LONG", leverage=0.005) == text
    stage.send(order_type="LONG", leverage=0.1)
    assert refusal(stage, order_type="SHORT", leverage=0.095) == text
    assert refusal(stage, order_type="LONG", leverage=0.0001).startswith(
        "Order leverage 0.0001 is not between"
    )
    assert refusal(stage, order_type="LONG", leverage=501).startswith("Order leverage 501 is not between")


def test_an_order_through_zero_only_closes(stage: Stage) -> None:
    stage.send(order_type="LONG", leverage=0.1)
    opened = stage.position().position_uuid
    done = stage.send(order_type="SHORT", leverage=0.4).done

    assert isinstance(done, Order)
    assert (done.order_type, done.leverage) == ("FLAT", pytest.approx(-0.1))
    assert stage.book.open_positions() == []
    assert stage.book.positions[opened].is_closed_position


def test_flat_closes_and_needs_something_to_close(stage: Stage) -> None:
    text = "There is no open position in BTCUSD to close"
    assert refusal(stage, order_type="FLAT") == text
    stage.send(order_type="SHORT", leverage=0.1)
    stage.prices["BTCUSD"] = 90_000.0
    stage.send(order_type="FLAT")
    (closed,) = stage.book.positions.values()
    # slippage is paid twice: 0.01 % of each price
    assert closed.realized_pnl == pytest.approx((100_000 * 0.9999 - 90_000 * 1.0001) * 0.1)
    assert refusal(stage, order_type="FLAT") == text


def test_blocked_pairs_take_no_new_positions(stage: Stage) -> None:
    stage.prices |= {"USDJPY": 150.0, "TAOUSD": 300.0}
    for pair in ("USDJPY", "TAOUSD"):
        text = f"No new positions can be opened in {pair}"
        assert refusal(stage, trade_pair_id=pair, order_type="LONG", leverage=0.2) == text
        body = {"execution_type": "LIMIT", "order_type": "LONG", "leverage": 0.2, "limit_price": 1.0}
        assert refusal(stage, trade_pair_id=pair, **body) == text


def test_two_market_orders_in_one_pair_need_ten_seconds_between(stage: Stage) -> None:
    stage.send(order_type="LONG", leverage=0.1)
    stage.now_ms += 9_999
    with pytest.raises(SignalError, match=r"wait 0\.001 s"):
        stage.send_at_once(order_type="LONG", leverage=0.1)
    assert stage.send_at_once(trade_pair_id="EURUSD", order_type="LONG", leverage=1).done is not None
    stage.now_ms += 1
    assert stage.send_at_once(order_type="LONG", leverage=0.1).done is not None


def test_a_uuid_is_used_once(stage: Stage) -> None:
    stage.send(order_type="LONG", leverage=0.1, order_uuid="mine")
    stage.send(execution_type="LIMIT", order_type="LONG", leverage=0.1, limit_price=1.0, order_uuid="rests")
    for uuid in ("mine", "rests"):
        text = f"An order with the uuid {uuid} is there already"
        assert refusal(stage, order_type="LONG", leverage=0.1, order_uuid=uuid) == text


def test_after_a_hundred_orders_the_next_one_opens_another_position(stage: Stage) -> None:
    for n in range(ORDERS_MAX):
        stage.send(order_type="LONG" if n % 2 == 0 else "SHORT", leverage=0.2 if n % 2 == 0 else 0.1)
        if n % 4 == 3:
            stage.send(order_type="SHORT", leverage=0.05)
        if len(stage.position().orders) == ORDERS_MAX:
            break
    full = stage.position()
    assert len(full.orders) == ORDERS_MAX

    stage.send(order_type="LONG", leverage=0.02)
    closed, opened = stage.book.positions[full.position_uuid], stage.position()
    assert closed.is_closed_position
    assert (closed.orders[-1].src, closed.orders[-1].order_uuid) == (
        int(OrderSource.MAX_ORDERS_PER_POSITION_CLOSE),
        full.position_uuid[::-1],
    )
    assert closed.close_ms == opened.open_ms - 1
    assert len(opened.orders) == 1
    assert opened.net_leverage == pytest.approx(0.02)


# --- limit orders -----------------------------------------------------------------------------------


def limit(stage: Stage, price: float, kind: str = "LONG", **more: Any) -> str:
    body = {"execution_type": "LIMIT", "order_type": kind, "leverage": 0.1, "limit_price": price, **more}
    done = stage.send(**body).done
    assert done is not None
    return done.order_uuid


def test_a_limit_order_rests_until_its_price_comes(stage: Stage) -> None:
    uuid = limit(stage, 90_000.0)
    stage.prices["BTCUSD"] = 90_001.0
    assert stage.look().positions == ()
    (resting,) = stage.resting()
    assert (resting.src, resting.quantity) == (5, pytest.approx(0.1 / 0.9))

    stage.prices["BTCUSD"] = 80_000.0
    stage.look()
    assert stage.resting() == []
    (order,) = stage.position().orders
    assert (order.price, order.src, order.execution_type) == (90_000.0, 6, "LIMIT")
    assert (order.order_uuid, order.slippage) == (uuid, 0.0)
    assert (stage.book.orders[uuid].src, stage.book.orders[uuid].price) == (6, 90_000.0)


def test_a_short_limit_sells_at_its_price_or_above(stage: Stage) -> None:
    limit(stage, 110_000.0, "SHORT")
    stage.prices["BTCUSD"] = 110_000.0
    stage.look()
    assert stage.position().position_type == "SHORT"


def test_a_limit_order_that_is_due_at_once_fills_as_an_ordinary_one(stage: Stage) -> None:
    uuid = limit(stage, 120_000.0)
    (order,) = stage.position().orders
    assert (order.order_uuid, order.src, order.price) == (uuid, 0, 120_000.0)
    assert stage.book.orders == {}


def test_one_pair_fills_once_in_thirty_seconds(stage: Stage) -> None:
    limit(stage, 90_000.0)
    limit(stage, 91_000.0)
    stage.prices["BTCUSD"] = 80_000.0
    stage.look()
    assert len(stage.resting()) == 1
    stage.look(29.9)
    assert len(stage.resting()) == 1
    stage.look(0.1)
    assert len(stage.resting()) == 0


def test_nothing_fills_while_the_market_is_closed(stage: Stage) -> None:
    stage.send(trade_pair_id="EURUSD", execution_type="LIMIT", order_type="LONG", leverage=1, limit_price=1.0)
    stage.prices["EURUSD"] = 0.5
    stage.now_ms = SATURDAY + 7 * 86_400_000
    stage.look()
    assert len(stage.resting()) == 1


def test_a_limit_order_the_rules_refuse_when_it_is_due_is_cancelled(stage: Stage) -> None:
    uuid = limit(stage, 90_000.0)
    stage.send(order_type="LONG", leverage=0.5)
    stage.prices["BTCUSD"] = 80_000.0
    stage.look()
    assert stage.book.orders[uuid].src == int(OrderSource.LIMIT_CANCELLED)


def test_there_are_at_most_a_hundred_unfilled_orders(stage: Stage) -> None:
    for _ in range(UNFILLED_MAX):
        limit(stage, 1.0)
    body = {"execution_type": "LIMIT", "order_type": "LONG", "leverage": 0.1, "limit_price": 1.0}
    assert refusal(stage, **body) == "There are too many unfilled orders: at most 100"


def test_cancelling_takes_an_order_off(stage: Stage) -> None:
    uuid = limit(stage, 90_000.0)
    change = stage.send(execution_type="LIMIT_CANCEL", order_uuid=uuid)
    assert (change.cancelled, stage.book.orders[uuid].src) == (1, 7)
    assert refusal(stage, execution_type="LIMIT_CANCEL", order_uuid=uuid) == (
        f"No unfilled limit orders found for DEVELOPMENT (uuid={uuid})"
    )


# --- brackets ---------------------------------------------------------------------------------------


def test_a_bracket_needs_a_position_and_takes_its_direction(stage: Stage) -> None:
    body = {"execution_type": "BRACKET", "stop_loss": 110_000.0}
    assert refusal(stage, **body) == "BRACKET order must have an open position"
    stage.send(order_type="SHORT", leverage=0.1)
    bracket = stage.send(**body).done
    assert isinstance(bracket, RestingOrder)
    assert (bracket.order_type, bracket.quantity, bracket.src) == ("SHORT", pytest.approx(-0.1), 8)
    assert refusal(stage, execution_type="BRACKET", stop_loss=90_000.0).startswith(
        "SHORT orders must satisfy"
    )


@pytest.mark.parametrize(
    ("kind", "stop_loss", "take_profit", "price", "at"),
    [
        ("LONG", 90_000.0, 110_000.0, 89_999.0, 90_000.0),
        ("LONG", 90_000.0, 110_000.0, 110_001.0, 110_000.0),
        ("LONG", 90_000.0, 110_000.0, 90_000.0, None),
        ("SHORT", 110_000.0, 90_000.0, 110_001.0, 110_000.0),
        ("SHORT", 110_000.0, 90_000.0, 89_999.0, 90_000.0),
        ("SHORT", 110_000.0, None, 50_000.0, None),
    ],
)
def test_a_bracket_closes_at_its_stop_loss_or_take_profit(
    stage: Stage, kind: str, stop_loss: float, take_profit: float | None, price: float, at: float | None
) -> None:
    stage.send(order_type=kind, leverage=0.1)
    stage.send(execution_type="BRACKET", stop_loss=stop_loss, take_profit=take_profit)
    stage.prices["BTCUSD"] = price
    stage.look()
    (position,) = stage.book.positions.values()
    if at is None:
        assert not position.is_closed_position
        return
    last = position.orders[-1]
    assert (last.price, last.src, last.execution_type, last.order_type) == (at, 9, "BRACKET", "FLAT")
    assert position.is_closed_position


def test_a_bracket_of_a_part_reduces(stage: Stage) -> None:
    stage.send(order_type="LONG", quantity=0.4)
    stage.send(execution_type="BRACKET", take_profit=110_000.0, quantity=0.1)
    stage.prices["BTCUSD"] = 120_000.0
    stage.look()
    assert stage.position().net_quantity == pytest.approx(0.3)


def test_an_order_with_a_stop_leaves_a_bracket_that_goes_with_its_parent(stage: Stage) -> None:
    stage.send(
        order_type="LONG", leverage=0.1, stop_loss=90_000.0, take_profit=120_000.0, order_uuid="parent"
    )
    (bracket,) = stage.resting()
    assert (bracket.order_uuid, bracket.execution_type, bracket.stop_loss) == (
        "parent-bracket",
        "BRACKET",
        9e4,
    )
    stage.send(execution_type="LIMIT_CANCEL", order_uuid="parent")
    assert stage.sources() == [OrderSource.BRACKET_CANCELLED]
    assert refusal(stage, order_type="LONG", leverage=0.1, stop_loss=100_001.0).startswith("LONG orders must")


def test_a_limit_order_with_a_stop_leaves_its_bracket_when_it_fills(stage: Stage) -> None:
    limit(stage, 90_000.0, stop_loss=80_000.0, order_uuid="parent")
    stage.prices["BTCUSD"] = 85_000.0
    stage.look()
    assert [one.order_uuid for one in stage.resting()] == ["parent-bracket"]


def test_closing_a_position_cancels_its_brackets_and_nothing_else(stage: Stage) -> None:
    stage.send(order_type="LONG", leverage=0.1, stop_loss=90_000.0, order_uuid="a")
    limit(stage, 50_000.0, order_uuid="b")
    stage.send(trade_pair_id="EURUSD", order_type="LONG", leverage=1, stop_loss=1.0, order_uuid="c")
    stage.send(order_type="FLAT")
    assert [one.order_uuid for one in stage.resting()] == ["b", "c-bracket"]


# --- laws -------------------------------------------------------------------------------------------

kinds = st.sampled_from(["LONG", "SHORT", "FLAT"])
executions = st.sampled_from(["MARKET", "MARKET", "LIMIT", "BRACKET"])
acts = st.lists(
    st.tuples(
        executions, kinds, st.floats(0.01, 2.0), st.floats(50_000, 200_000), st.floats(50_000, 200_000)
    ),
    max_size=25,
)


@settings(max_examples=80)
@given(acts=acts)
def test_whatever_is_done_the_book_holds_its_laws(acts: list[tuple[str, str, float, float, float]]) -> None:
    """At most one open position, within its limit, made of its orders; brackets only beside a position."""
    stage = Stage(now_ms=MONDAY_NOON)
    for execution, kind, leverage, price, limit_price in acts:
        stage.prices["BTCUSD"] = price
        body: dict[str, Any] = {"execution_type": execution, "order_type": kind, "leverage": leverage}
        if execution == "LIMIT":
            body["limit_price"] = limit_price
        if execution != "MARKET":
            body["stop_loss"] = limit_price * 0.9
        with contextlib.suppress(SignalError):
            stage.send(**body)
        stage.look(31)
        _check(stage)


def _check(stage: Stage) -> None:
    assert len(stage.book.open_positions()) <= 1
    executed = [order.order_uuid for order in stage.book.executed()]
    assert len(executed) == len(set(executed))
    for one in stage.book.positions.values():
        again = rebuild("DEVELOPMENT", one.orders, one.trade_pair, one.account_size)
        assert (again.net_quantity, again.realized_pnl) == (one.net_quantity, one.realized_pnl)
        assert abs(one.net_leverage) <= 0.5 + 1e-9
        assert math.isfinite(one.realized_pnl)
    if not stage.book.open_positions():
        assert all(one.execution_type != "BRACKET" for one in stage.resting())
