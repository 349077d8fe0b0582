"""Reads from the services beside the API: the calculation server and the subgraph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from venues.errors import Rejected
from venues.http import Http
from venues.ithaca.transport import ask

# The subgraph's own field names; ids are compared as they are, so the address must be lower-case.
HISTORY_QUERY: Final = """query ($account: ID!) { account(id: $account) {
 deposits { amount token blockTimestamp transactionHash }
 withdrawalRequests { id amount token withdrawalSlot blockTimestamp transactionHash
  deductions { amount blockTimestamp transactionHash } }
 releases { amount token blockTimestamp transactionHash
  withdrawalRequest { amount withdrawalSlot blockTimestamp transactionHash
   deductions { amount blockTimestamp transactionHash } } }
} }"""


class CalcReads:
    """Valuations by the calculation server (``currency`` is ETH or BTC) and deposits from the subgraph.

    All raise Retryable, Rejected or Broken; Rejected also when the service is not configured.
    """

    _calc: Http | None
    _subgraph: Http | None

    def price_list(self, positions: Sequence[Mapping[str, Any]], currency: str = "ETH") -> bytes:
        """Value per unit; rows have ``contractId payoff expiry(YYYY-MM-DD) strike position``."""
        return self._calculate("POST", "/price_list", currency, list(positions))

    def calc_mtm(self, positions: Sequence[Mapping[str, Any]], currency: str = "ETH") -> bytes:
        """Value of the positions."""
        return self._calculate("POST", "/calc_mtm", currency, list(positions))

    def position_risk(
        self, positions: Sequence[Mapping[str, Any]], currency: str = "ETH", ref_date: str | None = None
    ) -> bytes:
        """Value and greeks per unit."""
        extra = {} if ref_date is None else {"ref_date": ref_date}
        return self._calculate("POST", "/position_risk", currency, list(positions), extra)

    def risk_spot_ladder(
        self,
        positions: Sequence[Mapping[str, Any]],
        spot_range: Sequence[float] = (-0.05, 0, 0.05),
        currency: str = "ETH",
    ) -> bytes:
        """Value of the positions when the spot price moves by each fraction."""
        body = {"positions": list(positions), "spot_range": list(spot_range)}
        return self._calculate("POST", "/risk_spot_ladder", currency, body)

    def market_snapshot(self, currency: str = "ETH") -> bytes:
        """Spot, forwards, volatilities."""
        return self._calculate("GET", "/market_snapshot", currency)

    def price(self, payoff: str, date: str, strike: float, currency: str = "ETH") -> bytes:
        """Value of one unit of one contract, a bare number."""
        extra = {"payoff": payoff, "date": date, "strike": strike}
        return self._calculate("GET", "/price", currency, None, extra)

    def vol_surface_date(self, currency: str = "ETH") -> bytes:
        """When the volatility surface was made (its pickled form is never read)."""
        return self._calculate("GET", "/vol_surface/date", currency)

    def trade_pricer(self, orders: Sequence[Mapping[str, Any]]) -> bytes:
        """Value of whole orders."""
        return self._calculate("POST", "/trade_pricer", None, list(orders))

    def fundlock_history(self, address: str) -> bytes:
        """Deposits, withdrawal requests and releases of an address, amounts in token base units."""
        if self._subgraph is None:
            raise Rejected("no subgraph URL is configured")
        body = {"query": HISTORY_QUERY, "variables": {"account": address.lower()}}
        return ask(self._subgraph, "POST", "", body=body).body

    def _calculate(
        self,
        method: str,
        path: str,
        currency: str | None,
        body: Any = None,
        extra: Mapping[str, Any] | None = None,
    ) -> bytes:
        if self._calc is None:
            raise Rejected("no calc URL is configured")
        params = {**({} if currency is None else {"currency": currency}), **(extra or {})}
        return ask(self._calc, method, path, body=body, params=params).body
