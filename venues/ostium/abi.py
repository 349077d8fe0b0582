"""Contract calls and events as bytes: only static types, which is all that reading needs.

Invariant: selectors and topics are computed from the signatures written here, never typed in.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from eth_utils.crypto import keccak

WORD: Final = 64  # hex digits
Value = int | bool | str | bytes

BALANCE_OF: Final = "balanceOf(address)"
ALLOWANCE: Final = "allowance(address,address)"
REGISTRY: Final = "registry()"
CONTRACT_ADDRESS: Final = "getContractAddress(bytes32)"
OPEN_TRADE: Final = "getOpenTrade(address,uint16,uint8)"
OPEN_TRADE_INFO: Final = "getOpenTradeInfo(address,uint16,uint8)"
OPEN_LIMIT_ORDER: Final = "getOpenLimitOrder(address,uint16,uint8)"
PENDING_ORDER_IDS: Final = "getPendingOrderIds(address)"
OPEN_INTEREST: Final = "openInterest(uint16,uint256)"
MAX_TRADES_PER_PAIR: Final = "maxTradesPerPair()"
MAX_PENDING_MARKET_ORDERS: Final = "maxPendingMarketOrders()"
FAUCET_AMOUNT: Final = "tokenAmount()"
FAUCET_NEXT: Final = "nextRequestTime(address)"

_TRADE: Final = "(uint256,uint192,uint192,uint192,address,uint32,uint16,uint8,bool,bool)"
EVENTS: Final = {
    "MarketOpenExecuted": f"MarketOpenExecuted(uint256,{_TRADE},uint256,uint256)",
    "MarketOpenCanceled": "MarketOpenCanceled(uint256,address,uint256,uint8)",
    "MarketCloseExecutedV2": "MarketCloseExecutedV2(uint256,uint256,uint256,uint256,int256,uint256,uint256)",
    "MarketCloseCanceled": "MarketCloseCanceled(uint256,uint256,address,uint256,uint256,uint8)",
    "LimitOpenExecuted": f"LimitOpenExecuted(uint256,uint256,{_TRADE},uint256,uint256)",
    "LimitCloseExecuted": "LimitCloseExecuted(uint256,uint256,uint8,uint256,uint256,int256,uint256)",
    "AutomationOpenOrderCanceled": "AutomationOpenOrderCanceled(uint256,address,uint256,uint8)",
}


@lru_cache(maxsize=64)
def selector(signature: str) -> str:
    """``0x`` and the first four bytes of the signature's hash."""
    return "0x" + keccak(text=signature)[:4].hex()


@lru_cache(maxsize=64)
def topic(event: str) -> str:
    """The first topic of one of ``EVENTS``."""
    return "0x" + keccak(text=EVENTS[event]).hex()


def word(value: Value) -> str:
    """64 hex digits: numbers and addresses (0x...) on the right, bytes on the left; negative numbers wrap."""
    if isinstance(value, bytes):
        return value.hex().ljust(WORD, "0")
    number = int(value, 16) if isinstance(value, str) else int(value)
    return f"{number % (1 << 256):064x}"


def encode_call(signature: str, *arguments: Value) -> str:
    """Call data of a function whose arguments are all static."""
    return selector(signature) + words(arguments)


def words(values: Iterable[Value]) -> str:
    """The values' words one after the other, without ``0x``."""
    return "".join(word(value) for value in values)


def split(data: str) -> list[int]:
    """The words of ``0x...`` data as unsigned numbers. Raises ValueError when it is not whole words."""
    digits = data.removeprefix("0x")
    if len(digits) % WORD:
        raise ValueError(f"{len(digits)} hex digits are not whole words")
    return [int(digits[at : at + WORD], 16) for at in range(0, len(digits), WORD)]


def address(number: int) -> str:
    """The address in a word, lower-case."""
    return f"0x{number % (1 << 160):040x}"
