"""Payloads for the normaliser: from the samples, or put together leg by leg."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from venues.model import Payload

SAMPLES = Path(__file__).parents[3] / "venues" / "ithaca" / "samples"
ACCOUNT = "0x2c7536e3605d9c16a7a3d7b1898e529396a65c23"
OBSERVED_MS = 1_738_368_000_000  # 2025-02-01 00:00 UTC
CREATED_MS = 1_738_360_264_223
STAMP_MS = 1_738_360_260_010


def sample(name: str) -> Any:
    """One sample file, decoded."""
    return json.loads((SAMPLES / name).read_text())


def ok(payload: Any) -> bytes:
    """``payload`` in the venue's envelope."""
    return json.dumps({"result": "OK", "details": "", "payload": payload}).encode()


def contract(
    number: int,
    payoff: str,
    strike: float | None = None,
    *,
    pair: str = "WETH/USDC",
    expiry: int = 250207080,
) -> dict[str, Any]:
    """One contract as the venue lists it."""
    economics = {
        "currencyPair": pair,
        "expiry": expiry,
        "priceCurrency": "USDC",
        "qtyCurrency": "USDC" if payoff.startswith("Binary") else pair.split("/")[0],
    }
    if strike is not None:
        economics["strike"] = strike
    return {"contractId": number, "payoff": payoff, "economics": economics, "tradeable": True}


CALL = contract(30919, "Call", 3500.0)
PUT = contract(30925, "Put", 3000.0)
BINARY = contract(30940, "BinaryCall", 3600.0)
FORWARD = contract(30901, "Forward")
SPOT = contract(87633, "Spot", pair="WBTC/USDC", expiry=0)


def leg(
    what: dict[str, Any],
    side: str,
    original: float,
    filled: float = 0.0,
    *,
    average: float = 0.0,
    last: float | None = None,
    last_price: float | None = None,
    cancelled: float = 0.0,
    with_contract: bool = True,
) -> dict[str, Any]:
    """One leg of an order report."""
    row: dict[str, Any] = {
        "contractId": what["contractId"],
        "side": side,
        "originalQty": original,
        "remainingQty": round(original - filled - cancelled, 12),
        "cancelledQty": cancelled,
        "avgPrice": average,
        "totalCost": round(filled * average, 4),
        "currencyPair": what["economics"]["currencyPair"],
        "expiry": what["economics"]["expiry"],
    }
    if with_contract:
        row["contractDto"] = what
    if last is not None:
        row["thisFillQty"] = last
    if last_price is not None:
        row["execPrice"] = last_price
    return row


def order(
    number: int,
    net_price: float,
    *legs: dict[str, Any],
    status: str = "NEW",
    stamp_ms: int = STAMP_MS,
    inserted_ms: int = CREATED_MS,
    reason: str | None = None,
) -> dict[str, Any]:
    """One order report."""
    report: dict[str, Any] = {
        "revDate": stamp_ms,
        "orderId": number,
        "clientId": 1759288230128641,
        "orderStatus": status,
        "netPrice": net_price,
        "orderGenesis": "CLIENT_PREDEFINED",
        "orderDescr": "",
        "timeInForce": "GOOD_TILL_CANCEL",
        "orderClass": "ConditionalOrder",
        "requestSinglePrice": True,
        "iocAuctionTime": 0,
        "details": list(legs),
        "insertionDate": inserted_ms,
        "spotPriceAtCreation": 3300.5,
    }
    if reason is not None:
        report["ordRejReason"] = reason
    return report


def position(number: int, quantity: float, average: float, **extra: Any) -> dict[str, Any]:
    """One row of the current or historical positions."""
    return {"contractId": number, "positionsAvgPrice": average, "positionsQty": quantity, **extra}


def history(expiry: int, prices: dict[str, float], *positions: dict[str, Any]) -> dict[str, Any]:
    """What was held at one expiry, keyed as the venue keys it."""
    return {
        str(expiry): {"totalCollateral": {}, "expiryPrices": prices, "payoff": {}, "positions": positions}
    }


def payload(observed_ms: int = OBSERVED_MS, **parts: bytes) -> Payload:
    """An account without anything, with ``parts`` put over it (``__`` in a name stands for a colon)."""
    bodies = {
        "systemInfo": json.dumps(sample("system_info.json")).encode(),
        "contracts": ok([CALL, PUT, BINARY, FORWARD, SPOT]),
        "positions": ok([]),
        "openOrders": ok([]),
        "tradeHistory:0": ok([]),
        "historical:0": ok({}),
        "fundLock": ok([]),
        "spotPrices": ok({"WETH/USDC": 3315.14}),
    }
    bodies.update({name.replace("__", ":"): body for name, body in parts.items()})
    return Payload(venue="ithaca", account=ACCOUNT, observed_ms=observed_ms, parts=bodies)
