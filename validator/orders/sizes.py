"""The three ways to say how large an order is, each made from any of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from validator.fold import finite
from validator.orders.signal import Signal, SignalError
from validator.trade_pairs import TradePair

MIN_CAPITAL: Final = 5_000.0  # USD: what an account of unknown size is measured against

Prices = Callable[[str], float | None]
"""Trade pair id → its price now in quote currency; None: not known."""


class Rates(NamedTuple):
    """A pair's price, what one unit of its quote currency is in USD, and one USD in its base currency."""

    price: float
    quote_usd: float
    usd_base: float


class Sizes(NamedTuple):
    """Multiples of the account size, USD, and lots; all with the same sign."""

    leverage: float
    value: float
    quantity: float

    def scaled(self, factor: float) -> Sizes:
        """The same, larger or smaller."""
        return Sizes(
            finite(self.leverage * factor), finite(self.value * factor), finite(self.quantity * factor)
        )


def rates_of(pair: TradePair, price: float, prices: Prices) -> Rates:
    """Conversion rates at a price of the pair. Raises SignalError when a currency's rate is not known."""
    quote_usd = (
        1.0 if pair.quote == "USD" else 1.0 / price if pair.base == "USD" else _usd(pair.quote, prices)
    )
    base_usd = finite(price * quote_usd)
    if base_usd <= 0:
        raise SignalError(f"No price of {pair.trade_pair_id} is known")
    return Rates(price, quote_usd, 1.0 / base_usd)


def sizes_of(signal: Signal, rates: Rates, lot: float, account_size: float) -> Sizes:
    """All three sizes of a signal that has one of them."""
    if signal.leverage is not None:
        value = signal.leverage * account_size
    elif signal.value is not None:
        value = signal.value
    else:
        value = (signal.quantity or 0.0) * lot / rates.usd_base
    return Sizes(finite(value / account_size), finite(value), finite(value * rates.usd_base / lot))


def _usd(currency: str, prices: Prices) -> float:
    """What one unit of a currency is in USD."""
    direct, inverse = prices(f"{currency}USD"), prices(f"USD{currency}")
    if direct:
        return direct
    if inverse:
        return 1.0 / inverse
    raise SignalError(f"No price of {currency} in USD is known")
