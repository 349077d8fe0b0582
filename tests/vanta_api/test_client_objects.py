"""Messages, positions and orders as a handler reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vanta_api import client_objects
from vanta_api.websocket_client import Order, Position, TradePair, VantaWebSocketMessage

ORDER: dict[str, Any] = {
    "order_type": "SHORT",
    "leverage": -0.3000000000000007,
    "price": 142.386,
    "bid": 142.386,
    "ask": 142.399,
    "slippage": 4.553858367205138e-05,
    "processed_ms": 1745897174103,
    "price_sources": [
        {
            "source": "Polygon_rest",
            "timespan_ms": 1000,
            "open": 142.39249999999998,
            "close": 142.39249999999998,
            "vwap": None,
            "high": 142.39249999999998,
            "low": 142.39249999999998,
            "start_ms": 1745897173000,
            "websocket": False,
            "lag_ms": 104,
            "bid": 142.386,
            "ask": 142.399,
        }
    ],
    "order_uuid": "0c2aa350-2bea-4ccd-8cce-6da220d5bae6",
    "src": 0,
}
POSITION: dict[str, Any] = {
    "miner_hotkey": "5CUUWxGzf4qU5DCgLcL65qAKsQF1ezUTvBzfD548zPEDzxmR",
    "position_uuid": "0c2aa350-2bea-4ccd-8cce-6da220d5bae6",
    "open_ms": 1745897174103,
    "trade_pair": ["USDJPY", "USD/JPY", 7e-05, 0.1, 5],
    "orders": [ORDER],
    "current_return": 1.0,
    "close_ms": None,
    "net_leverage": -0.3000000000000007,
    "return_at_close": 1.0,
    "average_entry_price": 142.37951594322527,
    "cumulative_entry_value": -42.71385478296768,
    "realized_pnl": 0.0,
    "position_type": "SHORT",
    "is_closed_position": False,
}
FRAME: dict[str, Any] = {"sequence": 237, "timestamp": 1745897175165, "data": {"position": POSITION}}
TRANSCRIPT = """\
Received message VantaWebSocketMessage(seq=237)
Position Summary:
{
  "miner_hotkey": "5CUUWxGzf4qU5DCgLcL65qAKsQF1ezUTvBzfD548zPEDzxmR",
  "position_uuid": "0c2aa350-2bea-4ccd-8cce-6da220d5bae6",
  "open_ms": 1745897174103,
  "trade_pair": [
    "USDJPY",
    "USD/JPY",
    7e-05,
    0.1,
    5
  ],
  "current_return": 1.0,
  "close_ms": null,
  "net_leverage": -0.3000000000000007,
  "return_at_close": 1.0,
  "average_entry_price": 142.37951594322527,
  "cumulative_entry_value": -42.71385478296768,
  "realized_pnl": 0.0,
  "position_type": "SHORT",
  "is_closed_position": false
}
New Order:
{
  "trade_pair_id": "USDJPY",
  "order_type": "SHORT",
  "leverage": -0.3000000000000007,
  "price": 142.386,
  "bid": 142.386,
  "ask": 142.399,
  "slippage": 4.553858367205138e-05,
  "processed_ms": 1745897174103,
  "price_sources": [
    {
      "source": "Polygon_rest",
      "timespan_ms": 1000,
      "open": 142.39249999999998,
      "close": 142.39249999999998,
      "vwap": null,
      "high": 142.39249999999998,
      "low": 142.39249999999998,
      "start_ms": 1745897173000,
      "websocket": false,
      "lag_ms": 104,
      "bid": 142.386,
      "ask": 142.399
    }
  ],
  "order_uuid": "0c2aa350-2bea-4ccd-8cce-6da220d5bae6",
  "src": 0
}
Approx Timelag (ms): from_queue=49, from_order=1111"""


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """49 ms after the entry was made available."""
    monkeypatch.setattr(client_objects, "now_ms", lambda: 1745897175214)


@pytest.mark.usefixtures("moment")
@pytest.mark.parametrize("raw", [FRAME, json.dumps(FRAME), json.dumps(FRAME).encode()])
def test_a_message_prints_as_published(raw: Any) -> None:
    """Line by line the published terminal snippet."""
    assert f"Received message {VantaWebSocketMessage(raw)}" == TRANSCRIPT


@pytest.mark.usefixtures("moment")
def test_lags_are_corrected_by_the_clock_offset() -> None:
    message = VantaWebSocketMessage(FRAME, 40)

    assert (message.timelag_from_queue, message.timelag_from_order) == (9, 1071)


def test_a_trade_pair_is_its_id_and_more() -> None:
    message = VantaWebSocketMessage(FRAME)
    pair = message.new_order.trade_pair

    assert pair == "USDJPY"
    assert f"{pair}" == "USDJPY"
    assert {"USDJPY": 1}[pair] == 1
    assert (pair.trade_pair_id, pair.trade_pair, pair.fees) == ("USDJPY", "USD/JPY", 7e-05)
    assert (pair.min_leverage, pair.max_leverage) == (0.1, 5.0)
    assert message.position.trade_pair == "USDJPY"
    assert TradePair.of(None) == ""


def test_every_field_is_an_attribute_and_unknown_ones_are_errors() -> None:
    position = Position({**POSITION, "of_the_future": 7})

    assert position.return_at_close == 1.0
    assert position.of_the_future == 7
    assert position.unrealized_pnl == 0.0  # not sent: the record's default
    assert position.venue is None
    assert position.is_open_position
    with pytest.raises(AttributeError, match="no field 'nonsense'"):
        _ = position.nonsense
    assert {"return_at_close", "of_the_future", "orders"} <= set(dir(position))


def test_orders_have_their_sources_and_venue_facts() -> None:
    order = Order(
        {**ORDER, "venue": {"name": "o2", "quantity": "1.5"}, "trade_pair": "X"}, TradePair.of("USDJPY")
    )

    assert order.price_sources[0].source == "Polygon_rest"
    assert order.price_sources[0].lag_ms == 104
    assert order.venue is not None
    assert (order.venue.name, order.venue.quantity, order.venue.fees) == ("o2", "1.5", None)
    assert order.trade_pair == "USDJPY"
    assert (order.take_profit, order.execution_type) == (None, "MARKET")
    assert order.to_python_dict()["trade_pair_id"] == "USDJPY"


def test_dictionaries_are_the_servers_own() -> None:
    position = Position(POSITION)

    assert position.to_dict() == POSITION
    assert position.compact_dict_no_orders() == {k: v for k, v in POSITION.items() if k != "orders"}
    position.to_dict()["open_ms"] = 0
    assert position.open_ms == 1745897174103
    assert position == Position(POSITION) != Position({**POSITION, "open_ms": 1})
    assert hash(position) == hash(Position(POSITION))


def test_the_version_is_read_under_both_names() -> None:
    for name in ("repo_version", "miner_repo_version"):
        message = VantaWebSocketMessage({**FRAME, "data": {**FRAME["data"], name: "8.8.9"}})
        assert message.repo_version == "8.8.9"


@pytest.mark.parametrize("raw", ["{}", "[]", {"sequence": 1}, {"data": None}])
def test_what_is_no_entry_is_refused(raw: Any) -> None:
    with pytest.raises(ValueError, match="no data"):
        VantaWebSocketMessage(raw)


@pytest.mark.parametrize(
    "data", [{}, {"position": {}}, {"position": {"orders": []}}, {"order": {}}, {"x": 1}]
)
def test_an_entry_with_less_than_expected_still_prints(data: dict[str, Any]) -> None:
    message = VantaWebSocketMessage({"sequence": 1, "timestamp": None, "data": data})

    assert "seq=1" in str(message)
    assert "seq" not in repr(message)
    assert message.format_slack_message("host", "alias").startswith("*Vanta message 1* from `alias (host)`")


@pytest.mark.usefixtures("moment")
def test_a_slack_text_names_position_and_order() -> None:
    text = VantaWebSocketMessage(FRAME).format_slack_message("host")

    assert "USDJPY | SHORT" in text
    assert "Polygon_rest: 142.39249999999998 (lag 104 ms)" in text
    assert "queue 49 ms, order 1111 ms" in text


def test_an_old_order_in_a_fresh_message_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(client_objects, "now_ms", lambda: FRAME["timestamp"] + 60_000)
    VantaWebSocketMessage(FRAME)
    assert caplog.text == ""  # a replay is old as a whole

    VantaWebSocketMessage({**FRAME, "timestamp": FRAME["timestamp"] + 60_000})
    assert "consider ignoring it" in caplog.text
