"""What is fanned out: position messages of about 1.7 KB with values that do not repeat."""

from __future__ import annotations

import random
from typing import Any

ORDERS = 3


def _body(number: int) -> dict[str, Any]:
    rng = random.Random(number)
    return {
        "position": {
            "miner_hotkey": f"5{rng.getrandbits(188):047x}",
            "position_uuid": f"{rng.getrandbits(128):032x}",
            "open_ms": 1_750_000_000_000 + number,
            "trade_pair": ["BTCUSD", "BTC/USD", 0.003, 0.01, 0.5],
            "orders": [_order(rng) for _ in range(ORDERS)],
            "current_return": 1 + rng.random() / 100,
            "close_ms": None,
            "net_leverage": rng.random(),
            "net_value": rng.random() * 1e5,
            "net_quantity": rng.random(),
            "return_at_close": 1 + rng.random() / 100,
            "average_entry_price": rng.random() * 1e5,
            "initial_entry_price": rng.random() * 1e5,
            "cumulative_entry_value": rng.random() * 1e5,
            "account_size": 100_000.0,
            "realized_pnl": 0.0,
            "unrealized_pnl": rng.random() * 100,
            "position_type": "LONG",
            "is_closed_position": False,
        },
        "miner_repo_version": "8.8.9",
        "repo_version": "8.8.9",
    }


def _order(rng: random.Random) -> dict[str, Any]:
    return {
        "order_type": "LONG",
        "leverage": rng.random(),
        "value": rng.random() * 1e5,
        "quantity": rng.random(),
        "price": rng.random() * 1e5,
        "bid": rng.random() * 1e5,
        "ask": rng.random() * 1e5,
        "slippage": rng.random() / 1e5,
        "quote_usd_rate": 1.0,
        "usd_base_rate": rng.random() / 1e5,
        "processed_ms": 1_750_000_000_000 + rng.randrange(10**9),
        "price_sources": [],
        "order_uuid": f"{rng.getrandbits(128):032x}",
        "src": 0,
        "execution_type": "MARKET",
        "limit_price": None,
        "stop_loss": None,
        "take_profit": None,
    }


POOL = [_body(number) for number in range(256)]
