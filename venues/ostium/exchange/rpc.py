"""The chain's JSON-RPC: heights, balances, contract views and settlement events. Reading only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from venues.ostium import abi
from venues.ostium.exchange import logs
from venues.ostium.exchange.engine import MAX_PENDING, MAX_TRADES_PER_PAIR, Exchange
from venues.ostium.exchange.state import BLOCK_MS, GENESIS_MS, block_at

CHAIN_ID: Final = 421_614  # Arbitrum Sepolia
GAS_PRICE: Final = 100_000_000
ETHER: Final = 50_000_000_000_000_000  # 0.05 ETH in every wallet, wei
ALLOWANCE: Final = 1_000_000 * 10**6
FAUCET_AMOUNT: Final = 10_000 * 10**6

METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INVALID_REQUEST: Final = -32600
REVERTED: Final = 3

USDC: Final = "0xe73b11fb1e3eeee8af2a23079a4410fe1b370548"
TRADING: Final = "0x2a9b9c988393f46a2537b0ff11e98c2c15a95afe"
TRADING_STORAGE: Final = "0x0b9f5243b29938668c9cfbd7557a389ec7ef88b8"
FAUCET: Final = "0x6830c550814105d8b27bdaec0db391caa7b967c8"
REGISTRY: Final = "0x" + "72" * 20
CONTRACTS: Final = {"tradingStorage": TRADING_STORAGE, "callbacks": logs.CALLBACKS, "usdc": USDC}


class RpcFault(Exception):
    """A JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Rpc:
    """Answers JSON-RPC requests about an exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._methods: dict[str, Callable[[list[Any]], Any]] = {
            "eth_chainId": lambda _: hex(CHAIN_ID),
            "net_version": lambda _: str(CHAIN_ID),
            "eth_blockNumber": lambda _: hex(self._block()),
            "eth_gasPrice": lambda _: hex(GAS_PRICE),
            "eth_getBalance": lambda _: hex(ETHER),
            "eth_getTransactionCount": lambda _: "0x0",
            "eth_getBlockByNumber": self._get_block,
            "eth_call": self._call,
            "eth_getLogs": self._logs,
        }
        self._views: dict[tuple[str, str], Callable[[list[int]], str]] = {
            (USDC, abi.BALANCE_OF): self._balance_of,
            (USDC, abi.ALLOWANCE): lambda _: abi.word(ALLOWANCE),
            (TRADING, abi.REGISTRY): lambda _: abi.word(REGISTRY),
            (TRADING_STORAGE, abi.REGISTRY): lambda _: abi.word(REGISTRY),
            (REGISTRY, abi.CONTRACT_ADDRESS): self._contract_address,
            (TRADING_STORAGE, abi.OPEN_TRADE): self._open_trade,
            (TRADING_STORAGE, abi.OPEN_TRADE_INFO): self._open_trade_info,
            (TRADING_STORAGE, abi.OPEN_LIMIT_ORDER): self._open_limit_order,
            (TRADING_STORAGE, abi.PENDING_ORDER_IDS): self._pending_order_ids,
            (TRADING_STORAGE, abi.OPEN_INTEREST): self._open_interest,
            (TRADING_STORAGE, abi.MAX_TRADES_PER_PAIR): lambda _: abi.word(MAX_TRADES_PER_PAIR),
            (TRADING_STORAGE, abi.MAX_PENDING_MARKET_ORDERS): lambda _: abi.word(MAX_PENDING),
            (FAUCET, abi.FAUCET_AMOUNT): lambda _: abi.word(FAUCET_AMOUNT),
            (FAUCET, abi.FAUCET_NEXT): lambda _: abi.word(0),
        }
        self._selectors = {
            (to, abi.selector(signature)): view for (to, signature), view in self._views.items()
        }

    def answer(self, request: Any) -> Any:
        """The reply to one request or to a batch of them."""
        if isinstance(request, list):
            return [self.answer(each) for each in request]
        if not isinstance(request, dict):
            return _failed(None, RpcFault(INVALID_REQUEST, "invalid request"))
        try:
            method = self._methods.get(str(request.get("method")))
            if method is None:
                raise RpcFault(METHOD_NOT_FOUND, f"the method {request.get('method')} does not exist")
            return {"jsonrpc": "2.0", "id": request.get("id"), "result": method(request.get("params") or [])}
        except RpcFault as fault:
            return _failed(request.get("id"), fault)

    def _block(self) -> int:
        return block_at(self._exchange.timeline.now_ms)

    def _get_block(self, params: list[Any]) -> dict[str, Any]:
        number = self._block() if not params or params[0] in TAGS else _number(params[0])
        return {
            "number": hex(number),
            "hash": self._exchange.tx_hash("block", number),
            "parentHash": self._exchange.tx_hash("block", number - 1),
            "timestamp": hex((GENESIS_MS + number * BLOCK_MS) // 1000),
            "baseFeePerGas": hex(GAS_PRICE),
            "gasLimit": hex(1 << 50),
            "gasUsed": "0x0",
            "miner": "0x" + "0" * 40,
            "extraData": "0x",
            "transactions": [],
        }

    def _call(self, params: list[Any]) -> str:
        if not params or not isinstance(params[0], dict):
            raise RpcFault(INVALID_PARAMS, "missing value for required argument 0")
        to = str(params[0].get("to", "")).lower()
        data = str(params[0].get("data") or params[0].get("input") or "0x").lower()
        view = self._selectors.get((to, data[:10]))
        if view is None:
            raise RpcFault(REVERTED, "execution reverted")
        try:
            return "0x" + view(abi.split(data[10:]))
        except (ValueError, IndexError):
            raise RpcFault(REVERTED, "execution reverted") from None

    def _logs(self, params: list[Any]) -> list[dict[str, Any]]:
        wanted = params[0] if params and isinstance(params[0], dict) else {}
        latest = self._block()
        return logs.matching(
            self._exchange,
            address=wanted.get("address"),
            topics=wanted.get("topics") or [],
            first=_number(wanted.get("fromBlock", "0x0"), latest),
            last=_number(wanted.get("toBlock", "latest"), latest),
        )

    def _balance_of(self, words: list[int]) -> str:
        return abi.word(self._exchange.wallets.get(abi.address(words[0]), 0))

    def _contract_address(self, words: list[int]) -> str:
        name = words[0].to_bytes(32, "big").rstrip(b"\0").decode("ascii", "replace")
        return abi.word(CONTRACTS.get(name, "0x0"))

    def _open_trade(self, words: list[int]) -> str:
        book = self._exchange.open_trades.get(abi.address(words[0]), {})
        trade = book.get((words[1], words[2]))
        if trade is None:
            return abi.words([0] * 10)
        return abi.words(logs.trade_fields(trade))

    def _open_trade_info(self, words: list[int]) -> str:
        book = self._exchange.open_trades.get(abi.address(words[0]), {})
        trade = book.get((words[1], words[2]))
        if trade is None:
            return abi.words([0] * 7)
        highest = trade.highest_leverage
        return abi.words((trade.id, trade.notional, highest, trade.block, trade.block, trade.block, False))

    def _open_limit_order(self, words: list[int]) -> str:
        book = self._exchange.active_limits.get(abi.address(words[0]), {})
        limit = book.get((words[1], words[2]))
        if limit is None:
            return abi.words([0] * 13)
        kind = 1 if limit.limit_type == "LIMIT" else 2
        return abi.words(
            (
                limit.collateral, limit.price, limit.take_profit, limit.stop_loss, limit.trader,
                limit.leverage, limit.block, limit.block, limit.pair.pair.id, kind, limit.index,
                limit.is_buy, limit.is_day_trade,
            )
        )  # fmt: skip

    def _pending_order_ids(self, words: list[int]) -> str:
        ids = list(self._exchange.pending.get(abi.address(words[0]), {}))
        return abi.words((32, len(ids), *ids))

    def _open_interest(self, words: list[int]) -> str:
        state = self._exchange.pairs.get(words[0])
        if state is None:
            return abi.word(0)
        return abi.word((state.long_oi, state.short_oi, state.max_oi)[words[1]])


TAGS: Final = ("latest", "pending", "safe", "finalized", "earliest")


def _number(value: Any, latest: int = 0) -> int:
    if value in TAGS:
        return 0 if value == "earliest" else latest
    try:
        return int(str(value), 16)
    except ValueError:
        raise RpcFault(INVALID_PARAMS, "invalid block number") from None


def _failed(request_id: Any, fault: RpcFault) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": fault.code, "message": str(fault)}}
