"""What a deposit and a withdrawal are on a chain: procedures of transactions, with what undoes them.

A deposit is the miner's own transfer of stake to the vault; the stake is then moved to the vault's hotkey and
noted in the contract. A withdrawal is noted in the contract first and then transferred back.

Rule: when a later step fails, the earlier ones are undone; when that fails too, the operation is stuck.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from validator.collateral import extrinsic as transactions
from validator.collateral.contract import Change, Contract, Prepared
from validator.collateral.extrinsic import Sign
from validator.collateral.node import FailedError, Node
from validator.collateral.rpc import NoAnswerError, RpcError
from validator.collateral.scale import ScaleError, unsigned
from validator.collateral.steps import Step, Steps
from validator.signing import Address, address_of

ATTEMPTS: Final = 3  # transactions for one change of the contract
MOVES: Final = 2  # transactions for one movement of the vault's stake
LOST_RAO: Final = 1  # moving stake may lose one rao to rounding, so one less is counted
NO_VAULT: Final = "this server has no keys of the vault"
UNKNOWN_AMOUNT: Final = "the stake was transferred, but the amount is unknown"


class StuckError(Exception):
    """Money is in between, and undoing failed too."""


@dataclass(frozen=True, slots=True)
class ChainVault:
    """Where deposited stake is kept. ``sign`` is None on a server that only reads."""

    coldkey: Address
    hotkey: Address
    netuid: int
    prefix: int
    sign: Sign | None


class Procedures:
    """The procedures, on a node and a contract. Run by one thread at a time.

    Each raises FailedError when nothing was changed in the end, StuckError, and CollateralError when its end
    is not known yet; it can then be run again.
    """

    def __init__(self, node: Node, contract: Contract, vault: ChainVault) -> None:
        self._node, self._contract, self._vault = node, contract, vault

    def run(self, steps: Steps) -> None:
        """Carry out the operation, or what is left of it."""
        {"deposit": self._deposit, "withdrawal": self._withdraw, "slash": self._slash}[steps.operation.kind](
            steps
        )

    def _deposit(self, steps: Steps) -> None:
        miner, sender = self._address(steps.operation.hotkey), self._address(steps.operation.coldkey)
        held, rao = miner, _counted(self._miners_step(steps))
        try:
            if miner != self._vault.hotkey:
                moved = self._vault_step(steps, "move", lambda: self._move(miner, rao))
                held, rao = self._vault.hotkey, _counted(moved)
            self._contract_step(steps, "credit", "deposit", rao)
        except FailedError as error:
            where, amount = held, rao
            _undo(
                error,
                lambda: self._vault_step(steps, "give-back", lambda: self._transfer(where, sender, amount)),
            )

    def _withdraw(self, steps: Steps) -> None:
        operation = steps.operation
        owner, paid, slashed = self._address(operation.coldkey), operation.rao, operation.slashed
        if slashed:
            self._contract_step(steps, "slash", "slash", slashed)
        if not paid:
            return
        try:
            self._contract_step(steps, "debit", "withdraw", paid)
        except FailedError as error:
            _undo(error, lambda: self._credit_back(steps, slashed))
        try:
            self._vault_step(steps, "pay", lambda: self._transfer(self._vault.hotkey, owner, paid))
        except FailedError as error:
            _undo(error, lambda: self._credit_back(steps, paid + slashed))

    def _slash(self, steps: Steps) -> None:
        self._contract_step(steps, "slash", "slash", steps.operation.slashed)

    def _credit_back(self, steps: Steps, rao: int) -> None:
        if rao:
            self._contract_step(steps, "credit-back", "deposit", rao)

    # Steps

    def _miners_step(self, steps: Steps) -> int:
        """The miner's own transaction; returns the stake that it added."""
        operation = steps.operation

        def prepare() -> Step:
            return Step("", operation.extrinsic, operation.number, self._node.head().number)

        def settle(step: Step) -> int:
            signer = self._address(operation.coldkey).public_key
            return self._node.settle(bytes.fromhex(step.raw), signer, step.number, step.block)

        return steps.run("transfer", prepare, settle)

    def _vault_step(self, steps: Steps, name: str, call: Callable[[], bytes]) -> int:
        """A transaction of the vault; returns the stake that it added."""
        return steps.attempt(name, MOVES, lambda: self._signed(call), self._settle_vault)

    def _contract_step(self, steps: Steps, name: str, change: Change, rao: int) -> None:
        """A change of the hotkey's balance in the contract."""
        account = self._address(steps.operation.hotkey).h160

        def prepare() -> Step:
            prepared = self._contract.prepare(change, account, rao)
            return Step("", prepared.raw.hex(), prepared.number)

        def settle(step: Step) -> int:
            self._contract.settle(Prepared(bytes.fromhex(step.raw), step.number))
            return rao

        steps.attempt(name, ATTEMPTS, prepare, settle)

    def _signed(self, call: Callable[[], bytes]) -> Step:
        sign, signer = self._vault.sign, self._vault.coldkey.public_key
        if sign is None:
            raise RpcError(NO_VAULT)
        head, runtime = self._node.head(), self._node.runtime()
        number = self._node.next_number(signer)
        try:
            raw = transactions.make(runtime.metadata, runtime.chain, call(), signer, number, sign)
        except ScaleError as error:  # the runtime changed: nothing is lost, a newer version will know it
            raise NoAnswerError("state_getMetadata", str(error)) from None
        return Step("", raw.hex(), number, head.number)

    def _settle_vault(self, step: Step) -> int:
        signer = self._vault.coldkey.public_key
        return self._node.settle(bytes.fromhex(step.raw), signer, step.number, step.block)

    def _transfer(self, hotkey: Address, coldkey: Address, rao: int) -> bytes:
        """The call by which the vault transfers stake to a coldkey."""
        return self._stake_call(
            "transfer_stake", rao, destination_coldkey=coldkey.public_key, hotkey=hotkey.public_key
        )

    def _move(self, hotkey: Address, rao: int) -> bytes:
        """The call by which the vault moves stake from a hotkey to its own."""
        return self._stake_call(
            "move_stake",
            rao,
            origin_hotkey=hotkey.public_key,
            destination_hotkey=self._vault.hotkey.public_key,
        )

    def _stake_call(self, name: str, rao: int, **accounts: bytes) -> bytes:
        netuid = unsigned(self._vault.netuid, 2)
        return transactions.call(
            self._node.runtime().metadata,
            "SubtensorModule",
            name,
            **accounts,
            origin_netuid=netuid,
            destination_netuid=netuid,
            alpha_amount=unsigned(rao, 8),
        )

    def _address(self, text: str) -> Address:
        return address_of(text, self._vault.prefix)


def _undo(error: FailedError, undo: Callable[[], object]) -> None:
    """Undo, then raise the error that made it necessary. Raises StuckError when that fails."""
    try:
        undo()
    except FailedError as second:
        raise StuckError(f"{error}; undoing it: {second}") from None
    raise error


def _counted(added: int) -> int:
    """What counts of stake that was transferred. Raises StuckError when the chain did not say how much."""
    if added <= LOST_RAO:
        raise StuckError(UNKNOWN_AMOUNT)
    return added - LOST_RAO
