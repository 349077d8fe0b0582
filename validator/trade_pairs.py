"""What can be traded: Vanta's own table of pairs, and the rows of instruments that only a venue has.

Rule: of a trade pair on the wire only the id means something; everything else is looked up here,
because historical records carry the bounds and fees of their day.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final, Literal, Protocol

import msgspec

from vanta_api.records import TradePairTuple

Category = Literal["crypto", "forex", "equities", "indices"]

FOREX_LOT: Final = 100_000.0  # base units in one lot
LEGACY_CRYPTO_WIRE_FEE: Final = 0.003  # old parsers know a crypto pair by this fee, so it is still written
SUBACCOUNT_TIER_SHARES: Final = {"1": 0.25, "2": 0.5, "3": 0.75, "4": 1.0}  # of the pair's largest leverage
ASSET_CLASSES: Final = ("crypto", "forex", "equities", "indices", "commodities", "all_markets")


class TradePair(msgspec.Struct, frozen=True, kw_only=True):
    """One of Vanta's pairs. ``fee`` is the fee as a fraction, ``wire_fee`` the one written on the wire.

    ``lot_size``: base units in a quantity of 1. ``is_blocked``: no new positions. ``has_prices`` False:
    no price at all is known any more, open positions were closed when the pair was retired.
    """

    trade_pair_id: str
    display: str
    category: Category
    subcategory: str | None
    fee: float
    wire_fee: float
    min_leverage: float
    max_leverage: float
    lot_size: float
    base: str
    quote: str
    is_blocked: bool = False
    has_prices: bool = True

    @property
    def is_tradeable(self) -> bool:
        """True when a new position may be opened."""
        return self.has_prices and not self.is_blocked

    def wire_tuple(self) -> TradePairTuple:
        """The five elements of ``trade_pair`` on the wire."""
        return (self.trade_pair_id, self.display, self.wire_fee, self.min_leverage, self.max_leverage)


class InstrumentLike(Protocol):
    """The part of a venue's instrument that a trade pair needs."""

    @property
    def name(self) -> str: ...
    @property
    def display(self) -> str | None: ...
    @property
    def vanta_pair(self) -> str | None: ...
    @property
    def fee(self) -> Decimal | float: ...
    @property
    def min_leverage(self) -> Decimal | float: ...
    @property
    def max_leverage(self) -> Decimal | float: ...


# "*" after an id: no new positions. "-": no prices either.
_CRYPTO_MAJORS: Final = "BTCUSD ETHUSD"
_CRYPTO_ALTS: Final = "SOLUSD XRPUSD DOGEUSD ADAUSD TAOUSD-"
_FOREX: Final = {
    "forex_group1": "AUDUSD EURUSD NZDUSD GBPUSD USDCAD USDCHF",
    "forex_group2": "AUDJPY* CADJPY* CHFJPY* EURJPY* NZDJPY* GBPJPY* USDJPY*",
    "forex_group3": "EURAUD EURCAD EURCHF EURGBP EURNZD",
    "forex_group4": "GBPAUD GBPCAD GBPCHF GBPNZD",
    "forex_group5": "AUDCAD AUDCHF AUDNZD CADCHF NZDCAD NZDCHF USDMXN*",
    None: "XAUUSD* XAGUSD*",
}
_EQUITIES: Final = "NVDA* AAPL* TSLA* AMZN* MSFT* GOOG* META*"
_INDICES: Final = "SPX*- DJI*- NDX*- VIX*- FTSE*- GDAXI*-"


def _rows() -> Iterable[TradePair]:
    yield from _group(_CRYPTO_MAJORS, "crypto", "crypto_majors", fee=0.001, low=0.01, high=0.5)
    yield from _group(_CRYPTO_ALTS, "crypto", "crypto_alts", fee=0.001, low=0.01, high=0.5)
    for subcategory, marked_ids in _FOREX.items():
        yield from _group(marked_ids, "forex", subcategory, fee=7e-05, low=0.1, high=5.0)
    yield from _group(_EQUITIES, "equities", None, fee=9e-05, low=0.1, high=3.0)
    yield from _group(_INDICES, "indices", None, fee=9e-05, low=0.1, high=5.0)


