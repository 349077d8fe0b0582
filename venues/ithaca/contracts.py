"""What a contract is: its name, when it expires, what it pays, and how much money stands behind a unit."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Final

from vanta_api.records import plain
from venues.errors import Broken
from venues.ithaca.schemas import Contract
from venues.model import Instrument

LETTERS: Final = {"Call": "C", "Put": "P", "BinaryCall": "BC", "BinaryPut": "BP"}
WORDS: Final = {"Call": "call", "Put": "put", "BinaryCall": "binary call", "BinaryPut": "binary put"}
# Taker fees as fractions of the notional, from the venue's documentation.
FEES: Final = {"Forward": Decimal("0.0001"), "BinaryCall": Decimal("0.01"), "BinaryPut": Decimal("0.01")}
OPTION_FEE: Final = Decimal("0.0004")
# The venue lists the decimals of the currencies it knows; 7 is the finest of them.
DEFAULT_PRECISION: Final = 7
DERIVED_PRICE_PLACES: Final = 8
AMOUNT_LIMIT: Final = Decimal(10) ** 18  # no quantity or price of this venue comes near

Precision = dict[str, int]  # currency → decimal places


def quantised(amount: Decimal, places: int, path: str) -> Decimal:
    """``amount`` without float dust. Raises Broken when it is no sensible number."""
    if not amount.is_finite() or abs(amount) >= AMOUNT_LIMIT:
        raise Broken(path, "a finite amount", str(amount))
    try:
        rounded = amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
    except InvalidOperation:
        raise Broken(path, f"a number with {places} decimals", str(amount)) from None
    return rounded if rounded else Decimal(0)  # no negative zero


def quantity_places(contract: Contract, precision: Precision) -> int:
    """Decimals of a quantity of this contract."""
    return precision.get(contract.economics.qty_currency, DEFAULT_PRECISION)


def price_places(contract: Contract, precision: Precision) -> int:
    """Decimals of a price of this contract."""
    return precision.get(contract.economics.price_currency, DEFAULT_PRECISION)


def is_held(contract: Contract) -> bool:
    """False for Spot (the next auction's forward): it settles at once and becomes a balance."""
    return contract.payoff != "Spot"


def is_binary(contract: Contract) -> bool:
    """Binaries pay one USDC per unit or nothing."""
    return contract.payoff in ("BinaryCall", "BinaryPut")


def strike_of(contract: Contract) -> Decimal:
    """The strike in USDC. Raises Broken for an option without a usable one."""
    strike = contract.economics.strike
    if strike is None:
        raise Broken(f"contract[{contract.contract_id}].economics.strike", "a strike", "nothing")
    if not strike.is_finite() or abs(strike) >= AMOUNT_LIMIT or strike.adjusted() < -12:
        raise Broken(f"contract[{contract.contract_id}].economics.strike", "a price", str(strike))
    return strike


def split_pair(contract: Contract) -> tuple[str, str]:
    """``("WETH", "USDC")``. Raises Broken when the pair is not written that way."""
    base, slash, quote = contract.economics.currency_pair.partition("/")
    if not (base and slash and quote):
        path = f"contract[{contract.contract_id}].economics.currencyPair"
        raise Broken(path, "BASE/QUOTE", contract.economics.currency_pair)
    return base, quote


def expiry_ms(contract: Contract) -> int:
    """When the contract expires, epoch ms UTC. Raises Broken when the expiry cannot be read.

    ``250207080`` is 2025-02-07 08:00; answers of the venue's first year carry ``20250207`` instead.
    """
    text = str(contract.economics.expiry)
    try:
        if len(text) == 8:
            at = datetime.strptime(f"{text}08+0000", "%Y%m%d%H%z")
        else:
            at = datetime.strptime(f"{text[:8]}+0000", "%y%m%d%H%z").replace(minute=int(text[8:]))
    except ValueError:
        path = f"contract[{contract.contract_id}].economics.expiry"
        raise Broken(path, "YYMMDD080", text) from None
    return int(at.timestamp()) * 1000


def expiry_day(contract: Contract) -> str:
    """``2025-02-07``."""
    return datetime.fromtimestamp(expiry_ms(contract) / 1000, UTC).strftime("%Y-%m-%d")


def instrument_name(contract: Contract) -> str:
    """``WETH/USDC-250207080-3600-C``, ``WETH/USDC-250207080-F`` or ``WBTC/USDC-SPOT``."""
    pair = "/".join(split_pair(contract))
    if contract.payoff == "Spot":
        return f"{pair}-SPOT"
    if contract.payoff == "Forward":
        return f"{pair}-{contract.economics.expiry}-F"
    strike = plain(strike_of(contract))
    return f"{pair}-{contract.economics.expiry}-{strike}-{LETTERS[contract.payoff]}"


def strategy_name(pair: str) -> str:
    """Name under which orders of several contracts of one pair are listed."""
    return f"{pair}-STRATEGY"


def instrument(contract: Contract, precision: Precision) -> Instrument:
    """The contract as something that is traded; everything is fully collateralised."""
    base, quote = split_pair(contract)
    return Instrument(
        name=instrument_name(contract),
        base=base,
        quote=quote,
        display=_display(contract),
        fee=FEES.get(contract.payoff, OPTION_FEE),
        lot=Decimal(1).scaleb(-quantity_places(contract, precision)),
    )


def strategy_instrument(pair: str) -> Instrument:
    """What a multi-leg order is listed under; one unit is the whole order."""
    base, _, quote = pair.partition("/")
    return Instrument(
        name=strategy_name(pair), base=base, quote=quote, display=f"{pair} strategy", lot=Decimal(1)
    )


def payoff_at(contract: Contract, price: Decimal) -> Decimal:
    """USDC that one unit is worth at expiry when the underlying settles at ``price``."""
    if contract.payoff in ("Forward", "Spot"):
        return price
    strike = strike_of(contract)
    if contract.payoff == "Call":
        return max(price - strike, Decimal(0))
    if contract.payoff == "Put":
        return max(strike - price, Decimal(0))
    pays = price > strike if contract.payoff == "BinaryCall" else price <= strike
    return Decimal(1) if pays else Decimal(0)


def notional_per_unit(contract: Contract, spot: Decimal | None) -> Decimal | None:
    """USD that stand behind one unit: the underlying's price, or a binary's payout.

    None: the price is the notional (forwards), or the underlying's price is unknown.
    """
    if is_binary(contract):
        return Decimal(1)
    return None if contract.payoff in ("Forward", "Spot") else spot


def _display(contract: Contract) -> str:
    base, quote = split_pair(contract)
    if contract.payoff == "Spot":
        return f"{base}/{quote} next auction"
    at = datetime.fromtimestamp(expiry_ms(contract) / 1000, UTC)
    day = f"{at.day} {at:%b %Y}"
    if contract.payoff == "Forward":
        return f"{base}/{quote} {day} forward"
    return f"{base}/{quote} {day} {plain(strike_of(contract))} {WORDS[contract.payoff]}"
