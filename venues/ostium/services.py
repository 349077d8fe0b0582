"""The price services and the Builder Service's reads; answers as they came."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from venues.errors import Retryable
from venues.http import Http

HEADERS: Final = {"Content-Type": "application/json"}


class Prices:
    """Current prices of all pairs, from whichever of the two services answers."""

    def __init__(self, metadata: Http | None, market: Http | None) -> None:
        self._metadata, self._market = metadata, market

    def current(self) -> bytes:
        """The first configured service's answer, the second's when the first cannot be reached."""
        if self._metadata is None:
            return self.prices()
        try:
            return self.latest_prices()
        except Retryable:
            if self._market is None:
                raise
            return self.prices()

    def latest_prices(self) -> bytes:
        """``GET /PricePublish/latest-prices``: a list of ticks under the assets' original names."""
        return _configured(self._metadata, "prices").get("/PricePublish/latest-prices").body

    def prices(self) -> bytes:
        """``GET /v1/prices``: ``{prices, stale, generatedAt}``, ticks with display names."""
        return _configured(self._market, "market").get("/prices").body

    def ohlc(self, pair: str, from_s: int, to_s: int, resolution: str) -> bytes:
        """``POST /v1/ohlc``: candles (times in ms); resolution 1, 5, 15, 60, 240 (minutes) or 1D. Page by
        asking again from the last time."""
        wanted: dict[str, Any] = {
            "pair": pair,
            "fromTimestampSeconds": from_s,
            "toTimestampSeconds": to_s,
            "resolution": resolution,
        }
        http = _configured(self._market, "market")
        return http.post("/ohlc", msgspec.json.encode(wanted), headers=HEADERS).body


class Builder:
    """The Builder Service's reads (100 requests a minute and address). Errors: Rejected carries the
    service's own text, 429 and 5xx are Retryable."""

    def __init__(self, http: Http | None) -> None:
        self._http = http

    def balance_usdc(self, trader: str) -> bytes:
        """``GET /balance/usdc``: ``{address, symbol, decimals, balance, balanceFormatted}``."""
        http = _configured(self._http, "builder")
        return http.get("/balance/usdc", headers={"X-Trader-Address": trader}).body

    def health(self) -> bytes:
        """``GET /health``."""
        return _configured(self._http, "builder").get("/health").body

    def exchange_health(self) -> bytes:
        """``GET /exchange/health``: ``{status, endpoint, version, timestamp}``."""
        return _configured(self._http, "builder").get("/exchange/health").body


def _configured(http: Http | None, role: str) -> Http:
    if http is None:
        raise Retryable(f"no {role} URL configured")
    return http
