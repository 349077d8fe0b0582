"""Payloads made of the samples, with rows changed or added as a test needs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from venues.model import Payload

SAMPLES = Path(__file__).resolve().parents[3] / "venues" / "ostium" / "samples"
TRADER = "0x2c7536e3605d9c16a7a3d7b1898e529396a65c23"
E18 = 10**18
OBSERVED_MS = 1_738_100_000_500

Row = dict[str, Any]


def sample(name: str) -> Any:
    """One of the sample files, parsed."""
    return json.loads((SAMPLES / name).read_text(encoding="utf-8"))


def account_rows(kind: str) -> list[Row]:
    """The sample account's rows of one kind."""
    rows: list[Row] = sample("account.json")["data"][kind]
    return rows


def sample_order(order_id: str) -> Row:
    """One of the sample account's settled orders."""
    return next(row for row in account_rows("settled") if row["id"] == order_id)


def trade(**changes: Any) -> Row:
    """The sample's open trade (777, long 0.01175 BTC at 42510) with changes."""
    return account_rows("trades")[0] | changes


def limit(**changes: Any) -> Row:
    """The sample's active limit (91, short 0.1428 ETH at 3500.5) with changes."""
    return account_rows("limits")[0] | changes


def order(order_id: int, **changes: Any) -> Row:
    """A settled market open of 0.01 BTC at 50000 with changes."""
    return (
        sample_order("777")
        | {
            "id": str(order_id),
            "tradeID": str(order_id),
            "price": str(50_000 * E18),
            "priceAfterImpact": str(50_000 * E18),
            "collateral": "50000000",
            "leverage": "1000",
            "tradeNotional": str(E18 // 100),
            "initiatedAt": str(1_738_000_000 + order_id),
            "executedAt": str(1_738_000_001 + order_id),
        }
        | changes
    )


def close(order_id: int, trade_id: int, **changes: Any) -> Row:
    """A settled market close of a trade made with ``order``, with changes."""
    blank = dict.fromkeys(("devFee", "vaultFee", "builderFee", "tradeNotional", "collateral"))
    fields = {"tradeID": str(trade_id), "orderAction": "Close", "closePercent": "10000"}
    return order(order_id, **(blank | fields | changes))


def part(rows: dict[str, list[Row]]) -> bytes:
    """A GraphQL answer with these lists."""
    return json.dumps({"data": rows}).encode()


def payload(
    *, account: str = TRADER, since_ms: int | None = None, parts: dict[str, bytes] | None = None, **rows: Any
) -> Payload:
    """The sample payload; ``rows`` replace lists of the ``account`` part, ``parts`` whole parts."""
    main = {kind: account_rows(kind) for kind in ("trades", "limits", "ended", "pending", "settled")}
    names = {
        "pairs": "pairs.json",
        "prices": "prices.json",
        "block": "block.json",
        "balance": "balance.json",
    }
    bodies = {name: (SAMPLES / file).read_bytes() for name, file in names.items()}
    return Payload(
        venue="ostium",
        account=account,
        observed_ms=OBSERVED_MS,
        since_ms=since_ms,
        parts={"account": part(main | rows), **bodies, **(parts or {})},
    )


def bare(**rows: Any) -> Payload:
    """Like ``payload``, with an account that has nothing but ``rows``."""
    empty: dict[str, list[Row]] = {k: [] for k in ("trades", "limits", "ended", "pending", "settled")}
    return payload(**(empty | rows))
