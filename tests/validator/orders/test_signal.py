"""Signals: what is read, and the sentence for each thing that is wrong."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.orders.signal import SIZES, Signal, SignalError, read_signal
from validator.trade_pairs import by_id

BASE: dict[str, Any] = {"trade_pair_id": "BTCUSD", "order_type": "LONG", "leverage": 0.1}


def refusal(**changes: Any) -> str:
    with pytest.raises(SignalError) as caught:
        read_signal({**BASE, **changes})
    return str(caught.value)


def test_a_signal_without_execution_type_is_a_market_order() -> None:
    assert read_signal(BASE) == Signal(
        execution="MARKET", pair=by_id("BTCUSD"), order_type="LONG", leverage=0.1
    )


def test_words_are_read_in_any_case_and_numbers_as_text_too() -> None:
    found = read_signal({**BASE, "order_type": "short", "execution_type": "limit", "leverage": "0.5",
                         "limit_price": "10"})  # fmt: skip
    assert (found.execution, found.order_type, found.leverage, found.limit_price) == (
        "LIMIT",
        "SHORT",
        -0.5,
        10,
    )


@pytest.mark.parametrize("size", SIZES)
def test_short_sizes_are_negative_however_they_are_sent(size: str) -> None:
    for sent in (3.0, -3.0):
        body = {"trade_pair_id": "BTCUSD", "order_type": "SHORT", size: sent}
        assert getattr(read_signal(body), size) == -3.0


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"execution_type": "STOP_LIMIT"}, "Invalid execution_type: 'STOP_LIMIT'. Valid values are: MARKET"),
        ({"execution_type": 7}, "Invalid execution_type: 7. "),
        ({"trade_pair_id": "NOPE"}, "Invalid trade pair: 'NOPE'"),
        ({"trade_pair_id": None}, "Invalid trade pair: None"),
        ({"trade_pair_id": ["BTCUSD"]}, "Invalid trade pair: ["),
        ({"order_type": None}, "Missing required field: order_type"),
        ({"order_type": "BUY"}, "Invalid order_type: 'BUY'. Valid values are: LONG, SHORT, FLAT"),
        ({"leverage": None}, "Exactly one of leverage, value, quantity must be set, got none"),
        ({"value": 5}, "Exactly one of leverage, value, quantity must be set, got leverage, value"),
        ({"leverage": -0.1}, "leverage must be positive for LONG orders"),
        ({"leverage": 0}, "leverage must not be 0"),
        ({"leverage": True}, "leverage must be a finite number"),
        ({"leverage": math.nan}, "leverage must be a finite number"),
        ({"leverage": "inf"}, "leverage must be a finite number"),
        ({"leverage": 10**400}, "leverage must be a finite number"),
        ({"leverage": {}}, "leverage must be a finite number"),
        ({"stop_loss": 0}, "stop_loss must be greater than 0"),
        ({"take_profit": "x"}, "take_profit must be a finite number"),
        ({"order_uuid": ""}, "order_uuid must be text of 1 to 128 printable characters"),
        ({"order_uuid": 5}, "order_uuid must be text of 1 to 128 printable characters"),
        ({"order_uuid": "a b"}, "order_uuid must be text of 1 to 128 printable characters"),
        ({"execution_type": "LIMIT"}, "limit_price must be set for LIMIT orders"),
        ({"execution_type": "LIMIT", "limit_price": -1}, "limit_price must be greater than 0"),
        (
            {"execution_type": "LIMIT", "order_type": "FLAT", "limit_price": 1},
            "FLAT order is not supported for LIMIT orders",
        ),
        (
            {"execution_type": "LIMIT", "limit_price": 10, "stop_loss": 10},
            "LONG orders must satisfy: stop_loss < price < take_profit. Got stop_loss=10.0, price=10.0, "
            "take_profit=None",
        ),
        (
            {"execution_type": "LIMIT", "order_type": "SHORT", "limit_price": 10, "take_profit": 11},
            "SHORT orders must satisfy: take_profit < price < stop_loss. ",
        ),
        ({"execution_type": "BRACKET"}, "BRACKET orders must have at least one of stop_loss and take_profit"),
        (
            {"execution_type": "BRACKET", "stop_loss": 5, "take_profit": 5},
            "stop_loss and take_profit must be different",
        ),
        ({"order_type": "FLAT", "stop_loss": 5}, "FLAT orders take no stop_loss and no take_profit"),
        ({"execution_type": "LIMIT_CANCEL"}, "order_uuid is required to cancel an order"),
    ],
)  # fmt: skip
def test_each_mistake_has_its_sentence(changes: dict[str, Any], text: str) -> None:
    assert refusal(**changes).startswith(text)


def test_a_cancellation_needs_nothing_but_a_uuid() -> None:
    found = read_signal({"execution_type": "LIMIT_CANCEL", "order_uuid": "x", "leverage": "nonsense"})
    assert found == Signal(execution="LIMIT_CANCEL", order_uuid="x")


def test_a_flat_order_has_no_size() -> None:
    found = read_signal({**BASE, "order_type": "FLAT"})
    assert (found.leverage, found.value, found.quantity) == (None, None, None)


def test_an_error_repeats_little_of_what_was_sent() -> None:
    assert len(refusal(trade_pair_id="x" * 10_000)) < 80


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
words = st.sampled_from(
    ["MARKET", "LIMIT", "BRACKET", "LIMIT_CANCEL", "LONG", "SHORT", "FLAT", "BTCUSD", "1"]
)
fields = ("execution_type", "trade_pair_id", "order_type", *SIZES, "limit_price", "stop_loss", "take_profit")


@given(body=st.dictionaries(st.sampled_from((*fields, "order_uuid")), words | json_values))
def test_any_body_is_a_signal_or_refused(body: dict[str, Any]) -> None:
    """Whatever is sent, it is read or refused; what is read has finite numbers only."""
    try:
        signal = read_signal(body)
    except SignalError:
        return
    numbers = [getattr(signal, name) for name in (*SIZES, "limit_price", "stop_loss", "take_profit")]
    assert all(math.isfinite(one) for one in numbers if one is not None)
