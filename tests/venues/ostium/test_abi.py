"""Call data and events against vectors made with the ABIs the venue publishes."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.venues.ostium.worlds import LIVE_MS, sandbox_at
from venues.ostium import abi
from venues.ostium.exchange import logs
from venues.ostium.exchange.rpc import Rpc
from venues.ostium.exchange.state import block_at

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "vectors.json").read_text())
CALLS = {call["name"]: call["calldata"] for call in VECTORS["calldata"]}
TRADER = VECTORS["addresses"]["trader"]


@pytest.mark.parametrize(
    ("name", "signature", "arguments"),
    [
        ("usdc_balance_read", abi.BALANCE_OF, (TRADER,)),
        ("usdc_allowance_read", abi.ALLOWANCE, (TRADER, VECTORS["addresses"]["tradingStorage"])),
        ("registry_read", abi.REGISTRY, ()),
        ("registry_getContractAddress_callbacks", abi.CONTRACT_ADDRESS, (b"callbacks",)),
    ],
)
def test_calls_equal_the_vectors(name: str, signature: str, arguments: tuple[abi.Value, ...]) -> None:
    assert abi.encode_call(signature, *arguments) == CALLS[name]


@pytest.mark.parametrize(
    ("signature", "selector"),
    [
        (abi.OPEN_TRADE, "0x4f786488"),
        (abi.OPEN_TRADE_INFO, "0x54307131"),
        (abi.OPEN_LIMIT_ORDER, "0x806f988e"),
        (abi.PENDING_ORDER_IDS, "0x5c76ac9e"),
        (abi.OPEN_INTEREST, "0x7a523273"),
        (abi.MAX_TRADES_PER_PAIR, "0xf65d9dbe"),
        (abi.MAX_PENDING_MARKET_ORDERS, "0x8049fde7"),
    ],
)
def test_selectors_equal_the_published_ones(signature: str, selector: str) -> None:
    assert abi.selector(signature) == selector


@pytest.mark.parametrize("event", sorted(abi.EVENTS))
def test_event_topics_equal_the_vectors(event: str) -> None:
    assert abi.topic(event) == VECTORS["event_topics"][abi.EVENTS[event]]


def test_events_have_the_shape_of_the_sample_logs() -> None:
    """Topics and data words of our logs mean what those of the samples mean."""
    exchange = sandbox_at(LIVE_MS).exchange
    last = block_at(LIVE_MS)
    for name, sample in VECTORS["sample_logs"].items():
        event = name.partition("_")[0]
        if event not in abi.EVENTS:
            continue
        found = logs.matching(
            exchange, address=logs.CALLBACKS, topics=[sample["topics"][0]], first=0, last=last
        )

        assert found, event
        assert {len(log["topics"]) for log in found} == {len(sample["topics"])}
        assert {len(log["data"]) for log in found} == {len(sample["data"])}
        assert all(log["topics"][0] == abi.topic(event) for log in found)


def test_the_sample_trade_is_encoded_as_in_the_vectors() -> None:
    sample = VECTORS["sample_logs"]["MarketOpenExecuted"]
    fields = [*sample["decoded"]["t"], sample["decoded"]["priceImpactP"]]

    assert sample["data"].startswith("0x" + abi.words(fields))


def test_a_settlement_is_found_by_its_order_id() -> None:
    exchange = sandbox_at(LIVE_MS).exchange
    closed = next(o for o in exchange.orders.values() if o.order_action == "Close" and o.amount_sent)
    topics = [None, "0x" + abi.word(closed.id)]
    (log,) = logs.matching(exchange, address=logs.CALLBACKS, topics=topics, first=0, last=block_at(LIVE_MS))
    price, _impact, percent, sent, share = abi.split(log["data"])

    assert int(log["topics"][2], 16) == closed.trade_id
    assert (price, sent, share) == (closed.price_after_impact, closed.amount_sent, closed.close_percent)
    signed = percent - (1 << 256) if percent >> 255 else percent
    assert Decimal(signed) / 10**4 == closed.profit_percent


def rpc(method: str, *params: Any) -> Any:
    return Rpc(sandbox_at(LIVE_MS).exchange).answer(
        {"jsonrpc": "2.0", "id": 5, "method": method, "params": list(params)}
    )


def test_unknown_methods_and_calls_are_json_rpc_errors() -> None:
    assert rpc("eth_sendMagic")["error"]["code"] == -32601
    assert rpc("eth_call", {"to": "0x" + "1" * 40, "data": "0x12345678"}, "latest")["error"]["code"] == 3
    assert rpc("eth_call", {"to": VECTORS["addresses"]["usdc"], "data": CALLS["usdc_balance_read"][:40]})[
        "error"
    ]
    assert rpc("eth_getBlockByNumber", "soon", False)["error"]["code"] == -32602
    assert Rpc(sandbox_at(LIVE_MS).exchange).answer("what")["error"]["code"] == -32600


def test_the_chain_has_sepolias_id_and_a_block_every_300_ms() -> None:
    block = rpc("eth_getBlockByNumber", "latest", False)["result"]

    assert rpc("eth_chainId")["result"] == hex(421_614)
    assert int(rpc("eth_blockNumber")["result"], 16) == int(block["number"], 16) == block_at(LIVE_MS)
    assert abs(int(block["timestamp"], 16) - LIVE_MS // 1000) <= 1


def test_views_show_the_slots_of_the_books() -> None:
    sandbox = sandbox_at(LIVE_MS)
    storage = VECTORS["addresses"]["tradingStorage"]
    node = Rpc(sandbox.exchange)

    def view(signature: str, *arguments: abi.Value) -> list[int]:
        data = abi.encode_call(signature, *arguments)
        answer = node.answer({"id": 1, "method": "eth_call", "params": [{"to": storage, "data": data}]})
        return abi.split(answer["result"])

    for trader, book in sandbox.exchange.open_trades.items():
        for (pair_id, index), trade in book.items():
            words = view(abi.OPEN_TRADE, trader, pair_id, index)
            assert words[:4] == [trade.collateral, trade.open_price, trade.take_profit, trade.stop_loss]
            assert abi.address(words[4]) == trader
            assert view(abi.OPEN_TRADE_INFO, trader, pair_id, index)[:2] == [trade.id, trade.notional]
        assert view(abi.OPEN_TRADE, trader, 0, 77) == [0] * 10
        assert view(abi.PENDING_ORDER_IDS, trader)[0] == 32
    limits = [x for book in sandbox.exchange.active_limits.values() for x in book.values()]
    for limit in limits:
        words = view(abi.OPEN_LIMIT_ORDER, limit.trader, limit.pair.pair.id, limit.index)
        assert words[:4] == [limit.collateral, limit.price, limit.take_profit, limit.stop_loss]
        assert words[9] == {"LIMIT": 1, "STOP": 2}[limit.limit_type]
    state = sandbox.exchange.pairs[0]
    assert [view(abi.OPEN_INTEREST, 0, side)[0] for side in range(3)] == [
        state.long_oi, state.short_oi, state.max_oi,
    ]  # fmt: skip


def test_half_words_are_refused() -> None:
    with pytest.raises(ValueError, match="whole words"):
        abi.split("0x1234")