def _group(
    marked_ids: str, category: Category, subcategory: str | None, *, fee: float, low: float, high: float
) -> Iterable[TradePair]:
    for marked in marked_ids.split():
        pair = marked.rstrip("*-")
        has_quote = category in ("crypto", "forex")
        base, quote = (pair[:-3], pair[-3:]) if has_quote else (pair, "USD")
        yield TradePair(
            trade_pair_id=pair,
            display=f"{base}/{quote}" if has_quote else pair,
            category=category,
            subcategory=subcategory,
            fee=fee,
            wire_fee=LEGACY_CRYPTO_WIRE_FEE if category == "crypto" else fee,
            min_leverage=low,
            max_leverage=high,
            lot_size=FOREX_LOT if category == "forex" else 1.0,
            base=base,
            quote=quote,
            is_blocked="*" in marked,
            has_prices="-" not in marked,
        )


TRADE_PAIRS: Final[dict[str, TradePair]] = {row.trade_pair_id: row for row in _rows()}


def by_id(trade_pair_id: str) -> TradePair | None:
    """Vanta's row of that id, or None."""
    return TRADE_PAIRS.get(trade_pair_id)


def is_vanta(trade_pair_id: str) -> bool:
    """True when the id is one of Vanta's own pairs."""
    return trade_pair_id in TRADE_PAIRS


def venue_pair_id(venue: str, instrument: str) -> str:
    """The id of an instrument that only a venue has: ``O2:FUEL/USDC``."""
    return f"{venue.upper()}:{instrument}"


def for_instrument(venue: str, instrument: InstrumentLike) -> TradePairTuple:
    """The wire row of a venue's instrument: Vanta's own when it is the same instrument, else a new one."""
    own = by_id(instrument.vanta_pair) if instrument.vanta_pair else None
    if own is not None:
        return own.wire_tuple()
    return (
        venue_pair_id(venue, instrument.name),
        instrument.display or instrument.name,
        float(instrument.fee),
        float(instrument.min_leverage),
        float(instrument.max_leverage),
    )


def listing(asset_class: str | None, now_ms: int) -> dict[str, Any]:
    """Body of ``GET /trade-pairs``. Raises ValueError with a sentence for an unknown asset class."""
    chosen = _of_class(asset_class)
    allowed = [_listed(pair) for pair in chosen if pair.is_tradeable]
    disabled = [_listed(pair) for pair in chosen if not pair.is_tradeable]
    return {
        "allowed": allowed,
        "disabled": disabled,
        "total_allowed": len(allowed),
        "total_disabled": len(disabled),
        "timestamp": now_ms,
    }


def _of_class(asset_class: str | None) -> list[TradePair]:
    wanted = (asset_class or "all_markets").lower()
    if wanted not in ASSET_CLASSES:
        raise ValueError(f"Invalid asset class. Valid options are: {', '.join(ASSET_CLASSES)}")
    return [pair for pair in TRADE_PAIRS.values() if wanted in ("all_markets", pair.category)]


def _listed(pair: TradePair) -> dict[str, Any]:
    return {
        "trade_pair_id": pair.trade_pair_id,
        "hl_coin": None,
        "trade_pair": pair.display,
        "trade_pair_category": pair.category,
        "trade_pair_source": "vanta",
        "min_leverage": pair.min_leverage,
        "max_leverage": pair.max_leverage,
        "subaccount_positional_leverage_by_tier": {
            tier: pair.max_leverage * share for tier, share in SUBACCOUNT_TIER_SHARES.items()
        },
        "lot_size": pair.lot_size,
    }
