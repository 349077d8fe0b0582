"""Names: the price feed's aliases, Vanta's ids, and the venue's words for actions and cancel reasons."""

from __future__ import annotations

from typing import Final, Literal

from validator.trade_pairs import by_id

Action = Literal[
    "open", "close", "takeprofit", "stoploss", "liquidation", "removecollateral", "closedaytrade"
]
ACTIONS: Final[dict[str, Action]] = {
    "open": "open",
    "close": "close",
    "takeprofit": "takeprofit",
    "stoploss": "stoploss",
    "liquidation": "liquidation",
    "removecollateral": "removecollateral",
    "closedaytrade": "closedaytrade",
}
CLOSING: Final[frozenset[Action]] = frozenset(
    {"close", "takeprofit", "stoploss", "liquidation", "closedaytrade"}
)

# The newer price service shows a display name where the subgraph keeps the asset's original one.
DISPLAY_NAMES: Final = {
    "CL": "WTI",
    "HG": "XCU",
    "SPX": "US500",
    "NDX": "US100",
    "DJI": "US30",
    "DAX": "GER40",
    "FTSE": "UK100",
    "HSI": "HK50",
    "NIK": "JP225",
}
ORIGINAL_NAMES: Final = {shown: original for original, shown in DISPLAY_NAMES.items()}

CANCEL_REASONS: Final = (
    "NONE",
    "PAUSED",
    "MARKET_CLOSED",
    "SLIPPAGE",
    "TP_REACHED",
    "SL_REACHED",
    "EXPOSURE_LIMITS",
    "PRICE_IMPACT",
    "MAX_LEVERAGE",
    "NO_TRADE",
    "UNDER_LIQUIDATION",
    "NOT_HIT",
    "GAIN_LOSS",
    "DAY_TRADE_NOT_ALLOWED",
    "CLOSE_DAY_TRADE_NOT_ALLOWED",
    "WRONG_TRADE",
)


def instrument(base: str, quote: str) -> str:
    """The instrument's name here and at the venue: ``BTC-USD``."""
    return f"{base}-{quote}"


def original(base: str) -> str:
    """The subgraph's name of an asset that the price feed may call by its display name."""
    return ORIGINAL_NAMES.get(base, base)


def vanta_pair(base: str, quote: str) -> str | None:
    """Vanta's id of the same instrument: BTC-USD is BTCUSD, NVDA-USD is NVDA; None when it has none."""
    if by_id(base + quote) is not None:
        return base + quote
    own = by_id(base) if quote == "USD" else None
    return base if own is not None and own.category in ("equities", "indices") else None


def action_of(word: str) -> Action | None:
    """The action behind ``TakeProfit`` or ``TAKE_PROFIT``; None for a word the venue never documented."""
    return ACTIONS.get(word.replace("_", "").replace(" ", "").lower())


def cancel_reason(value: int | str | None) -> str | None:
    """``SLIPPAGE`` for 3, "3", "Slippage" or "SLIPPAGE"; other text is passed on as it came."""
    if value is None or value == "":
        return None
    text = str(value)
    if text.isascii() and text.isdigit() and len(text) < 4:
        number = int(text)
        return CANCEL_REASONS[number] if number < len(CANCEL_REASONS) else f"REASON_{number}"
    return text.upper()
