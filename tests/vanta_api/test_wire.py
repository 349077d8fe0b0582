"""Vanta's JSON in every generation on the way in, one shape on the way out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanta_api.records import Order, Position, PriceSource, VenueFacts, encode
from vanta_api.wire import (
    WireError,
    from_vanta,
    order_from_vanta,
    positions_from_checkpoint,
    rest_fragment,
    to_vanta,
    trade_pair_from_vanta,
)

SAMPLE: dict[str, Any] = {
    "average_entry_price": 0.59559,
    "close_ms": 1714156813363,
    "current_return": 1.0002165919508386,
    "initial_entry_price": 0.59559,
    "is_closed_position": True,
    "miner_hotkey": "5C5GANtAKokcPvJBGyLcFgY5fYuQaXC3MpVt75codZbLLZrZ",
    "net_leverage": 0.0,
    "open_ms": 1714139478990,
    "orders": [
        {
            "leverage": -0.1,
            "order_type": "SHORT",
            "order_uuid": "18ca3cdf-b785-4f88-90a9-d2c06e8653b1",
            "price": 0.59559,
            "price_sources": [],
            "processed_ms": 1714139478990,
        },
        {
            "leverage": 0.0,
            "order_type": "FLAT",
            "order_uuid": "c902c428-fcfb-43ca-ab79-117c957dbbfa",
            "price": 0.5943,
            "price_sources": [],
            "processed_ms": 1714156813363,
        },
    ],
    "position_type": "FLAT",
    "position_uuid": "1f3f427f-6cbe-497c-af11-2fbef2ca3c10",
    "return_at_close": 1.0002095904346948,
    "trade_pair": ["NZDUSD", "NZD/USD", 7e-05, 0.001, 500],
}

numbers = st.floats(allow_nan=False, allow_infinity=False)
times = st.integers(0, 2**53)
names = st.text(min_size=1, max_size=20)
venue_facts = st.builds(
    VenueFacts,
    name=names,
    account=names,
    instrument=names,
    quantity=st.none() | st.just("1.5"),
    observed_ms=times,
)
sources = st.builds(PriceSource, source=names, open=st.none() | numbers, bid=numbers, websocket=st.booleans())
orders = st.builds(
    Order,
    order_type=st.sampled_from(["LONG", "SHORT", "FLAT"]),
    price=st.floats(0, allow_infinity=False),
    processed_ms=times,
    order_uuid=names,
    leverage=st.none() | numbers,
    value=st.none() | numbers,
    quantity=st.none() | numbers,
    slippage=numbers,
    price_sources=st.lists(sources, max_size=2).map(tuple),
    src=st.integers(0, 10),
    execution_type=st.sampled_from(["MARKET", "LIMIT", "BRACKET"]),
    venue=st.none() | venue_facts,
)


@st.composite
def positions(draw: st.DrawFn) -> Position:
    is_closed = draw(st.booleans())
    return Position(
        miner_hotkey=draw(names),
        position_uuid=draw(names),
        open_ms=draw(times),
        trade_pair=(draw(names), draw(names), draw(numbers), draw(numbers), draw(numbers)),
        orders=tuple(draw(st.lists(orders, max_size=3))),
        current_return=draw(numbers),
        close_ms=draw(st.integers(1, 2**53)) if is_closed else None,
        is_closed_position=is_closed,
        net_leverage=draw(numbers),
        average_entry_price=draw(numbers),
        initial_entry_price=draw(numbers),
        position_type="FLAT" if is_closed else draw(st.sampled_from([None, "LONG", "SHORT"])),
        venue=draw(st.none() | venue_facts),
    )


@given(positions())
def test_a_position_survives_both_encodings(position: Position) -> None:
    assert from_vanta(to_vanta(position)) == position
    assert from_vanta(to_vanta(position, rest=True)) == position
    assert from_vanta(json.loads(rest_fragment(position))) == position
    assert from_vanta(json.loads(encode(position))) == position


@given(positions())
def test_open_is_zero_on_rest_and_null_elsewhere(position: Position) -> None:
    rest, stream = json.loads(rest_fragment(position)), json.loads(encode(position))

    assert rest["close_ms"] == (position.close_ms or 0)
    assert stream["close_ms"] == position.close_ms
    assert {**rest, "close_ms": None} == {**stream, "close_ms": None}


def test_the_published_sample_is_read_as_it_is() -> None:
    position = from_vanta(SAMPLE)

    assert position.return_at_close == 1.0002095904346948
    assert position.trade_pair == ("NZDUSD", "NZD/USD", 7e-05, 0.001, 500.0)
    assert position.orders[1].leverage == 0.0
    assert position.account_size == 0.0
    shown = to_vanta(position, rest=True)
    assert {name: shown[name] for name in SAMPLE if name != "orders"} == {
        name: value for name, value in SAMPLE.items() if name != "orders"
    }


def test_old_price_sources_are_left_out_on_rest() -> None:
    source = {"source": "Polygon_rest", "open": 1.0, "start_ms": 5}
    rows = [{**SAMPLE["orders"][0], "price_sources": [source], "processed_ms": ms} for ms in (10, 20)]
    position = from_vanta({**SAMPLE, "orders": rows})

    shown = json.loads(rest_fragment(position, sources_since_ms=20))

    assert [len(order["price_sources"]) for order in shown["orders"]] == [0, 1]


@pytest.mark.parametrize(
    ("value", "row"),
    [
        ("BTCUSD", ("BTCUSD", "BTCUSD", 0.0, 0.0, 0.0)),
        (["BTCUSD", "BTC/USD"], ("BTCUSD", "BTC/USD", 0.0, 0.0, 0.0)),
        (["BTCUSD", "BTC/USD", 0.003, 0.001, 20, "crypto"], ("BTCUSD", "BTC/USD", 0.003, 0.001, 20.0)),
        (
            {"trade_pair_id": "BTCUSD", "trade_pair": "BTC/USD", "fees": 0.003},
            ("BTCUSD", "BTC/USD", 0.003, 0.0, 0.0),
        ),
    ],
)
def test_every_form_of_a_trade_pair_is_read(value: Any, row: tuple[Any, ...]) -> None:
    assert trade_pair_from_vanta(value) == row


@pytest.mark.parametrize(
    "extra", [{"trade_pair": "BTCUSD"}, {"trade_pair": {"trade_pair_id": "X"}}, {"trade_pair_id": "X"}]
)
def test_an_orders_own_trade_pair_is_dropped(extra: dict[str, Any]) -> None:
    assert order_from_vanta({**SAMPLE["orders"][0], **extra}) == order_from_vanta(SAMPLE["orders"][0])


def test_spellings_of_enums_and_broken_numbers() -> None:
    row = {
        **SAMPLE["orders"][0],
        "order_type": "OrderType.LONG",
        "execution_type": None,
        "order_uuid": 17,
        "leverage": float("nan"),
        "bid": float("inf"),
        "src": None,
    }

    order = order_from_vanta(row)

    assert (order.order_type, order.execution_type, order.order_uuid, order.src) == (
        "LONG",
        "MARKET",
        "17",
        0,
    )
    assert (order.leverage, order.bid) == (None, 0.0)


def test_what_an_old_record_lacks_is_worked_out() -> None:
    record = {
        name: SAMPLE[name]
        for name in ("miner_hotkey", "position_uuid", "trade_pair", "orders", "position_type")
    }

    position = from_vanta(record)

    assert (position.open_ms, position.close_ms) == (1714139478990, 1714156813363)
    assert position.is_closed_position
    assert position.initial_entry_price == 0.59559


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"miner_hotkey": None}, "miner_hotkey"),
        ({"position_uuid": ""}, "position_uuid"),
        ({"trade_pair": []}, "trade_pair"),
        ({"open_ms": -1}, "open_ms"),
        ({"orders": 5}, "orders"),
        ({"orders": [7]}, r"orders\[0\]"),
        ({"orders": [{**SAMPLE["orders"][0], "price": -1}]}, r"orders\[0\]\.price"),
        (
            {"orders": [SAMPLE["orders"][0], {**SAMPLE["orders"][0], "processed_ms": None}]},
            r"orders\[1\]\.processed_ms",
        ),
        ({"orders": [{**SAMPLE["orders"][0], "order_type": "HOLD"}]}, r"orders\[0\]\.order_type"),
        ({"venue": {"name": "o2"}}, "venue"),
    ],
)
def test_a_record_that_cannot_be_read_names_the_field(change: dict[str, Any], path: str) -> None:
    with pytest.raises(WireError, match=f"^{path}: "):
        from_vanta({**SAMPLE, **change})


@pytest.mark.parametrize(
    "checkpoint",
    [
        {"positions": {"hk": {"positions": [SAMPLE], "n_positions": 1}, "empty": {"positions": []}}},
        {"hk": {"positions": [SAMPLE], "tier": 30}, "empty": {}},
        {"positions": {"hk": [SAMPLE], "empty": None}},
    ],
)
def test_checkpoints_of_every_generation_are_read(checkpoint: dict[str, Any]) -> None:
    found = positions_from_checkpoint(checkpoint)

    assert found == {"hk": (from_vanta(SAMPLE),), "empty": ()}


def test_a_broken_checkpoint_names_hotkey_and_field() -> None:
    broken = {"positions": {"hk": [SAMPLE, {**SAMPLE, "open_ms": "soon"}]}}

    with pytest.raises(WireError, match=r"hk\.positions\[1\]\.open_ms: expected ms"):
        positions_from_checkpoint(broken)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*SAMPLE, "venue", "account_size"]), json_values, max_size=6))
def test_any_value_in_any_field_is_a_record_or_a_named_error(changes: dict[str, Any]) -> None:
    position = _outcome(from_vanta, {**SAMPLE, **changes})
    if isinstance(position, WireError):
        assert ": " in str(position)
        return
    assert from_vanta(json.loads(encode(position))) == position
    assert b"NaN" not in rest_fragment(position)


@given(json_values)
def test_any_checkpoint_is_read_or_refused(value: Any) -> None:
    found = _outcome(positions_from_checkpoint, {"positions": value})

    assert isinstance(found, dict) or ": " in str(found)


def _outcome(read: Callable[[dict[str, Any]], Any], value: dict[str, Any]) -> Any:
    try:
        return read(value)
    except WireError as fault:
        return fault
