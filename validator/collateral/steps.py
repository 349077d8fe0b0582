"""Operations on a chain, one step after the other, that survive a crash between any two of them.

Rule 1: a signed transaction is journalled before it is sent. Whoever goes on later sends the same one again,
which the chain carries out at most once.
Rule 2: what a step came to is journalled before the next one begins, so going on means: run the procedure
from the start; finished steps answer from the journal.
Rule 3: an operation is open until it is done, has failed with everything undone, or is stuck (money is
somewhere in between and an operator must look).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from journal.entry import ConflictError
from validator.collateral.backend import CollateralError
from validator.collateral.node import FailedError, UnsettledError
from validator.collateral.rpc import RpcError
from validator.registry import Registry

Kind = Literal["deposit", "withdrawal", "slash"]
State = Literal["open", "done", "failed", "stuck"]

NOT_SETTLED: Final = "what became of it is not known yet and will be settled later"


class Step(msgspec.Struct, frozen=True):
    """A transaction: ``raw`` as hex, its ``number``, the first ``block`` it can be in, what it came to."""

    name: str
    raw: str
    number: int
    block: int = 0
    state: Literal["begun", "done", "failed"] = "begun"
    rao: int = 0
    error: str = ""


class Operation(msgspec.Struct, frozen=True):
    """Body of a ``deposit|...``, ``withdrawal|...`` or ``slash|...`` fact; addresses as text.

    ``rao`` is deposited or paid out, ``slashed`` lost. ``request``: hash of what was asked for, so that
    another request is not taken for the same one. ``extrinsic`` and ``number``: the miner's transaction.
    """

    kind: Kind
    hotkey: str
    coldkey: str
    rao: int
    time_ms: int
    slashed: int = 0
    request: str = ""
    extrinsic: str = ""
    number: int = 0
    steps: tuple[Step, ...] = ()
    state: State = "open"
    error: str = ""


_decoder = msgspec.json.Decoder(Operation)
_encode = msgspec.json.Encoder().encode


def encode_operation(operation: Operation) -> bytes:
    """The body of an operation's fact."""
    return _encode(operation)


def read_operation(body: bytes) -> Operation:
    """Read an operation's fact. Raises msgspec.DecodeError."""
    return _decoder.decode(body)


class Steps:
    """An operation under way, by one thread of one process; its fact is ``key``."""

    def __init__(self, registry: Registry, key: str) -> None:
        self._registry, self.key = registry, key
        fact = registry.get(key)
        if fact is None:
            raise LookupError(f"{key} was not begun")
        self.operation = read_operation(fact.body)
        self._sequence = fact.sequence

    def run(self, name: str, prepare: Callable[[], Step], settle: Callable[[Step], int]) -> int:
        """Carry out a step, or go on with it; returns what it came to in rao.

        Raises FailedError when it changed nothing, CollateralError when its end is not known yet.
        """
        step = self._known(name) or self._begin(name, prepare)
        if step.state == "begun":
            step = self._settle(step, settle)
        if step.state == "failed":
            raise FailedError(step.error)
        return step.rao

    def attempt(
        self, name: str, times: int, prepare: Callable[[], Step], settle: Callable[[Step], int]
    ) -> int:
        """As ``run``, with another transaction when one failed, ``times`` at most."""
        for number in range(1, times):
            try:
                return self.run(f"{name}-{number}", prepare, settle)
            except FailedError:
                continue
        return self.run(f"{name}-{times}", prepare, settle)

    def end(self, state: State, error: str = "") -> None:
        """Close the operation."""
        self._save(msgspec.structs.replace(self.operation, state=state, error=error))

    def _known(self, name: str) -> Step | None:
        return next((step for step in self.operation.steps if step.name == name), None)

    def _begin(self, name: str, prepare: Callable[[], Step]) -> Step:
        try:
            step = msgspec.structs.replace(prepare(), name=name)
        except FailedError as error:
            step = Step(name, "", 0, state="failed", error=str(error))
        except RpcError as error:
            if not self.operation.steps:  # nothing was sent yet, so nothing needs to be settled
                raise FailedError(str(error)) from None
            raise CollateralError(f"{error}; {NOT_SETTLED}") from None
        self._put(step)
        return step

    def _settle(self, step: Step, settle: Callable[[Step], int]) -> Step:
        try:
            done = msgspec.structs.replace(step, state="done", rao=settle(step))
        except FailedError as error:
            done = msgspec.structs.replace(step, state="failed", error=str(error))
        except (UnsettledError, RpcError) as error:
            raise CollateralError(f"{error}; {NOT_SETTLED}") from None
        self._put(done)
        return done

    def _put(self, step: Step) -> None:
        others = tuple(one for one in self.operation.steps if one.name != step.name)
        self._save(msgspec.structs.replace(self.operation, steps=(*others, step)))

    def _save(self, operation: Operation) -> None:
        try:
            self._sequence = self._registry.put(self.key, _encode(operation), expected=self._sequence)
        except ConflictError:
            raise CollateralError("another process is at it") from None
        self.operation = operation
