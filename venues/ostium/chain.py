"""Questions to an Arbitrum node: wallet, allowance, contract views and the chain's height."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from venues.errors import Rejected, Retryable, VenueError
from venues.http import Http
from venues.numbers import decode
from venues.ostium import abi, schemas

HEADERS: Final = {"Content-Type": "application/json"}
# Arbitrum One
MAINNET: Final = {
    "usdc": "0xaf88d065e77c8cC2239327C5EDb3A432268e5831",
    "trading": "0x6D0bA1f9996DBD8885827e1b2e8f6593e7702411",
    "trading_storage": "0xcCd5891083A8acD2074690F65d3024E7D13d66E7",
}
RATE_LIMITED: Final = frozenset({429, -32005, -32029})
OUR_FAULT: Final = frozenset({-32600, -32601, -32602, 3})


class Chain:
    """One method per call; each returns the JSON-RPC answer as it came, its ``result`` a hex string.

    Every method raises Retryable (network, node trouble, rate limits) or Rejected (refused, reverted).
    """

    def __init__(self, http: Http, contracts: Mapping[str, str]) -> None:
        self._http, self._contracts = http, contracts

    def block_number(self) -> bytes:
        """``eth_blockNumber``: the chain's height."""
        return self.request("eth_blockNumber", [])

    def balance_of(self, trader: str) -> bytes:
        """USDC ``balanceOf``: the wallet's USDC × 1e6."""
        return self.view("usdc", abi.BALANCE_OF, trader)

    def allowance(self, trader: str) -> bytes:
        """USDC ``allowance`` of the trading storage, × 1e6."""
        return self.view("usdc", abi.ALLOWANCE, trader, self._contracts["trading_storage"])

    def registry(self) -> bytes:
        """``registry``: the address of the registry of contracts."""
        return self.view("trading", abi.REGISTRY)

    def contract_address(self, registry: str, name: str) -> bytes:
        """``getContractAddress``: where ``callbacks``, ``pairInfos``, ... live."""
        return self._eth_call(registry, abi.encode_call(abi.CONTRACT_ADDRESS, name.encode("ascii")))

    def open_trade(self, trader: str, pair_id: int, index: int) -> bytes:
        """``getOpenTrade``: the Trade struct in a slot (all zero: none)."""
        return self.view("trading_storage", abi.OPEN_TRADE, trader, pair_id, index)

    def open_trade_info(self, trader: str, pair_id: int, index: int) -> bytes:
        """``getOpenTradeInfo``: trade id, open interest, initial leverage and heights of a slot."""
        return self.view("trading_storage", abi.OPEN_TRADE_INFO, trader, pair_id, index)

    def open_limit_order(self, trader: str, pair_id: int, index: int) -> bytes:
        """``getOpenLimitOrder``: the limit in a slot (all zero: none)."""
        return self.view("trading_storage", abi.OPEN_LIMIT_ORDER, trader, pair_id, index)

    def pending_order_ids(self, trader: str) -> bytes:
        """``getPendingOrderIds``: market orders that wait for the oracle."""
        return self.view("trading_storage", abi.PENDING_ORDER_IDS, trader)

    def open_interest(self, pair_id: int, side: int) -> bytes:
        """``openInterest``: 0 long, 1 short, 2 the cap."""
        return self.view("trading_storage", abi.OPEN_INTEREST, pair_id, side)

    def view(self, contract: str, signature: str, *arguments: abi.Value) -> bytes:
        """``eth_call`` of a view function of one of the known contracts."""
        return self._eth_call(self._contracts[contract], abi.encode_call(signature, *arguments))

    def request(self, method: str, params: list[Any]) -> bytes:
        """Any JSON-RPC request whose result is a hex string."""
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        answer = self._http.post("", body, headers=HEADERS)
        error = decode("rpc", answer.body, schemas.rpc_reply).error
        if error is not None:
            raise _failure(method, error)
        return answer.body

    def _eth_call(self, to: str, data: str) -> bytes:
        return self.request("eth_call", [{"to": to, "data": data}, "latest"])


def _failure(method: str, error: schemas.RpcError) -> VenueError:
    text = f"{method}: {error.message[:200]} ({error.code})"
    if error.code in OUR_FAULT:
        return Rejected(text, code=str(error.code))
    return Retryable(text, rate_limited=error.code in RATE_LIMITED)
