"""Collateral on a chain: stake in a vault, balances in a contract.

Rule 1: one operation at a time. All of them spend the same two accounts' transaction numbers, so a second one
in between would take a number that the first has signed for.
Rule 2: an operation of a hotkey begins only when all its earlier ones have ended.
Rule 3: a stuck operation is never gone on with: its fact in the registry holds every transaction of it, the
log says so, and its hotkey waits for an operator.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
import structlog

from journal.entry import Draft
from validator.collateral import extrinsic as transactions
from validator.collateral.accounts import COLLATERAL, Accounts, Movement, read_account
from validator.collateral.backend import (
    BalanceError,
    CollateralError,
    Deposit,
    InvalidExtrinsicError,
    OutOfServiceError,
    Terms,
)
from validator.collateral.contract import Contract
from validator.collateral.extrinsic import Signed, hash_of
from validator.collateral.local import DEPOSIT, NUMBER_USED, check_limit, read_transfer
from validator.collateral.metadata import Metadata
from validator.collateral.node import FailedError, Node
from validator.collateral.procedures import NO_VAULT, ChainVault, Procedures, StuckError
from validator.collateral.rpc import RpcError
from validator.collateral.rules import Withdrawal
from validator.collateral.scale import ScaleError, compact
from validator.collateral.steps import Operation, Steps, encode_operation, read_operation
from validator.registry import ABSENT, draft, sequence_of
from validator.signing import Address, address_from_key, address_of
from vanta_api.records import encode

WITHDRAWAL: Final = "withdrawal|"  # registry key: <hotkey>|<time in ms>-<random>
SLASH: Final = "slash|"
WAIT_S: Final = 1.0  # for a turn at reading
CACHED_MAX: Final = 10_000  # balances
BUSY: Final = "too many operations at once"
EARLIER: Final = "an earlier operation of this hotkey is not settled yet"
STUCK: Final = "critical error, to be settled by hand: {problem}"

_log = structlog.get_logger()


class ChainBackend:
    """Collateral on a chain. ``operations`` may wait for it at once; balances are believed for a while."""

    def __init__(
        self,
        node: Node,
        contract: Contract,
        vault: ChainVault,
        accounts: Accounts,
        *,
        operations: int,
        balance_cache_s: float,
        on_close: Callable[[], None],
    ) -> None:
        self._node, self._contract, self._vault, self._accounts = node, contract, vault, accounts
        self._procedures = Procedures(node, contract, vault)
        self._registry, self._clock = accounts.registry, accounts.clock
        self._cache_s, self._on_close = balance_cache_s, on_close
        self._cached: dict[str, tuple[float, int]] = {}
        self._places = threading.BoundedSemaphore(operations)
        self._readers = threading.BoundedSemaphore(operations)
        self._turn = threading.Lock()
        self._stuck: set[str] = set()

    # Reading

    def owns(self, coldkey: Address, hotkey: Address) -> bool:
        try:
            return self._node.owner_of(hotkey.public_key) == coldkey.public_key
        except RpcError as error:
            _log.warning("the owner of a hotkey cannot be told", problem=str(error))
            return False

    def balance(self, hotkey: Address) -> int:
        cached = self._cached.get(hotkey.text)
        if cached is not None and self._clock.monotonic() - cached[0] < self._cache_s:
            return cached[1]
        if not self._readers.acquire(timeout=WAIT_S):
            raise BalanceError(BUSY)
        try:
            return self._fresh_balance(hotkey)
        finally:
            self._readers.release()

    def check_deposits(self) -> None:
        if self._vault.sign is None:
            raise OutOfServiceError(NO_VAULT)

    def _fresh_balance(self, hotkey: Address) -> int:
        try:
            rao = self._contract.balance_of(hotkey.h160)
        except RpcError as error:
            raise BalanceError(str(error)) from None
        if len(self._cached) >= CACHED_MAX:
            self._cached.clear()
        self._cached[hotkey.text] = (self._clock.monotonic(), rao)
        return rao

    # Operations

    def deposit(self, extrinsic: bytes) -> Deposit:
        self.check_deposits()
        metadata, signed = self._read(extrinsic)
        vault = self._vault
        transfer = read_transfer(metadata, signed, vault.coldkey, vault.netuid, vault.prefix)
        key = DEPOSIT + hash_of(signed.signer + compact(signed.nonce)).hex()
        operation = Operation(
            kind="deposit",
            hotkey=transfer.hotkey.text,
            coldkey=address_from_key(signed.signer, vault.prefix).text,
            rao=transfer.rao,
            time_ms=self._clock.now_ms(),
            request=hash_of(signed.call + signed.explicit).hex(),
            extrinsic=extrinsic.hex(),
            number=signed.nonce,
        )
        with self._in_turn():
            self._deposit(key, operation, transfer.hotkey)
        return Deposit(transfer.hotkey, transfer.rao, self.balance(transfer.hotkey))

    def withdraw(self, hotkey: Address, coldkey: Address, terms: Terms) -> Withdrawal:
        self.check_deposits()
        with self._in_turn():
            self._settle_earlier(hotkey)
            decided = terms(self._fresh_balance(hotkey))
            operation = Operation(
                kind="withdrawal",
                hotkey=hotkey.text,
                coldkey=coldkey.text,
                rao=decided.paid,
                slashed=decided.slashed,
                time_ms=self._clock.now_ms(),
            )
            self._carry_out(self._new_key(WITHDRAWAL, hotkey), operation, ABSENT)
        return decided

    def slash(self, hotkey: Address, rao: int) -> int:
        self.check_deposits()
        with self._in_turn():
            self._settle_earlier(hotkey)
            taken = min(rao, self._fresh_balance(hotkey))
            if taken:
                operation = Operation(
                    "slash", hotkey.text, "", rao=0, time_ms=self._clock.now_ms(), slashed=taken
                )
                self._carry_out(self._new_key(SLASH, hotkey), operation, ABSENT)
        return taken

    def settle(self) -> int:
        left, self._stuck = 0, set()
        for fact in self._registry.with_prefix(COLLATERAL):
            account = read_account(fact.body)
            if account.open:
                try:
                    with self._in_turn():
                        self._settle_earlier(address_of(account.hotkey, self._vault.prefix))
                except CollateralError as error:
                    _log.warning("not settled", hotkey=account.hotkey, problem=str(error))
                    left += 1
        return left

    def problem(self) -> str | None:
        if not self._stuck:
            return None
        return f"{len(self._stuck)} operation(s) on the chain are stuck: settle them by hand"

    def close(self) -> None:
        self._on_close()

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise OutOfServiceError(BUSY)
        try:
            with self._turn:
                yield
        finally:
            self._places.release()

    def _deposit(self, key: str, operation: Operation, hotkey: Address) -> None:
        known = self._registry.get(key)
        before = read_operation(known.body) if known else None
        if known is None or before is None or before.state == "failed":  # what failed changed nothing
            self._settle_earlier(hotkey)
            check_limit(self._fresh_balance(hotkey), operation.rao, self._accounts.limits.balance_max)
            self._carry_out(key, operation, sequence_of(known))
            return
        if before.request != operation.request:
            raise CollateralError(NUMBER_USED)
        after = self._go_on(key) if before.state == "open" else before
        if after.state != "done":
            raise CollateralError(after.error)

    def _new_key(self, kind: str, hotkey: Address) -> str:
        return f"{kind}{hotkey.text}|{self._clock.now_ms()}-{secrets.token_hex(4)}"

    def _carry_out(self, key: str, operation: Operation, expected: int) -> None:
        """Note an operation as open, then carry it out. Raises CollateralError unless it was done."""

        def make() -> list[Draft]:
            fact, account = self._accounts.look_up(operation.hotkey)
            opened = msgspec.structs.replace(account, open=(*account.open, key))
            return [
                draft(key, encode_operation(operation), expected=expected),
                draft(COLLATERAL + operation.hotkey, encode(opened), expected=sequence_of(fact)),
            ]

        self._registry.transact(make)
        done = self._go_on(key)
        if done.state != "done":
            raise CollateralError(done.error)

    def _settle_earlier(self, hotkey: Address) -> None:
        for key in self._accounts.look_up(hotkey.text)[1].open:
            try:
                state = self._go_on(key).state
            except CollateralError as error:
                raise CollateralError(f"{EARLIER}: {error}") from None
            if state == "stuck":
                raise CollateralError(EARLIER)

    def _go_on(self, key: str) -> Operation:
        """Carry an operation to its end, whatever is done of it already; returns it.

        Raises CollateralError when its end is not known yet.
        """
        steps = Steps(self._registry, key)
        if steps.operation.state == "open":
            try:
                self._procedures.run(steps)
                steps.end("done")
            except FailedError as error:
                steps.end("failed", str(error))
            except StuckError as error:
                steps.end("stuck", STUCK.format(problem=error))
                _log.critical("an operation on the chain is stuck", key=key, problem=str(error))
        if steps.operation.state == "stuck":
            self._stuck = {*self._stuck, key}
        else:
            self._forget(steps.operation, key)
        return steps.operation

    def _forget(self, operation: Operation, key: str) -> None:
        """Note that an operation is over and which balance it left (if that can be told: else later)."""
        self._cached.pop(operation.hotkey, None)
        try:
            balance = self._fresh_balance(address_of(operation.hotkey, self._vault.prefix))
        except BalanceError as error:
            _log.warning("a new balance is not known yet", hotkey=operation.hotkey, problem=str(error))
            return
        movement = Movement(
            kind=operation.kind if operation.state == "done" else "look",
            rao=operation.rao + operation.slashed,
            time_ms=self._clock.now_ms(),
            coldkey=operation.coldkey or None,
            slashed=operation.slashed,
            reference=key,
        )

        def make() -> list[Draft]:
            fact, account = self._accounts.look_up(operation.hotkey)
            left = tuple(one for one in account.open if one != key)
            if left == account.open:
                return []
            closed = msgspec.structs.replace(account, open=left)
            return self._accounts.moved(fact, closed, balance, movement)

        self._registry.transact(make)

    def _read(self, extrinsic: bytes) -> tuple[Metadata, Signed]:
        try:
            runtime = self._node.runtime()
            signed = transactions.read(runtime.metadata, extrinsic)
            if signed.is_immortal and not signed.has_metadata_hash:  # else only the chain can tell
                transactions.check_signature(runtime.metadata, runtime.chain, signed)
        except RpcError as error:
            raise CollateralError(str(error)) from None
        except ScaleError as error:
            raise InvalidExtrinsicError(str(error)) from None
        return runtime.metadata, signed
