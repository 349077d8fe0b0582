"""The venue's sample answers as a payload, and small edits of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from venues.model import Payload

FOLDER = Path(__file__).resolve().parents[3] / "venues" / "o2" / "samples"
MARKET = "0x09c17f779eb0a7658424e48935b2bef24013766f8b3da757becb2264406f9e96"
BASE = "0x" + "b0" * 32
QUOTE = "0x" + "c0" * 32
ACCOUNT = "0x" + "ee" * 32
OBSERVED_MS = 1_767_229_300_000


def sample(name: str) -> Any:
    """One sample answer, decoded."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def parts() -> dict[str, Any]:
    """The parts of one account's payload, decoded."""
    return {
        "markets": sample("markets"),
        f"ticker/{MARKET}": sample("ticker"),
        f"balance/{BASE}": sample("balance_base"),
        f"balance/{QUOTE}": sample("balance_quote"),
        f"trades/{MARKET}/0": sample("trades_by_account"),
        f"orders/{MARKET}/0": sample("orders"),
    }


def payload(decoded: dict[str, Any]) -> Payload:
    """A payload with these parts."""
    bodies = {name: json.dumps(body).encode() for name, body in decoded.items()}
    return Payload(venue="o2", account=ACCOUNT, observed_ms=OBSERVED_MS, parts=bodies)


def trade(**changes: Any) -> dict[str, Any]:
    """A trade row: 40 base bought as maker at 0.025, unless changed."""
    row: dict[str, Any] = sample("trades_by_account")["trades"][1]
    return {**row, **changes}


def order(**changes: Any) -> dict[str, Any]:
    """An open order row, unless changed."""
    row: dict[str, Any] = sample("orders")["orders"][0]
    return {**row, **changes}
