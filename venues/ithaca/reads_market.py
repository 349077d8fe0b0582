"""The venue's reads that need no session. Every method returns the answer's body as it came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from venues.http import Http
from venues.ithaca.transport import ask


class MarketReads:
    """Contracts, prices and the system. All raise Retryable, Rejected or Broken."""

    _rest: Http

    def system_info(self) -> bytes:
        """Chain, addresses, token decimals, and the decimals kept per currency."""
        return self._market("systemInfo")

    def next_auction(self) -> bytes:
        """When the next auction takes place (a number; other times of the venue are epoch ms)."""
        return self._market("nextAuction")

    def contract_list(self) -> bytes:
        """Every contract that is listed now."""
        return self._market("contractList")

    def contract_list_by_ids(self, ids: Sequence[int]) -> bytes:
        """The contracts with these ids, as far as the venue still knows them."""
        return self._market("contractListByIds", {"ids": list(ids)})

    def historical_contracts(self, expiry: int) -> bytes:
        """The contracts of a past expiry (``YYMMDD080``)."""
        return self._market("historicalContracts", {"expiry": expiry})

    def reference_prices(self, currency_pair: str, expiry: int | None = None) -> bytes:
        """The venue's own valuation per unit (USDC) of a pair's contracts, of one expiry or of all."""
        body: dict[str, Any] = {"currencyPair": currency_pair}
        if expiry is not None:
            body["expiry"] = expiry
        return self._market("referencePrices", body)

    def spot_prices(self) -> bytes:
        """The underlyings' prices in USDC, by pair."""
        return self._market("spotPrices")

    def best_bid_ask(self) -> bytes:
        """Best prices per unit by contract id, estimated where there are no orders."""
        return self._market("bestBidAsk")

    def best_bid_ask_precise(self) -> bytes:
        """Best prices per unit and volumes by contract id, from real orders only."""
        return self._market("bestBidAskPrecise")

    def _market(self, name: str, body: Any = None) -> bytes:
        return ask(self._rest, "POST", f"/clientapi/{name}", body=body).body


class AnalyticsReads:
    """Public statistics of one pair; an empty body means that there is nothing to tell.

    Dates are ``YYYY-MM-DD``; amounts are in coins (``und``) and USDC (``num``).
    """

    _rest: Http

    def total_trading_volume(self, underlier: str, numeraire: str = "USDC") -> bytes:
        """Everything traded so far."""
        return self._statistic(underlier, numeraire, "totalTradingVolume")

    def total_contracts_traded(self, underlier: str, numeraire: str = "USDC") -> bytes:
        """How many contracts were traded so far."""
        return self._statistic(underlier, numeraire, "totalContractsTraded")

    def total_open_interest(self, underlier: str, numeraire: str = "USDC") -> bytes:
        """Everything held now."""
        return self._statistic(underlier, numeraire, "totalOpenInterest")

    def total_value_locked(self, underlier: str, numeraire: str = "USDC") -> bytes:
        """USDC worth of all deposits."""
        return self._statistic(underlier, numeraire, "totalValueLocked")

    def trades(self, underlier: str, since: str, to: str, numeraire: str = "USDC") -> bytes:
        """Trades by day."""
        return self._statistic(underlier, numeraire, "trades", _dates(since, to))

    def trades_detail(self, underlier: str, since: str, to: str, numeraire: str = "USDC") -> bytes:
        """Trades by day and product."""
        return self._statistic(underlier, numeraire, "trades/detail", _dates(since, to))

    def open_interest_by_product(self, underlier: str, since: str, to: str, numeraire: str = "USDC") -> bytes:
        """Open interest by product (``Binary Call`` is spelt with a space)."""
        return self._statistic(underlier, numeraire, "openInterestByProduct", _dates(since, to))

    def open_interest_by_strike(
        self,
        underlier: str,
        since: str,
        to: str,
        *,
        strike_from: float = 0,
        strike_to: float = 1e12,
        numeraire: str = "USDC",
    ) -> bytes:
        """Open interest by strike and product."""
        body = {**_dates(since, to), "strikeRange": {"from": strike_from, "to": strike_to}}
        return self._statistic(underlier, numeraire, "openInterestByStrike", body)

    def daily_volume(self, underlier: str, since: str, to: str, numeraire: str = "USDC") -> bytes:
        """What was traded by day."""
        return self._statistic(underlier, numeraire, "dailyVolume", _dates(since, to))

    def daily_volume_detail(self, underlier: str, since: str, to: str, numeraire: str = "USDC") -> bytes:
        """What was traded by day and product."""
        return self._statistic(underlier, numeraire, "dailyVolume/detail", _dates(since, to))

    def _statistic(self, underlier: str, numeraire: str, name: str, body: Any = None) -> bytes:
        method = "GET" if body is None else "POST"
        return ask(self._rest, method, f"/analytics/{underlier}/{numeraire}/{name}", body=body).body


def _dates(since: str, to: str) -> dict[str, Any]:
    return {"dateRange": {"from": since, "to": to}}
