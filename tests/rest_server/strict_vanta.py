"""A reader that refuses whatever Vanta's own restore refuses, and silently loses nothing.

Written from what that restore does to its input, independently of this product's own reader.
"""

from __future__ import annotations

import json
from typing import Any

MAJORS = "BTC ETH SOL XRP DOGE ADA TAO AUD EUR NZD GBP XAU XAG"
FOREX = """USDCAD USDCHF AUDJPY CADJPY CHFJPY EURJPY NZDJPY GBPJPY USDJPY EURAUD EURCAD EURCHF EURGBP EURNZD
    GBPAUD GBPCAD GBPCHF GBPNZD AUDCAD AUDCHF AUDNZD CADCHF NZDCAD NZDCHF USDMXN"""
STOCKS = "NVDA AAPL TSLA AMZN MSFT GOOG META SPX DJI NDX VIX FTSE GDAXI"
PAIRS = {f"{base}USD" for base in MAJORS.split()} | set(FOREX.split()) | set(STOCKS.split())
NEEDED = (
    *("created_timestamp_ms", "positions", "eliminations"),
    *("youngest_order_processed_ms", "oldest_order_processed_ms"),
)
OPEN_LAST = 2**63


class Refused(Exception):
    """What the restore would have said."""


def read(text: bytes, *, limit_orders: str = "by_hotkey") -> dict[str, int]:
    """Read a checkpoint as a validator does; returns what was taken over. Raises Refused."""
    body = json.loads(text, parse_constant=_refuse_constant)
    for name in NEEDED:
        _check(name in body, f"missing {name}")
    counts = {"positions": 0, "orders": 0, "limit_orders": 0, "ledgers": 0}
    for hotkey, dashboard in body["positions"].items():
        rows = [_position(one, hotkey, counts) for one in dashboard["positions"]]
        _check(len({one["position_uuid"] for one in rows}) == len(rows), f"{hotkey}: counts do not balance")
        closing = [one["close_ms"] or OPEN_LAST for one in rows if one["is_closed_position"]]
        _check(closing == sorted(closing), f"{hotkey}: closed positions are not sorted")
    for row in body["eliminations"]:
        _check(isinstance(row["hotkey"], str) and isinstance(row["reason"], str), "elimination")
        _time(row["elimination_initiated_time_ms"])
    for hotkey, row in body["challengeperiod"].items():
        _check(isinstance(row["bucket"], str) and isinstance(row["bucket_start_time"], int), hotkey)
    for hotkey, ledger in body["perf_ledgers"].items():
        for one in [ledger] if "cps" in ledger else ledger.values():
            _ledger(one, hotkey)
            counts["ledgers"] += 1
    for rows in body["miner_account_sizes"].values():
        for row in rows:
            _check(row["account_size"] >= 0, "account size")
            _time(row["valid_date_timestamp"])
    if limit_orders == "by_hotkey":
        counts["limit_orders"] = _limit_orders(body["limit_orders"])
    return counts


def _position(one: dict[str, Any], hotkey: str, counts: dict[str, int]) -> dict[str, Any]:
    _check(one["miner_hotkey"] == hotkey, "another hotkey's position")
    _check(isinstance(one["position_uuid"], str) and one["position_uuid"] != "", "position_uuid")
    _time(one["open_ms"])
    pair = one["trade_pair"]
    _check(isinstance(pair, list) and len(pair) == 5, "trade_pair is no tuple of five")
    _check(pair[0] in PAIRS, f"unknown trade pair {pair[0]}")
    for order in one["orders"]:
        _order(order)
    counts["positions"] += 1
    counts["orders"] += len(one["orders"])
    _check(one["position_type"] in ("LONG", "SHORT", "FLAT", None), "position_type")
    _check(one["current_return"] >= 0, "negative return")
    return one


def _order(order: dict[str, Any]) -> None:
    _check(isinstance(order["price"], int | float) and order["price"] >= 0, "price")
    _time(order["processed_ms"])
    _check(isinstance(order["order_uuid"], str) and order["order_uuid"] != "", "order_uuid")
    _check(order["order_type"] in ("LONG", "SHORT", "FLAT"), "order_type")
    size = order["leverage"] or order["value"] or order["quantity"] or 0.0
    _check(order["order_type"] != "LONG" or size >= 0, "LONG with a negative size")
    _check(order["order_type"] != "SHORT" or size <= 0, "SHORT with a positive size")


def _limit_orders(section: dict[str, Any]) -> int:
    """As its reader iterates: hotkey → list; anything else would be lost with no more than a log line."""
    count = 0
    for orders in section.values():
        _check(isinstance(orders, list), "limit orders that the reader would lose")
        for order in orders:
            _check(order["trade_pair_id"] in PAIRS, f"unknown trade pair {order['trade_pair_id']}")
            _order(order)
            count += 1
    return count


def _ledger(ledger: dict[str, Any], hotkey: str) -> None:
    for checkpoint in ledger["cps"]:
        _time(checkpoint["last_update_ms"])
        _check(checkpoint["accum_ms"] >= 0, f"{hotkey}: accum_ms")
        _check(checkpoint["gain"] >= 0 >= checkpoint["loss"], f"{hotkey}: gain and loss")
    times = [checkpoint["last_update_ms"] for checkpoint in ledger["cps"]]
    _check(times == sorted(times), f"{hotkey}: ledger out of order")


def _time(value: Any) -> None:
    _check(isinstance(value, int) and not isinstance(value, bool) and value >= 0, f"time {value!r}")


def _check(holds: bool, problem: str) -> None:
    if not holds:
        raise Refused(problem)


def _refuse_constant(literal: str) -> None:
    raise Refused(f"{literal} is not JSON")
