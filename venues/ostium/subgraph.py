"""Questions to the subgraph: one GraphQL document per method, answers as they came.

A GraphQL answer has status 200 even when it failed; what its errors mean is decided here.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from venues.errors import Broken, Retryable
from venues.http import Http
from venues.numbers import decode
from venues.ostium import queries, schemas

HEADERS: Final = {"Content-Type": "application/json"}
# the subgraph no longer knows what we ask for: asking again changes nothing
SCHEMA_ERRORS: Final = re.compile(
    r"no field|cannot query|unknown (argument|field|type)|no (argument|variable)|failed to (decode|parse)"
    r"|invalid (value|type|query)|syntax|expected|between \d+ and",
    re.IGNORECASE,
)
RATE_ERRORS: Final = re.compile(r"too many|rate.?limit|throttl", re.IGNORECASE)


class Subgraph:
    """One method per query. Integers in the answers are decimal strings; see ``schemas`` for the units.

    Every method raises Retryable (network, indexing trouble, rate limits), Rejected (HTTP 4xx) or Broken
    (the subgraph no longer understands the query, or the answer is not GraphQL).
    """

    def __init__(self, http: Http) -> None:
        self._http = http

    def account(self, trader: str, first: int) -> bytes:
        """Open trades, active and recently ended limits, pending orders and the ``first`` newest settled
        orders, all at one height."""
        return self.query(queries.ACCOUNT, {"trader": trader, "first": first, "skip": 0})

    def trades(self, trader: str, skip: int = 0) -> bytes:
        """``trades``: up to 1000 open trades, oldest first."""
        return self.query(queries.TRADES, {"trader": trader, "skip": skip})

    def limits(self, trader: str, skip: int = 0) -> bytes:
        """``orders``: up to 1000 active limits, oldest first."""
        return self.query(queries.LIMITS, {"trader": trader, "skip": skip})

    def pending_orders(self, trader: str, skip: int = 0) -> bytes:
        """Up to 1000 orders that wait for the oracle, oldest first."""
        return self.query(queries.PENDING, {"trader": trader, "skip": skip})

    def list_orders_history(
        self, trader: str, first: int, skip: int = 0, until_s: int | None = None
    ) -> bytes:
        """``ListOrdersHistory``: settled orders, newest first; ``until_s`` starts at a time (seconds)."""
        variables: dict[str, Any] = {"trader": trader, "first": first, "skip": skip}
        if until_s is None:
            return self.query(queries.HISTORY, variables)
        return self.query(queries.OLDER, {**variables, "until": str(until_s)})

    def orders_of_trades(self, trader: str, trade_ids: list[str], skip: int = 0) -> bytes:
        """Every order that belongs to these trades, oldest first."""
        return self.query(queries.orders_of_trades(trade_ids), {"trader": trader, "skip": skip})

    def get_pairs(self) -> bytes:
        """``getPairs``: all pairs with fees, leverage bounds, open interest and funding."""
        return self.query(queries.PAIRS, {})

    def get_pair_details(self, pair_id: str) -> bytes:
        """``getPairDetails``: one pair."""
        return self.query(queries.PAIR_DETAILS, {"pair_id": pair_id})

    def meta_datas(self) -> bytes:
        """``metaDatas``: the liquidation margin threshold (percent)."""
        return self.query(queries.META_DATAS, {})

    def get_order(self, order_id: str) -> bytes:
        """``GetOrder``: a list of one order, or of none."""
        return self.query(queries.ORDER_BY_ID, {"order_id": order_id})

    def get_trade(self, trade_id: str) -> bytes:
        """``GetTrade``: a list of one trade, open or closed, or of none."""
        return self.query(queries.TRADE_BY_ID, {"trade_id": trade_id})

    def orders_by_transaction(self, hashes: list[str]) -> bytes:
        """Orders that these transactions initiated (lower-case hashes)."""
        return self.query(queries.ORDERS_BY_TX, {"hashes": hashes})

    def query(self, document: str, variables: dict[str, Any]) -> bytes:
        """Any GraphQL document; returns the body as it came once it is known to hold data."""
        body = msgspec.json.encode({"query": document, "variables": variables})
        answer = self._http.post("", body, headers=HEADERS)
        found = decode("subgraph", answer.body, schemas.envelope)
        if found.errors:
            raise _failure(found.errors[0].message)
        if bytes(found.data) == b"null":
            raise Broken("subgraph.data", "an object", "nothing")
        return answer.body


def _failure(message: str) -> Exception:
    if RATE_ERRORS.search(message):
        return Retryable(f"subgraph: {message[:200]}", rate_limited=True)
    if SCHEMA_ERRORS.search(message):
        return Broken("subgraph.errors[0]", "an answer to our query", message[:200])
    return Retryable(f"subgraph: {message[:200]}")
