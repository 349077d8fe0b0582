"""The venue's reads of one account. Every method logs in when needed and returns the body as it came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.settings import AccountSettings
from venues.http import Http
from venues.ithaca.session import Logins
from venues.ithaca.transport import NotLoggedIn, ask


class AccountReads:
    """Orders, positions, money and what-ifs. All raise Retryable, Rejected or Broken.

    Quantities are in the contract's currency, prices and premiums in USDC, times in epoch ms.
    """

    _rest: Http
    _logins: Logins

    def get_session_info(self, account: AccountSettings) -> bytes:
        """The session: token, client id, address acted for."""
        return self._private(account, "/auth/getSessionInfo", method="GET")

    def logout(self, account: AccountSettings) -> bytes:
        """End the account's session at the venue."""
        body = self._private(account, "/auth/logout")
        self._logins.forget(account)
        return body

    def linked_wallets_list(self, account: AccountSettings) -> bytes:
        """Addresses that may act for this account."""
        return self._private(account, "/linked_wallets/list", method="GET")

    def linked_wallets_switch_list(self, account: AccountSettings) -> bytes:
        """Wallets that this account may act for."""
        return self._private(account, "/linked_wallets/switch_list", method="GET")

    def get_rsa_key(self, account: AccountSettings) -> bytes:
        """The linked RSA key (base64 DER), null when there is none."""
        return self._private(account, "/keys/getRsaKey", method="GET")

    def loyalty_points(self, account: AccountSettings, from_ms: int, to_ms: int) -> bytes:
        """Loyalty points of a period; the venue documents no shape."""
        return self._client(account, "loyaltyPoints", {"from": from_ms, "to": to_ms})

    def orderbook(self, account: AccountSettings) -> bytes:
        """Open orders of all clients; only for accounts flagged as market makers (412 otherwise)."""
        return self._client(account, "orderbook")

    def matched_orders(self, account: AccountSettings) -> bytes:
        """Orders that were matched."""
        return self._client(account, "matchedOrders")

    def client_open_orders(self, account: AccountSettings) -> bytes:
        """Orders that are open or partially filled."""
        return self._client(account, "clientOpenOrders")

    def client_open_orders_with_lock_info(self, account: AccountSettings, currency_pair: str) -> bytes:
        """Open orders of a pair, what they lock, and what would be locked after execution."""
        return self._client(account, "clientOpenOrdersWithLockInfo", params={"currencyPair": currency_pair})

    def order_status(self, account: AccountSettings, client_order_id: int) -> bytes:
        """One order, finished ones too. Rejected (404 or 412) when it is unknown."""
        return self._client(account, "orderStatus", {"clientOrderId": client_order_id})

    def client_current_positions(self, account: AccountSettings, show: str | None = None) -> bytes:
        """Net positions by contract; ``show`` is None, ``NO_DETAILS`` or ``SHOW_ORDERS``."""
        return self._client(account, "clientCurrentPositions", {"filter": show})

    def client_current_positions_for_contract(
        self, account: AccountSettings, contract_id: int, show: str | None = None
    ) -> bytes:
        """The net position in one contract."""
        body = {"contractId": contract_id, "filter": show}
        return self._client(account, "clientCurrentPositionsForContract", body)

    def client_fund_lock_state(self, account: AccountSettings) -> bytes:
        """By currency: deposited, reserved by orders, awaiting settlement (signed)."""
        return self._client(account, "clientFundLockState")

    def get_locked_collateral(self, account: AccountSettings) -> bytes:
        """Locked collateral and fees paid, by expiry (epoch ms as text)."""
        return self._client(account, "getLockedCollateral")

    def client_historical_positions(
        self, account: AccountSettings, expiry: int, show: str | None = "NO_DETAILS"
    ) -> bytes:
        """What was held at one expiry, and the price it settled at."""
        return self._client(account, "clientHistoricalPositions", {"expiry": expiry, "filter": show})

    def client_historical_positions_by_date_period(
        self, account: AccountSettings, from_ms: int | None, to_ms: int | None
    ) -> bytes:
        """What was held at the expiries of a period: None means the last 30 days, more than 90 are cut."""
        body = {"from": from_ms, "to": to_ms}
        return self._client(account, "clientHistoricalPositionsByDatePeriod", body)

    def trade_history(
        self,
        account: AccountSettings,
        *,
        from_ms: int | None = None,
        to_ms: int | None = None,
        offset: int | None = None,
        limit: int | None = None,
        status: str | None = None,
    ) -> bytes:
        """Past orders, at most 1000 at once."""
        every = {"from": from_ms, "to": to_ms, "offset": offset, "limit": limit, "status": status}
        given = {name: value for name, value in every.items() if value is not None}
        return self._client(account, "tradeHistory", given or None)

    def net_asset_value(self, account: AccountSettings) -> bytes:
        """The account's value; the venue documents no shape."""
        return self._client(account, "netAssetValue")

    def calc_portfolio_collateral(self, account: AccountSettings, currency_pair: str) -> bytes:
        """Collateral of a pair: actual, and with every open order executed."""
        return self._client(account, "calcPortfolioCollateral", params={"currencyPair": currency_pair})

    def estimate_order_lock(self, account: AccountSettings, order: Mapping[str, Any]) -> bytes:
        """What an unsigned order would lock by itself."""
        return self._client(account, "estimateOrderLock", dict(order))

    def estimate_positioned_order_lock(self, account: AccountSettings, order: Mapping[str, Any]) -> bytes:
        """What an unsigned order would lock beyond what is locked already."""
        return self._client(account, "estimatePositionedOrderLock", dict(order))

    def estimate_positioned_orders_lock(
        self, account: AccountSettings, orders: Sequence[Mapping[str, Any]]
    ) -> bytes:
        """What several unsigned orders would lock together."""
        return self._client(account, "estimatePositionedOrdersLock", [dict(order) for order in orders])

    def estimate_order_payoff(self, account: AccountSettings, order: Mapping[str, Any]) -> bytes:
        """Profit of an unsigned order by settlement price."""
        return self._client(account, "estimateOrderPayoff", dict(order))

    def estimate_order_fees(self, account: AccountSettings, order: Mapping[str, Any]) -> bytes:
        """Fees of an unsigned order."""
        return self._client(account, "estimateOrderFees", dict(order))

    def estimate_order_fees_extended(self, account: AccountSettings, order: Mapping[str, Any]) -> bytes:
        """Fees of an unsigned order in detail; the venue documents no shape."""
        return self._client(account, "estimateOrderFeesExtended", dict(order))

    def _client(
        self, account: AccountSettings, name: str, body: Any = None, params: Mapping[str, Any] | None = None
    ) -> bytes:
        return self._private(account, f"/clientapi/{name}", body, params)

    def _private(
        self,
        account: AccountSettings,
        path: str,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        method: str = "POST",
    ) -> bytes:
        """Ask with the account's session; once more with a new one when the venue no longer knows it."""
        login = self._logins.of(account)
        try:
            return ask(self._rest, method, path, body=body, params=params, cookie=login.cookie).body
        except NotLoggedIn:
            login = self._logins.of(account, refused=login)
        return ask(self._rest, method, path, body=body, params=params, cookie=login.cookie).body
