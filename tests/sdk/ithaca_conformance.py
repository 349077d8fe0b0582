"""Runs every read method of the official ithaca-py against one server and prints what they return.

usage: python ithaca_conformance.py BASE_URL reads ARGUMENTS_JSON
       python ithaca_conformance.py BASE_URL socket ARGUMENTS_JSON

Run it in an empty directory: the SDK writes an RSA key beside itself. Prints one JSON object:
``{call: {"ok": value} | {"error": text}}``. Imports nothing of this project.
"""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import requests
from ithaca import IthacaSDK

FAILURES = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError, RuntimeError)
SOCKET_WAIT_S = 60.0


def plain(value: Any) -> Any:
    """The value in JSON's terms; tables as rows, answers without JSON as their status."""
    if isinstance(value, pandas.DataFrame):
        return plain(value.reset_index().to_dict("records"))
    if isinstance(value, requests.Response):
        return {"status": value.status_code}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes):
        return {"bytes": len(value)}
    return value if isinstance(value, str | int | float | bool | None) else str(value)


class Recorder:
    """Collects the outcome of each call."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Any] = {}

    def call(self, name: str, made: Callable[[], Any]) -> Any:
        """Make the call and note its value, or its error."""
        try:
            value = made()
        except FAILURES as error:
            self.outcomes[name] = {"error": f"{type(error).__name__}: {error}"}
            return None
        self.outcomes[name] = {"ok": plain(value)}
        return value


def new_sdk(base: str, key_file: str) -> IthacaSDK:
    sdk = IthacaSDK(
        private_key=Path(key_file).read_text(encoding="utf-8").strip(),
        api_endpoint=f"{base}/api/v1",
        ws_endpoint=f"ws{base.removeprefix('http')}/wss",
        graphql_endpoint=f"{base}/subgraph",
        rpc_endpoint=f"{base}/rpc",
    )
    sdk.calc_server.base_url = f"{base}/api/calc"
    return sdk


def read_session(record: Recorder, sdk: IthacaSDK, given: dict[str, Any]) -> None:
    auth = sdk.auth
    record.call("auth.login", auth.login)
    record.call("auth.get_session_info", auth.get_session_info)
    record.call("auth.list_linked", auth.list_linked)
    record.call("auth.list_managed_addresses", auth.list_managed_addresses)
    record.call("auth.switch_to_managed", lambda: auth.switch_to_managed(given["managed"]))
    record.call("auth.switch_back", lambda: auth.switch_to_managed(sdk.address))
    record.call("auth.link_address", lambda: auth.link_address(given["other"]))
    record.call("auth.unlink_address", lambda: auth.unlink_address(given["other"]))
    record.call("auth.add_account_data", lambda: auth.add_account_data("colour", "blue"))
    record.call("auth.link_rsa_key", auth.link_rsa_key)
    record.call("auth.get_linked_rsa_key", auth.get_linked_rsa_key)
    record.call("auth.login_rsa", auth.login_rsa)
    record.call("auth.unlink_rsa_key", auth.unlink_rsa_key)
    auth.remove_private_key()
    record.call("auth.login_again", auth.login)


def read_protocol(record: Recorder, sdk: IthacaSDK, given: dict[str, Any]) -> None:
    protocol, market = sdk.protocol, sdk.market
    record.call("protocol.system_info", protocol.system_info)
    record.call("protocol.next_auction", protocol.next_auction)
    record.call("protocol.contract_list", protocol.contract_list)
    record.call("protocol.contract_list_flat", lambda: protocol.contract_list(flat=True))
    record.call("protocol.contract_list_df", protocol.contract_list_df)
    record.call("protocol.contract_list_by_ids", lambda: protocol.contract_list_by_ids(given["contracts"]))
    record.call("protocol.find_contract", lambda: protocol.find_contract(*given["find"]))
    record.call("protocol.historical_contracts", lambda: protocol.historical_contracts(given["expiry"]))
    record.call("protocol.orderbook", protocol.orderbook)
    record.call("protocol.get_next_expiries", protocol.get_next_expiries)
    record.call("market.reference_prices", lambda: market.reference_prices("WETH/USDC"))
    record.call(
        "market.reference_prices_expiry", lambda: market.reference_prices("WETH/USDC", given["listed"])
    )
    record.call("market.spot_prices", market.spot_prices)


def read_client(record: Recorder, sdk: IthacaSDK, given: dict[str, Any]) -> None:
    client, orders = sdk.client, sdk.orders
    record.call("client.fundlock_state", client.fundlock_state)
    record.call("client.positions_lock_state", client.positions_lock_state)
    record.call("client.current_positions", client.current_positions)
    record.call("client.current_positions_orders", lambda: client.current_positions("SHOW_ORDERS"))
    record.call("client.current_positions_details", lambda: client.current_positions(details=True))
    held = given["held"]
    record.call("client.current_positions_for_contract", lambda: client.current_positions_for_contract(held))
    record.call("client.trade_history", client.trade_history)
    record.call("client.trade_history_page", lambda: client.trade_history(given["from"], given["to"], 1, 3))
    record.call("client.historical_positions", lambda: client.historical_positions(given["expiry"]))
    record.call(
        "client.historical_positions_by_date",
        lambda: client.historical_positions_by_date(given["from"], given["to"]),
    )
    record.call("client.net_asset_value", client.net_asset_value)
    record.call("orders.open_orders", orders.open_orders)
    record.call("orders.open_orders_with_lock_info", orders.open_orders_with_lock_info)
    record.call("orders.order_status", lambda: orders.order_status(given["order"]))
    record.call("orders.order_status_unknown", lambda: orders.order_status(5))


def read_calculations(record: Recorder, sdk: IthacaSDK, given: dict[str, Any]) -> None:
    calculation = sdk.calculation
    legs = [(number, "SELL", 0.5) for number in given["contracts"]]
    record.call("calculation.calc_portfolio_collateral_default", calculation.calc_portfolio_collateral)
    record.call(
        "calculation.calc_portfolio_collateral", lambda: calculation.calc_portfolio_collateral("WETH/USDC")
    )
    record.call("calculation.estimate_order_lock", lambda: calculation.estimate_order_lock(legs, -5.0))
    record.call("calculation.estimate_order_payoff", lambda: calculation.estimate_order_payoff(legs, -5.0))
    record.call("calculation.estimate_order_fees", lambda: calculation.estimate_order_fees(legs, -5.0))
    for own in (False, True):
        record.call(
            f"calculation.estimate_multi_order_lock_{own}",
            lambda own=own: calculation.estimate_multi_order_lock(
                [(legs, -5.0), (legs, -6.0)], consider_existing_positions=own
            ),
        )


def read_statistics(record: Recorder, sdk: IthacaSDK, given: dict[str, Any]) -> None:
    analytics, (since, to) = sdk.analytics, given["days"]
    record.call("analytics.best_prices", analytics.best_prices)
    record.call("analytics.best_prices_precise", analytics.best_prices_precise)
    for name in ("trading_volume", "contracts_traded", "open_interest", "value_locked"):
        record.call(f"analytics.total_{name}", getattr(analytics, f"total_{name}"))
    for name in ("trades", "open_interest_by_product", "open_interest_by_strike", "daily_volume"):
        record.call(f"analytics.{name}", lambda name=name: getattr(analytics, name)(since, to))
    record.call("analytics.trades_empty", lambda: analytics.trades("2001-01-01", "2001-01-02"))
    record.call("analytics.all", lambda: analytics.all(since, to))


def read_valuations(record: Recorder, sdk: IthacaSDK, given: dict[str, Any]) -> None:
    server, rows = sdk.calc_server, given["rows"]
    record.call("calc_server.mark_price", lambda: server.mark_price(rows))
    record.call("calc_server.get_mtm", lambda: server.get_mtm(rows))
    record.call("calc_server.get_greeks", lambda: server.get_greeks(rows))
    record.call("calc_server.get_position_risk", lambda: server.get_position_risk(rows))
    record.call("calc_server.market_snapshot", server.market_snapshot)
    record.call("calc_server.get_volsurface", server.get_volsurface)
    date = server.get_volsurface_date
    record.call("calc_server.get_volsurface_date", date)
    record.call("calc_server.get_historical_volsurface", lambda: server.get_historical_volsurface(date()))
    record.call("calc_server.get_spot_ladder", lambda: server.get_spot_ladder(rows))
    row = rows[0]
    record.call(
        "calc_server.get_price", lambda: server.get_price(row["payoff"], row["expiry"], row["strike"])
    )
    ladder = {"positions": rows, "spot_range": [0]}
    record.call("calc_server.risk_spot_ladder", lambda: server.risk_spot_ladder(ladder))
    record.call("fundlock.token_balances", sdk.fundlock.token_balances)
    record.call("fundlock.fundlock_balances", sdk.fundlock.fundlock_balances)
    record.call("fundlock.history", sdk.fundlock.history)


def read_valued(record: Recorder, base: str, given: dict[str, Any]) -> None:
    """``valued_positions`` of an account without forwards, and of one with."""
    for name in ("without", "with"):
        sdk = new_sdk(base, given[f"{name}_forward"])
        sdk.auth.login()
        record.call(f"client.valued_positions_{name}", sdk.client.valued_positions)
        record.call(f"client.valued_risk_{name}", lambda sdk=sdk: sdk.client.valued_positions(with_risk=True))


def reads(base: str, given: dict[str, Any]) -> dict[str, Any]:
    record, sdk = Recorder(), new_sdk(base, given["key"])
    read_session(record, sdk, given)
    read_protocol(record, sdk, given)
    read_client(record, sdk, given)
    read_calculations(record, sdk, given)
    read_statistics(record, sdk, given)
    read_valuations(record, sdk, given)
    read_valued(record, base, given)
    record.call("auth.logout", sdk.auth.logout)
    record.call("client.after_logout", sdk.client.fundlock_state)
    return record.outcomes


def listen(base: str, given: dict[str, Any]) -> dict[str, Any]:
    """Connect, say hello, and collect frames until one of each wanted kind has come."""
    sdk, frames, done = new_sdk(base, given["key"]), [], threading.Event()

    def on_message(_: Any, message: Any) -> None:
        frames.append({"kind": type(message).__name__, **json.loads(message)})
        if {frame["responseType"] for frame in frames} >= set(given["wanted"]):
            done.set()

    def on_open(socket: Any) -> None:
        socket.send(json.dumps({"action": "HEARTBEAT_REQUEST"}))

    sdk.socket.connect(on_message=on_message, on_open=on_open, delegated=True)
    deadline = time.monotonic() + SOCKET_WAIT_S
    while not done.is_set() and time.monotonic() < deadline:
        done.wait(0.2)
    sdk.socket.close()
    return {"socket": {"ok": frames}}


if __name__ == "__main__":
    mode = {"reads": reads, "socket": listen}[sys.argv[2]]
    sys.stdout, real = sys.stderr, sys.stdout  # the SDK prints
    outcomes = mode(sys.argv[1], json.loads(sys.argv[3]))
    real.write(json.dumps(outcomes))
