"""Prices as the two price services show them: ticks and candles."""

from __future__ import annotations

from typing import Any, Final

from venues.ostium.exchange.market import PAIRS, Market, Pair, day_trading, last_open_ms
from venues.ostium.symbols import DISPLAY_NAMES, original

Tick = dict[str, Any]

MINUTE_MS: Final = 60_000
RESOLUTIONS: Final = {"1": 1, "5": 5, "15": 15, "60": 60, "240": 240, "1D": 1440}  # minutes
MOST_CANDLES: Final = 1000
SAMPLES: Final = 6  # prices looked at inside a candle


def ticks(market: Market, at_ms: int) -> list[Tick]:
    """One tick per pair, under the assets' original names."""
    return [tick(market, pair, at_ms) for pair in PAIRS.values()]


def tick(market: Market, pair: Pair, at_ms: int) -> Tick:
    """What the oracle says about a pair."""
    quote = market.quote(pair, at_ms // 1000 * 1000)
    is_closed, seconds = day_trading(pair, at_ms)
    return {
        "feed_id": pair.feed,
        "bid": float(quote.bid),
        "mid": float(quote.mid),
        "ask": float(quote.ask),
        "isMarketOpen": quote.is_open,
        "isDayTradingClosed": is_closed,
        "secondsToToggleIsDayTradingClosed": seconds,
        "from": pair.base,
        "to": pair.quote,
        "timestampSeconds": quote.time_ms // 1000,
    }


def displayed(found: Tick) -> Tick:
    """The tick as the newer service shows it: with a ``pair`` and display names."""
    base = DISPLAY_NAMES.get(found["from"], found["from"])
    return {**found, "from": base, "pair": f"{base}-{found['to']}"}


def find_pair(name: str) -> Pair | None:
    """The pair called ``CL-USD`` or ``WTI-USD``."""
    base, _, quote = name.partition("-")
    wanted = (original(base), quote)
    return next((pair for pair in PAIRS.values() if (pair.base, pair.quote) == wanted), None)


def candles(market: Market, pair: Pair, from_s: int, to_s: int, resolution: str) -> list[dict[str, Any]]:
    """Candles from ``from_s`` to ``to_s`` (seconds), at most a thousand; ``time`` is in ms."""
    step = RESOLUTIONS[resolution] * MINUTE_MS
    start = from_s * 1000 // step * step
    times = range(start, min(to_s * 1000 + 1, start + MOST_CANDLES * step), step)
    return [_candle(market, pair, at_ms, step) for at_ms in times if last_open_ms(pair, at_ms) == at_ms]


def _candle(market: Market, pair: Pair, at_ms: int, step: int) -> dict[str, Any]:
    prices = [float(market.quote(pair, at_ms + step * n // SAMPLES).mid) for n in range(SAMPLES + 1)]
    return {
        "from": pair.base,
        "to": pair.quote,
        "time": at_ms,
        "open": prices[0],
        "high": max(prices),
        "low": min(prices),
        "close": prices[-1],
    }
