"""A venue's answer into journal bodies: typed decode, exact decimals, one encode.

The plain way does the same for the same payload with ``json.loads``, dictionaries and floats, then
``json.dumps``; it is faster by what it does not do (exactness, shape checks), which is stated here so
that the ratio is read for what it is.
"""

from __future__ import annotations

import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.rows import Row, compare, show
from runtime.clock import FakeClock
from tests.venues.serving import serving
from vanta_api.records import PositionMessage, encode
from venues.book import AccountBook
from venues.model import Payload
from venues.venue import load
from venues.world import DAY_MS, HISTORY_DAYS

ORIGIN_MS = 1_748_000_000_000


def payload_of(venue: str) -> Payload:
    """Three weeks of one sandbox account's answers."""
    clock = FakeClock(ORIGIN_MS + HISTORY_DAYS * DAY_MS)
    sandbox = load(venue).sandbox(seed=7, accounts=1, origin_ms=ORIGIN_MS, clock=clock)
    with tempfile.TemporaryDirectory() as secrets, serving(sandbox.app) as url:
        settings = sandbox.settings(url, Path(secrets))
        client = load(venue).client(settings, clock)
        try:
            return client.fetch(settings.accounts[0], None)
        finally:
            client.close()


def ours(payload: Payload) -> int:
    """Decode and normalise; returns how many fills came out."""
    return len(load("o2").normalise(payload).fills)


def plain(payload: Payload) -> int:
    """The same with json, dictionaries and floats."""
    fills = []
    for name, body in payload.parts.items():
        decoded: Any = json.loads(body)
        if not name.startswith("trades"):
            continue
        for trade in decoded["trades"]:
            is_taker = trade["trader_side"] == "taker"
            buys = (trade["side"] == "Buy") != is_taker
            quantity = float(trade["quantity"]) / 1e9
            fills.append(
                {
                    "fill_id": trade["trade_id"],
                    "quantity": quantity if buys else -quantity,
                    "price": float(trade["price"]) / 1e6,
                    "time_ms": int(trade["timestamp"]),
                    "fee": float(trade["total"]) / 1e6 * 1e-4 if is_taker else 0.0,
                }
            )
    fills.sort(key=lambda fill: (fill["time_ms"], fill["fill_id"]))
    return len(fills)


def run() -> list[Row]:
    """Normalise, and encode a position."""
    payload = payload_of("o2")
    fast, slow = compare(lambda: ours(payload), lambda: plain(payload))
    book = AccountBook("o2", payload.account, "hk", Decimal(100_000))
    positions = book.plan(load("o2").normalise(payload)).positions
    messages = [PositionMessage(position=p, repo_version="8.8.9") for p in positions]
    plains = [json.loads(encode(m)) for m in messages]
    encoded, dumped = compare(
        lambda: sum(1 for m in messages if encode(m)), lambda: sum(1 for p in plains if json.dumps(p))
    )
    return [
        Row(
            "normalise one account's fills (O2)",
            fast,
            slow,
            "fills/s",
            "json.loads, dict, float, no shape checks",
        ),
        Row("encode a position message", encoded, dumped, "messages/s", "json.dumps of the same dictionary"),
    ]


if __name__ == "__main__":
    show(run())
