"""Every documented read, one by one, against the sandbox over real HTTP."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.venues.ithaca.exchange import EIGHT_MS, NOON_MS, Setup, running
from venues.ithaca.client import IthacaClient


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    directory: Path = tmp_path_factory.mktemp("secrets")
    with running(directory) as ready:
        ready.clock.advance(60)
        ready.client.fetch(ready.accounts[0], None)
        yield ready


def arguments(setup: Setup, method: Any) -> dict[str, Any]:
    """Sensible values for a read's parameters, by name."""
    contract = setup.sandbox.world.market.contracts_of(EIGHT_MS)[1]
    row = {
        "contractId": contract.id,
        "payoff": "Call",
        "expiry": "2025-11-21",
        "strike": 3300.0,
        "position": 1,
    }
    leg = {"contractId": contract.id, "side": "SELL", "quantity": "1.0000"}
    order = {"clientOrderId": 1, "totalNetPrice": "-5.0000", "legs": [leg], "orderType": "LIMIT"}
    account = setup.sandbox.world.accounts[0]
    given = {
        "account": setup.accounts[0],
        "ids": [contract.id],
        "expiry": next(iter(account.history)),
        "currency_pair": "WETH/USDC",
        "underlier": "WETH",
        "since": "2025-11-01",
        "to": "2025-11-20",
        "client_order_id": account.done[0].id,
        "contract_id": next(iter(account.positions)),
        "from_ms": NOON_MS - 86_400_000,
        "to_ms": NOON_MS,
        "order": order,
        "orders": [order] if method.__name__ != "trade_pricer" else [{"orderId": 1, "details": [row]}],
        "positions": [row],
        "payoff": "Call",
        "date": "2025-11-21",
        "strike": 3300.0,
        "address": account.address.upper().replace("0X", "0x"),
    }
    names = inspect.signature(method).parameters
    wanted = (name for name, one in names.items() if one.default is inspect.Parameter.empty)
    return {name: given[name] for name in wanted}


READS = sorted(
    name
    for name, member in inspect.getmembers(IthacaClient, inspect.isfunction)
    if not name.startswith("_") and name not in ("fetch", "close", "socket_token", "logout", "loyalty_points")
)


@pytest.mark.parametrize("name", READS)
def test_every_read_answers_with_something(setup: Setup, name: str) -> None:
    """Each documented read works with sensible arguments and has content (only one answer is a null)."""
    method = getattr(setup.client, name)
    answer = json.loads(method(**arguments(setup, method)))
    content = answer.get("payload", answer.get("response", answer)) if isinstance(answer, dict) else answer
    assert content is not None or name == "get_rsa_key"
    assert content != {"data": {"account": None}}
