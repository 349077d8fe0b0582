"""The parts of a payload: their names, and how each is opened.

Always there: ``systemInfo``, ``contracts``, ``positions``, ``openOrders``, ``tradeHistory:<page>``,
``historical:<window>``, ``fundLock``, ``spotPrices``. When needed: ``orderStatus:<order id>``, ``trail``
(earlier reports of orders that are still in the answers), ``bestBidAskPrecise``,
``referencePrices:<pair>``, ``priceList``. ``contracts`` and ``trail`` are put together from objects the venue
sent earlier; every other part is an answer's body as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from venues.errors import Broken
from venues.ithaca.schemas import Contract, Envelope
from venues.numbers import decode

T = TypeVar("T")

SYSTEM_INFO: Final = "systemInfo"
CONTRACTS: Final = "contracts"
POSITIONS: Final = "positions"
OPEN_ORDERS: Final = "openOrders"
TRADE_HISTORY: Final = "tradeHistory:"
ORDER_STATUS: Final = "orderStatus:"
TRAIL: Final = "trail"
HISTORICAL: Final = "historical:"
FUND_LOCK: Final = "fundLock"
SPOT_PRICES: Final = "spotPrices"
BEST_PRICES: Final = "bestBidAskPrecise"
REFERENCE_PRICES: Final = "referencePrices:"
PRICE_LIST: Final = "priceList"


def body_of(parts: Mapping[str, bytes], name: str) -> bytes:
    """The part's body. Raises Broken when the payload lacks it."""
    if name not in parts:
        raise Broken(name, "an answer", "nothing")
    return parts[name]


def payload_of(parts: Mapping[str, bytes], name: str, decoder: msgspec.json.Decoder[Envelope[T]]) -> T:
    """What the part's envelope carries. Raises Broken with the field path, also for a failure's envelope."""
    answer = decode(name, body_of(parts, name), decoder)
    if answer.result != "OK":
        raise Broken(f"{name}.result", "OK", answer.result[:80])
    return answer.payload


def contract_of(known: Mapping[int, Contract], contract_id: int, path: str) -> Contract:
    """The contract with that id. Raises Broken when the venue never described it."""
    if contract_id not in known:
        raise Broken(f"{path}.contractId", "a contract that is listed", str(contract_id))
    return known[contract_id]
