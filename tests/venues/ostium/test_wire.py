"""The sandbox over real HTTP and WebSocket: the shapes, headers and errors its services document."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests

from tests.venues.ostium.worlds import LIVE_MS, World, world

TICK = {
    "feed_id", "bid", "mid", "ask", "isMarketOpen", "isDayTradingClosed",
    "secondsToToggleIsDayTradingClosed", "from", "to", "timestampSeconds",
}  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("secrets")) as made:
        yield made


def get(served: World, path: str, **headers: str) -> requests.Response:
    return requests.get(served.base_url + path, headers=headers, timeout=5)


def post(served: World, path: str, body: Any, content_type: str = "application/json") -> requests.Response:
    data = body if isinstance(body, str) else json.dumps(body)
    return requests.post(served.base_url + path, data=data, headers={"Content-Type": content_type}, timeout=5)


def test_latest_prices_are_a_list_under_original_names(served: World) -> None:
    ticks = get(served, "/PricePublish/latest-prices").json()

    assert len(ticks) == 25
    assert all(set(tick) == TICK for tick in ticks)
    assert all(tick["bid"] < tick["mid"] < tick["ask"] for tick in ticks)
    assert {"SPX", "CL"} <= {tick["from"] for tick in ticks}


def test_the_newer_service_wraps_ticks_and_shows_display_names(served: World) -> None:
    answer = get(served, "/v1/prices").json()
    pairs = {tick["pair"] for tick in answer["prices"]}

    assert set(answer) == {"prices", "stale", "generatedAt"}
    assert {"US500-USD", "WTI-USD", "BTC-USD"} <= pairs
    assert "SPX-USD" not in pairs


@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
def test_candles_are_consistent_and_in_ms(served: World, content_type: str) -> None:
    now_s = LIVE_MS // 1000
    wanted = {
        "pair": "BTC-USD", "fromTimestampSeconds": now_s - 6 * 3600, "toTimestampSeconds": now_s,
        "resolution": "60",
    }  # fmt: skip
    answer = post(served, "/v1/ohlc", wanted, content_type).json()

    assert [c["time"] for c in answer["data"]] == [LIVE_MS - n * 3_600_000 for n in range(6, -1, -1)]
    for candle in answer["data"]:
        assert candle["low"] <= min(candle["open"], candle["close"])
        assert candle["high"] >= max(candle["open"], candle["close"])
    assert answer["lastRequestTimestamp"] is None


def test_candles_page_by_the_last_time(served: World) -> None:
    now_s = LIVE_MS // 1000
    wanted = {
        "pair": "BTC-USD", "fromTimestampSeconds": now_s - 86_400, "toTimestampSeconds": now_s,
        "resolution": "1",
    }  # fmt: skip
    first = post(served, "/v1/ohlc", wanted).json()
    second = post(
        served, "/v1/ohlc", wanted | {"fromTimestampSeconds": first["lastRequestTimestamp"] // 1000}
    ).json()

    assert len(first["data"]) == 1000
    assert second["data"][0] == first["data"][-1]
    assert second["data"][-1]["time"] == LIVE_MS


def test_the_builder_names_what_is_wrong(served: World) -> None:
    bad = post(served, "/v1/ohlc", {"pair": "NO-PE", "resolution": "7"})
    assert (bad.status_code, bad.json()["errorCode"]) == (400, "VALIDATION_ERROR")
    assert {"pair", "resolution"} <= set(bad.json()["details"]["validationErrors"])
    assert post(served, "/v1/ohlc", "{").json()["errorCode"] == "INVALID_REQUEST"
    missing = get(served, "/v1/balance/usdc")
    assert (missing.status_code, missing.json()["errorCode"]) == (400, "INVALID_REQUEST")
    wrong = get(served, "/v1/balance/usdc", **{"X-Trader-Address": "0x12"})
    assert (wrong.status_code, wrong.json()["errorCode"]) == (400, "INVALID_ADDRESS")


def test_balances_are_told_by_header_or_query(served: World) -> None:
    trader = served.sandbox.wallets[0].address
    by_header = get(served, "/v1/balance/usdc", **{"x-trader-address": trader.upper().replace("0X", "0x")})
    by_query = get(served, f"/v1/balance/usdc?address={trader}")
    answer = by_query.json()

    assert by_header.json()["balance"] == answer["balance"]
    assert answer["balanceFormatted"].replace(".", "").lstrip("0") == answer["balance"]
    assert (answer["symbol"], answer["decimals"]) == ("USDC", 6)


def test_health(served: World) -> None:
    assert get(served, "/v1/health").json()["status"] == "healthy"
    assert get(served, "/v1/exchange/health").json() == {
        "status": "healthy", "endpoint": "exchange", "version": "v1",
        "timestamp": "2025-11-13T00:00:00.000Z",
    }  # fmt: skip


def test_the_builder_limits_to_100_requests_a_minute(tmp_path: Path) -> None:
    with world(tmp_path) as served:
        answers = [get(served, "/v1/health") for _ in range(101)]
        refused = answers[-1]

        assert {answer.status_code for answer in answers[:-1]} == {200}
        assert [
            answers[0].headers["X-RateLimit-Remaining"],
            answers[99].headers["X-RateLimit-Remaining"],
        ] == ["99", "0"]
        assert (refused.status_code, refused.json()["errorCode"]) == (429, "RATE_LIMIT_EXCEEDED")
        assert refused.headers["Retry-After"] == "60"
        assert refused.json()["details"]["limit"] == 100
        served.clock.advance(60)
        assert get(served, "/v1/health").status_code == 200


def test_request_ids_are_echoed_or_made(served: World) -> None:
    assert get(served, "/v1/health", **{"X-Request-ID": "mine-1"}).headers["X-Request-ID"] == "mine-1"
    assert len(get(served, "/v1/health", **{"X-Request-ID": "\u00e9 no"}).headers["X-Request-ID"]) == 36


@pytest.mark.parametrize("path", ["/gn", "/v1/subgraph/gn"])
def test_the_subgraph_answers_at_both_addresses(served: World, path: str) -> None:
    assert post(served, path, {"query": "{ metaDatas { liqMarginThresholdP } }"}).json() == {
        "data": {"metaDatas": [{"liqMarginThresholdP": "25"}]}
    }
    for bad in ("[]", "{", '{"query": 5}', '{"query": "{ pairs { id } }", "variables": 5}'):
        assert post(served, path, bad).status_code == 400


def test_json_rpc_takes_batches_and_says_what_it_cannot_parse(served: World) -> None:
    calls = [{"jsonrpc": "2.0", "id": n, "method": "eth_chainId"} for n in range(3)]

    assert [answer["id"] for answer in post(served, "/rpc", calls).json()] == [0, 1, 2]
    assert post(served, "/rpc", "{").json()["error"]["code"] == -32700


def test_the_price_stream_sends_a_snapshot_and_then_ticks_of_the_subscribed_pairs(served: World) -> None:
    async def talk() -> tuple[Any, Any, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(served.base_url + "/v1/prices/stream") as socket,
        ):
            await socket.send_json({"type": "subscribe", "pairs": ["NO-PE"]})
            error = await socket.receive_json(timeout=5)
            await socket.send_json({"type": "subscribe", "pairs": ["BTC-USD", "ETH-USD"]})
            snapshot = await socket.receive_json(timeout=5)
            await socket.send_json({"type": "unsubscribe", "pairs": ["BTC-USD"]})
            return error, snapshot, await socket.receive_json(timeout=5)

    error, snapshot, tick = asyncio.run(talk())

    assert error["type"] == "error"
    assert [t["pair"] for t in snapshot["data"]] == ["BTC-USD", "ETH-USD"]
    assert (tick["type"], tick["data"]["pair"]) == ("tick", "ETH-USD")


def test_the_older_stream_sends_every_pair_unasked(served: World) -> None:
    async def listen() -> list[Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(served.base_url + "/v1/market/stream") as socket,
        ):
            return [await socket.receive_json(timeout=5) for _ in range(25)]

    ticks = asyncio.run(listen())

    assert len({tick["feed_id"] for tick in ticks}) == 25
    assert all(set(tick) == TICK for tick in ticks)
