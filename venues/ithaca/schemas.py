"""The venue's answers as typed structs: exact Decimals from the JSON text, unknown extra fields ignored.

Quantities are in the contract's ``qtyCurrency`` (coins; USDC payout units for binaries), prices and
costs in its ``priceCurrency`` (USDC), times in epoch ms. Numbers may come with float dust or as ``1e-07``.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, Generic, Literal, TypeVar

import msgspec

T = TypeVar("T")

ContractId = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
OrderId = Annotated[int, msgspec.Meta(ge=0, lt=2**63 - 1)]
TimeMs = Annotated[int, msgspec.Meta(ge=0, lt=10**15)]
Expiry = Annotated[int, msgspec.Meta(ge=0, lt=10**10)]
Places = Annotated[int, msgspec.Meta(ge=0, le=30)]
Payoff = Literal["Call", "Put", "BinaryCall", "BinaryPut", "Forward", "Spot"]
Side = Literal["BUY", "SELL"]


class Envelope(msgspec.Struct, Generic[T], frozen=True):
    """What every ``/clientapi`` answer is wrapped in; ``result`` is ``OK`` or an error code."""

    payload: T
    result: str = "OK"
    details: str | None = None


class Economics(msgspec.Struct, frozen=True, rename="camel"):
    """What a contract pays on. ``expiry`` is ``YYMMDDHHM`` as an integer, meaningless for Spot."""

    currency_pair: str
    expiry: Expiry
    price_currency: str
    qty_currency: str
    strike: Decimal | None = None


class Contract(msgspec.Struct, frozen=True, rename="camel"):
    """One listed contract."""

    contract_id: ContractId
    payoff: Payoff
    economics: Economics
    tradeable: bool = True


class Leg(msgspec.Struct, frozen=True, rename="camel"):
    """One contract of an order. ``this_fill_qty`` and ``exec_price`` tell of the last fill only; average
    and execution prices are per unit and may be negative inside a strategy."""

    contract_id: ContractId
    side: Side
    original_qty: Decimal
    remaining_qty: Decimal
    cancelled_qty: Decimal = Decimal(0)
    this_fill_qty: Decimal | None = None
    avg_price: Decimal | None = None
    exec_price: Decimal | None = None
    contract_dto: Contract | None = None


class Order(msgspec.Struct, frozen=True, rename="camel"):
    """One order, or one report of it. ``net_price`` is the signed premium of the whole order in USDC
    (positive: paid). ``rev_date`` is the stamp of the auction that changed it, ``insertion_date`` when
    that report was made: it moves when the order changes."""

    order_id: OrderId
    order_status: str
    net_price: Decimal
    rev_date: TimeMs
    details: tuple[Leg, ...]
    insertion_date: TimeMs | None = None  # absent in answers of the venue's first year
    ord_rej_reason: str | None = None
    time_in_force: str | None = None
    spot_price_at_creation: Decimal | None = None


class CurrentPosition(msgspec.Struct, frozen=True, rename="camel"):
    """A net position in one contract; ``orders`` only with the SHOW_ORDERS filter."""

    contract_id: ContractId
    positions_avg_price: Decimal
    positions_qty: Decimal
    orders: tuple[Order, ...] | None = None


class HistoricalPositions(msgspec.Struct, frozen=True, rename="camel"):
    """What was held at one expiry. ``expiry_prices`` is empty until the expiry has been settled."""

    positions: tuple[CurrentPosition, ...]
    expiry_prices: dict[str, Decimal] = {}


class FundLock(msgspec.Struct, frozen=True, rename="camel"):
    """Money in one currency: deposited, reserved by orders, and the signed delta awaiting settlement."""

    currency: str
    order_value: Decimal
    fund_lock_value: Decimal
    settle_value: Decimal


class SystemInfo(msgspec.Struct, frozen=True, rename="camel"):
    """Decimal places the venue keeps per currency (and addresses that reading does not need)."""

    currency_precision: dict[str, Places]


class BestPrices(msgspec.Struct, frozen=True, rename="camel"):
    """Best prices per unit of one contract; None when that side is empty."""

    best_ask: Decimal | None = None
    best_bid: Decimal | None = None


class ReferencePrice(msgspec.Struct, frozen=True, rename="camel"):
    """The venue's own valuation of one contract per unit."""

    contract_id: ContractId
    reference_price: Decimal | None = None


class ListPrice(msgspec.Struct, frozen=True, rename="camel"):
    """One row of the calculation server's price list."""

    contract_id: ContractId
    price: Decimal | None = None


POSITIONS: Final = msgspec.json.Decoder(Envelope[tuple[CurrentPosition, ...]])
ORDERS: Final = msgspec.json.Decoder(Envelope[tuple[Order, ...]])
ORDER_ROW: Final = msgspec.json.Decoder(Order)
ORDER: Final = msgspec.json.Decoder(Envelope[Order])
CONTRACTS: Final = msgspec.json.Decoder(Envelope[tuple[Contract, ...]])
HISTORICAL: Final = msgspec.json.Decoder(Envelope[dict[str, msgspec.Raw]])
HISTORICAL_BARE: Final = msgspec.json.Decoder(Envelope[HistoricalPositions])
HISTORICAL_ONE: Final = msgspec.json.Decoder(HistoricalPositions)
FUND_LOCK: Final = msgspec.json.Decoder(Envelope[tuple[FundLock, ...]])
SYSTEM_INFO: Final = msgspec.json.Decoder(Envelope[SystemInfo])
SPOT_PRICES: Final = msgspec.json.Decoder(Envelope[dict[str, Decimal]])
BEST_PRICES: Final = msgspec.json.Decoder(Envelope[dict[str, BestPrices]])
REFERENCE_PRICES: Final = msgspec.json.Decoder(Envelope[tuple[ReferencePrice, ...]])
PRICE_LIST: Final = msgspec.json.Decoder(tuple[ListPrice, ...])
