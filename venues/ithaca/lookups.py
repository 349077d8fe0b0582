"""What all accounts of a client look up together: contracts, and prices that are the same for everybody."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final, Protocol

import msgspec

from runtime.clock import Clock
from runtime.settings import AccountSettings
from venues.errors import Rejected, Retryable
from venues.ithaca import contracts, marks, parts, schemas
from venues.ithaca.memory import Briefly, Catalog
from venues.ithaca.schemas import Contract
from venues.numbers import decode

LISTING_TTL_S: Final = 60.0
COINS: Final = {"WETH/USDC": "ETH", "WBTC/USDC": "BTC", "WSOL/USDC": "SOL"}  # as the price list names them

_list: Final = msgspec.json.Decoder(list[msgspec.Raw])


class Reads(Protocol):
    """The client's reads that a fetch is made of; see ``reads_market`` and ``reads_account``."""

    has_calc: bool

    def system_info(self) -> bytes: ...
    def contract_list(self) -> bytes: ...
    def contract_list_by_ids(self, ids: list[int], /) -> bytes: ...
    def historical_contracts(self, expiry: int, /) -> bytes: ...
    def reference_prices(self, currency_pair: str, /) -> bytes: ...
    def spot_prices(self) -> bytes: ...
    def best_bid_ask_precise(self) -> bytes: ...
    def price_list(self, positions: list[dict[str, object]], currency: str, /) -> bytes: ...
    def client_current_positions(self, account: AccountSettings, show: str | None, /) -> bytes: ...
    def client_open_orders(self, account: AccountSettings, /) -> bytes: ...
    def client_fund_lock_state(self, account: AccountSettings, /) -> bytes: ...
    def order_status(self, account: AccountSettings, client_order_id: int, /) -> bytes: ...
    def client_historical_positions_by_date_period(
        self, account: AccountSettings, from_ms: int | None, to_ms: int | None, /
    ) -> bytes: ...
    def trade_history(
        self,
        account: AccountSettings,
        *,
        from_ms: int | None = None,
        offset: int | None = None,
        limit: int | None = None,
    ) -> bytes: ...


class Shared(msgspec.Struct):
    """What all fetches of one client have in common. ``market_ttl_s``: how old prices may be."""

    reads: Reads
    clock: Clock
    catalog: Catalog
    briefly: Briefly
    market_ttl_s: float


class Lookups:
    """Fills in what an account's answers only refer to."""

    def __init__(self, shared: Shared) -> None:
        self._shared, self._reads = shared, shared.reads

    def contracts(self, wanted: Collection[int], past: Mapping[int, str]) -> bytes:
        """An enveloped list of these contracts and the ``past`` ones (id → expiry), as far as they exist."""
        catalog, every = self._shared.catalog, {*wanted, *past}
        if catalog.missing(every):
            listing = self._shared.briefly.get("listing", LISTING_TTL_S, self._reads.contract_list)
            catalog.learn("contractList", listing)
        if missing := catalog.missing(every):
            catalog.learn("contractListByIds", self._reads.contract_list_by_ids(missing))
        expiries = {past[one] for one in catalog.missing(every) if one in past}
        for expiry in sorted(expiry for expiry in expiries if expiry.isdigit()):
            catalog.learn("historicalContracts", self._reads.historical_contracts(int(expiry)))
        return catalog.body(every)

    def prices(self, valued: Collection[int]) -> dict[str, bytes]:
        """Spot prices, and whatever is needed to value these contracts, by part name."""
        briefly, ttl_s = self._shared.briefly, self._shared.market_ttl_s
        bodies = {parts.SPOT_PRICES: briefly.get("spot", ttl_s, self._reads.spot_prices)}
        described = self._described(valued)
        if not described:
            return bodies
        bodies[parts.BEST_PRICES] = briefly.get("best", ttl_s, self._reads.best_bid_ask_precise)
        for pair in sorted({contract.economics.currency_pair for contract in described}):
            bodies[f"{parts.REFERENCE_PRICES}{pair}"] = self._reference(pair)
        unpriced = marks.unpriced(described, marks.read_prices(bodies))
        if (listed := self._price_list(unpriced)) is not None:
            bodies[parts.PRICE_LIST] = listed
        return bodies

    def _reference(self, pair: str) -> bytes:
        def ask() -> bytes:
            return self._reads.reference_prices(pair)

        return self._shared.briefly.get(f"reference {pair}", self._shared.market_ttl_s, ask)

    def _described(self, ids: Collection[int]) -> tuple[Contract, ...]:
        body = self._shared.catalog.body(ids)
        found: tuple[Contract, ...] = parts.payload_of(
            {parts.CONTRACTS: body}, parts.CONTRACTS, schemas.CONTRACTS
        )
        return found

    def _price_list(self, unpriced: Iterable[Contract]) -> bytes | None:
        """Ask the calculation server for what nobody else values; without it there is no mark."""
        rows: dict[str, list[dict[str, object]]] = {}
        for contract in unpriced:
            currency = COINS.get(contract.economics.currency_pair)
            if currency is not None and contract.payoff in contracts.LETTERS:
                rows.setdefault(currency, []).append(_list_row(contract))
        if not rows or not self._reads.has_calc:
            return None
        found: list[bytes] = []
        for currency, positions in sorted(rows.items()):
            try:
                body = self._reads.price_list(positions, currency)
            except (Retryable, Rejected):
                continue
            found += (bytes(row) for row in decode(parts.PRICE_LIST, body, _list))
        return b"[" + b",".join(found) + b"]"


def _list_row(contract: Contract) -> dict[str, object]:
    return {
        "contractId": contract.contract_id,
        "payoff": contract.payoff,
        "expiry": contracts.expiry_day(contract),
        "strike": float(contracts.strike_of(contract)),
        "position": 1,
    }
