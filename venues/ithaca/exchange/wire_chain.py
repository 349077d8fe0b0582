"""What lies on chain, as far as reading needs it: the subgraph's history and a node's answers to calls."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

from eth_utils.crypto import keccak

from venues.ithaca.exchange.ledger import Account
from venues.ithaca.exchange.views_market import CHAIN_ID, TOKEN_DECIMALS, TOKENS
from venues.ithaca.exchange.wire import Call, Route
from venues.numbers import unscaled

RELEASE_LOCK_S: Final = 3600
TRADE_LOCK_S: Final = 600
GAS_PRICE: Final = 100_000_000
WALLET_UNITS: Final = 1_000  # whole tokens lying in every wallet


def subgraph(call: Call) -> Any:
    """Deposits of an account. Ids are compared as they are: a checksummed address finds nothing."""
    variables = call.body.get("variables") if isinstance(call.body, dict) else None
    wanted = variables.get("account") if isinstance(variables, dict) else None
    account = call.world.by_address.get(wanted) if isinstance(wanted, str) else None
    return {"data": {"account": None if account is None else _history(account)}}


def rpc(call: Call) -> Any:
    """One JSON-RPC request, or a batch of them."""
    if isinstance(call.body, list):
        return [_answer(call, one) for one in call.body]
    return _answer(call, call.body)


def _history(account: Account) -> dict[str, Any]:
    return {
        "deposits": [
            {
                "amount": str(unscaled(amount, TOKEN_DECIMALS[currency])),
                "token": TOKENS[currency],
                "blockTimestamp": str(at_ms // 1000),
                "transactionHash": _hash(account.address, at_ms, currency),
            }
            for at_ms, currency, amount in account.deposits
        ],
        "withdrawalRequests": [],
        "releases": [],
    }


def _hash(*parts: object) -> str:
    return "0x" + hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=32).hexdigest()


def _answer(call: Call, request: Any) -> dict[str, Any]:
    if not isinstance(request, dict):
        return {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "invalid request"}}
    head = {"jsonrpc": "2.0", "id": request.get("id")}
    method, params = request.get("method"), request.get("params") or []
    if method == "eth_call" and params and isinstance(params[0], dict):
        result = _contract_call(call, params[0])
        if result is not None:
            return {**head, "result": result}
        return {**head, "error": {"code": 3, "message": "execution reverted"}}
    simple = {
        "eth_chainId": hex(CHAIN_ID),
        "net_version": str(CHAIN_ID),
        "eth_blockNumber": hex(call.now_ms // 1000),
        "eth_gasPrice": hex(GAS_PRICE),
        "eth_getTransactionCount": "0x0",
        "web3_clientVersion": "sandbox",
    }
    if method in simple:
        return {**head, "result": simple[method]}
    return {**head, "error": {"code": -32601, "message": "method not found"}}


def _contract_call(call: Call, transaction: dict[str, Any]) -> str | None:
    data = str(transaction.get("data") or transaction.get("input") or "").removeprefix("0x").lower()
    read = READS.get(data[:8])
    if read is None:
        return None
    words = [data[8 + 64 * index : 72 + 64 * index] for index in range((len(data) - 8) // 64)]
    values = read(call, str(transaction.get("to", "")).lower(), words)
    return "0x" + "".join(f"{value:064x}" for value in values)


def _balance_sheet(call: Call, to: str, words: list[str]) -> list[int]:
    client, token = ("0x" + word[24:] for word in words[:2])
    account = call.world.by_address.get(client)
    currency = _currency(token)
    if account is None or currency is None:
        return [0]
    return [unscaled(account.fund(currency).deposited, TOKEN_DECIMALS[currency])]


def _token_units(call: Call, to: str, words: list[str]) -> list[int]:
    return [WALLET_UNITS * 10 ** TOKEN_DECIMALS[_currency(to) or "USDC"]]


def _decimals(call: Call, to: str, words: list[str]) -> list[int]:
    return [TOKEN_DECIMALS[_currency(to) or "USDC"]]


def _currency(token: str) -> str | None:
    return next((name for name, address in TOKENS.items() if address == token), None)


def _constant(*values: int) -> Callable[[Call, str, list[str]], list[int]]:
    return lambda call, to, words: list(values)


def _selector(signature: str) -> str:
    return keccak(text=signature)[:4].hex()


READS: Final[dict[str, Callable[[Call, str, list[str]], list[int]]]] = {
    _selector("balanceOf(address)"): _token_units,
    _selector("decimals()"): _decimals,
    _selector("allowance(address,address)"): _constant(0),
    _selector("balanceSheet(address,address)"): _balance_sheet,
    _selector("fundsToWithdraw(address,address,uint8)"): _constant(0, 0),
    _selector("fundsToWithdrawTotal(address,address)"): _constant(0),
    _selector("releaseLock()"): _constant(RELEASE_LOCK_S),
    _selector("tradeLock()"): _constant(TRADE_LOCK_S),
}
ROUTES: Final[dict[str, Route]] = {"POST /subgraph": subgraph, "POST /rpc": rpc}
