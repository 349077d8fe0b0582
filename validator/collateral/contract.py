"""The collateral contract on the chain's EVM: balances, and transactions of its owner.

Rule: as with the node, what became of a transaction is read from the chain, and the very same signed
transaction may be sent again at any time: it is carried out at most once.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final, Literal

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from runtime.clock import Clock
from runtime.ethereum import Account, LocalAccount
from validator.collateral.node import POLL_S, FailedError, ReplacedError, UnsettledError
from validator.collateral.rpc import NoAnswerError, RefusedError, Rpc, RpcError

Change = Literal["deposit", "withdraw", "slash"]

WORD: Final = 32
RETRY_S: Final = (1.0, 2.0, 4.0)  # waits after the node said that it was asked too often
# refusals after which the receipt will tell: it is there already, or its number is taken or contested
PASSING: Final = ("already known", "already imported", "nonce too low", "underpriced", "429")
ROOM: Final = 5, 4  # gas and its price are estimates: a quarter more


@dataclass(frozen=True, slots=True)
class Prepared:
    """A signed transaction with its number."""

    raw: bytes
    number: int


class Contract:
    """The contract at ``address`` (20 bytes). Threads may share it; without an owner it is only read."""

    def __init__(
        self,
        rpc: Rpc,
        address: bytes,
        chain_id: int,
        owner: LocalAccount | None,
        clock: Clock,
        *,
        inclusion_s: float,
    ) -> None:
        self._rpc, self._to, self._chain_id, self._owner = rpc, "0x" + address.hex(), chain_id, owner
        self._clock, self._inclusion_s = clock, inclusion_s
        self._lock = threading.Lock()
        self._is_checked = False

    def balance_of(self, account: bytes) -> int:
        """The balance in rao of a 20-byte account. Raises RpcError."""
        data = _selector("balanceOf(address)") + _word(account)
        question = {"to": self._to, "data": "0x" + data.hex()}
        for wait_s in RETRY_S:
            try:
                return self._ask(question)
            except (NoAnswerError, RefusedError) as error:
                if not error.is_rate_limit:
                    raise
                self._clock.sleep(wait_s)
        return self._ask(question)

    def prepare(self, change: Change, account: bytes, rao: int) -> Prepared:
        """Sign a change of a balance. Raises FailedError when the contract would refuse it, RpcError."""
        owner = self._signer()
        data = _selector(f"{change}(address,uint256)") + _word(account) + rao.to_bytes(WORD, "big")
        question = {"from": owner.address, "to": self._to, "data": "0x" + data.hex()}
        number = self._count(owner, "pending")
        try:
            gas = _number("eth_estimateGas", self._rpc.call("eth_estimateGas", question))
        except RefusedError as refused:
            raise FailedError(refused.text) from None
        price = _number("eth_gasPrice", self._rpc.call("eth_gasPrice"))
        more, less = ROOM
        transaction: dict[str, Any] = {
            "chainId": self._chain_id,
            "nonce": number,
            "to": to_checksum_address(self._to),
            "value": 0,
            "data": data,
            "gas": gas * more // less,
            "gasPrice": price * more // less,
        }
        signed = owner.sign_transaction(transaction)
        return Prepared(bytes(signed.raw_transaction), number)

    def settle(self, prepared: Prepared) -> None:
        """Send a transaction until it was carried out. Raises FailedError, UnsettledError."""
        deadline_s = self._clock.monotonic() + self._inclusion_s
        is_sent = False
        while True:
            try:
                if self._is_done(prepared):
                    return
                if not is_sent:
                    self._send(prepared.raw)
                    is_sent = True
            except NoAnswerError as error:
                if self._clock.monotonic() >= deadline_s:
                    raise UnsettledError(str(error)) from None
            if self._clock.monotonic() >= deadline_s:
                raise UnsettledError("it is in no block yet")
            self._clock.sleep(POLL_S)

    def _ask(self, question: dict[str, str]) -> int:
        return _number("eth_call", self._rpc.call("eth_call", question, "latest"), word=True)

    def _is_done(self, prepared: Prepared) -> bool:
        # counted before the receipt is looked for: a transaction that used the number has one by then
        used = self._count(self._signer(), "latest")
        name = "0x" + keccak(prepared.raw).hex()
        receipt = self._rpc.call("eth_getTransactionReceipt", name)
        if receipt is None:
            if used > prepared.number:
                raise ReplacedError("another transaction of the contract's owner has its number")
            return False
        status = receipt.get("status") if isinstance(receipt, dict) else None
        if _number("eth_getTransactionReceipt", status) != 1:
            raise FailedError("the contract did not carry it out")
        return True

    def _send(self, raw: bytes) -> None:
        try:
            self._rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        except RefusedError as refused:
            if not any(words in refused.text.lower() for words in PASSING):
                raise FailedError(refused.text) from None

    def _count(self, owner: LocalAccount, at: str) -> int:
        return _number(
            "eth_getTransactionCount", self._rpc.call("eth_getTransactionCount", owner.address, at)
        )

    def _signer(self) -> LocalAccount:
        """The owner, once it is certain that the node serves the chain that was configured."""
        if self._owner is None:
            raise RpcError("this server has no key of the contract's owner")
        with self._lock:
            if not self._is_checked:
                found = _number("eth_chainId", self._rpc.call("eth_chainId"))
                if found != self._chain_id:
                    raise RpcError(f"the node serves chain {found}, configured is {self._chain_id}")
                self._is_checked = True
        return self._owner


def owner_from(secret: str) -> LocalAccount:
    """The owner's account from its key as hex. Raises ValueError without showing it."""
    try:
        found: LocalAccount = Account.from_key(secret)
    except (ValueError, TypeError):
        raise ValueError("not the key of an EVM account") from None
    return found


def _selector(signature: str) -> bytes:
    return keccak(text=signature)[:4]


def _word(account: bytes) -> bytes:
    return account.rjust(WORD, b"\0")


def _number(method: str, value: Any, *, word: bool = False) -> int:
    """A number as hex; ``word``: as the contract answers it, 32 bytes."""
    try:
        if word and len(str(value)) != 2 + 2 * WORD:
            raise ValueError
        return int(str(value), 16)
    except ValueError:
        raise NoAnswerError(method, "the answer is no number") from None
