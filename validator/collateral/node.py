"""A Substrate node: who owns a hotkey, and transactions that are sent until they are in a block.

Rule 1: whether a transaction is in a block is read from the chain, never concluded from what the node said
when it was sent; so the same transaction may be sent again at any time, also after a restart.
Rule 2: a transaction has failed for good only when the chain says so: it is in a block and did not succeed,
or its number was used by another one, or the node refuses it while its number is still free.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from runtime.clock import Clock
from validator.collateral.extrinsic import Chain, version_of
from validator.collateral.metadata import Metadata, choice_path, from_text, parse, storage_prefix
from validator.collateral.rpc import NoAnswerError, RefusedError, Rpc
from validator.collateral.scale import Choice, Cursor, ScaleError

POLL_S: Final = 2.0
REORGANISED: Final = 5  # blocks that are looked at again, since the newest ones may be exchanged
NEVER: Final = (1001, 1002, 1010, -32602)  # malformed, wrong or impossible; other refusals may pass
OUTDATED: Final = "outdated"  # its number is used: the blocks tell by whom
SCAN_MAX: Final = 5_000  # blocks that are searched for a transaction after a long absence


class FailedError(Exception):
    """The transaction changed nothing and never will."""


class ReplacedError(FailedError):
    """Its number was used by another transaction."""


class UnsettledError(Exception):
    """What became of the transaction is not known yet; ask again with the same one."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What transactions are made for now."""

    metadata: Metadata
    chain: Chain


@dataclass(frozen=True, slots=True)
class Head:
    """A block."""

    number: int
    hash: str


class Node:
    """The node. Threads may share it. ``finalized``: only blocks that cannot be exchanged any more count."""

    def __init__(self, rpc: Rpc, clock: Clock, *, inclusion_s: float, finalized: bool = False) -> None:
        self._rpc, self._clock, self._inclusion_s, self._finalized = rpc, clock, inclusion_s, finalized
        self._lock = threading.Lock()
        self._known: Runtime | None = None

    def runtime(self) -> Runtime:
        """The present runtime; its metadata is fetched when the version changed. Raises RpcError."""
        version = self._rpc.call("state_getRuntimeVersion")
        with self._lock:
            known = self._known
            if known is None or known.chain.spec_version != _whole(version, "specVersion"):
                known = self._known = self._fetch_runtime()
            return known

    def owner_of(self, hotkey: bytes) -> bytes | None:
        """The coldkey that owns the hotkey, or None. Raises RpcError."""
        found = self._storage("SubtensorModule", "Owner", hotkey)
        return found if found is not None and len(found) == 32 and any(found) else None

    def next_number(self, account: bytes) -> int:
        """The number that the account's next transaction must have. Raises RpcError."""
        return self._number_at(account, self.head())

    def head(self) -> Head:
        """The newest block that counts. Raises RpcError."""
        method = "chain_getFinalizedHead" if self._finalized else "chain_getBlockHash"
        block = str(self._rpc.call(method))
        header = self._rpc.call("chain_getHeader", block)
        return Head(_hex_number(header, "number"), block)

    def settle(self, raw: bytes, signer: bytes, number: int, first_block: int) -> int:
        """Send a transaction until it is in a block; returns the stake it added, in rao.

        ``first_block``: it cannot be in an earlier one. Raises FailedError, UnsettledError.
        """
        deadline_s = self._clock.monotonic() + self._inclusion_s
        is_sent, searched = False, first_block - 1
        while True:
            try:
                head = self.head()
                used = self._number_at(signer, head)
                start = max(first_block, searched + 1 - REORGANISED)
                if (added := self._find(raw, start, head.number)) is not None:
                    return added
                searched = head.number
                if used > number:
                    raise ReplacedError("another transaction of the account has its number")
                if not is_sent:
                    self._send(raw)
                    is_sent = True
            except NoAnswerError as error:
                if self._clock.monotonic() >= deadline_s:
                    raise UnsettledError(str(error)) from None
            if self._clock.monotonic() >= deadline_s:
                raise UnsettledError("it is in no block yet")
            self._clock.sleep(POLL_S)

    def _send(self, raw: bytes) -> None:
        try:
            self._rpc.call("author_submitExtrinsic", "0x" + raw.hex())
        except RefusedError as refused:
            if refused.code in NEVER and OUTDATED not in refused.text:
                raise FailedError(refused.text) from None

    def _find(self, raw: bytes, first: int, last: int) -> int | None:
        """The stake that the transaction added, if it is in one of these blocks."""
        if last - first > SCAN_MAX:
            raise UnsettledError(f"more than {SCAN_MAX} blocks to search: settle it by hand")
        wanted = "0x" + raw.hex()
        for number in range(first, last + 1):
            block = str(self._rpc.call("chain_getBlockHash", number))
            found = self._rpc.call("chain_getBlock", block)
            extrinsics = _at(_at(found, "block"), "extrinsics")
            if isinstance(extrinsics, Sequence) and wanted in extrinsics:
                return self._outcome(block, extrinsics.index(wanted))
        return None

    def _outcome(self, block: str, index: int) -> int:
        runtime = self.runtime()
        data = self._storage("System", "Events", at=block) or b"\0"
        try:
            kind = runtime.metadata.storage("System", "Events").value
            records = runtime.metadata.read(kind, data)
        except ScaleError as error:
            raise UnsettledError(f"the block's events cannot be read: {error}") from None
        added = 0
        for record in records:
            if record["phase"] == Choice("ApplyExtrinsic", index):
                names, value = choice_path(record["event"])
                if names[:2] == ("System", "ExtrinsicFailed"):
                    raise FailedError("the chain did not carry it out")
                if names[:2] == ("SubtensorModule", "StakeAdded"):
                    added = _alpha(value)
        return added

    def _number_at(self, account: bytes, head: Head) -> int:
        found = self._storage("System", "Account", account, at=head.hash)
        return Cursor(found).unsigned(4) if found else 0  # the account's record begins with it

    def _storage(
        self, pallet: str, name: str, key: bytes | None = None, at: str | None = None
    ) -> bytes | None:
        path = storage_prefix(pallet, name)
        if key is not None:
            path += blake2b(key, digest_size=16).digest() + key  # Blake2_128Concat
        found = self._rpc.call("state_getStorage", "0x" + path.hex(), *([at] if at else []))
        if found is None:
            return None
        try:
            return bytes.fromhex(str(found).removeprefix("0x"))
        except ValueError:
            raise NoAnswerError("state_getStorage", "the value is no hex") from None

    def _fetch_runtime(self) -> Runtime:
        try:
            metadata = parse(from_text(str(self._rpc.call("state_getMetadata"))))
            spec_version, transaction_version = version_of(metadata)
        except ScaleError as error:
            raise NoAnswerError("state_getMetadata", str(error)) from None
        genesis = str(self._rpc.call("chain_getBlockHash", 0)).removeprefix("0x")
        try:
            return Runtime(metadata, Chain(bytes.fromhex(genesis), spec_version, transaction_version))
        except ValueError:
            raise NoAnswerError("chain_getBlockHash", "the hash is no hex") from None


def _alpha(value: Any) -> int:
    """The amount of alpha in a ``StakeAdded`` event: its fourth field."""
    fields = tuple(value.values()) if isinstance(value, Mapping) else value
    if not isinstance(fields, tuple) or len(fields) < 4 or not isinstance(fields[3], int):
        raise UnsettledError("the stake was transferred, but the amount is unknown: settle it by hand")
    return fields[3]


def _at(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None


def _whole(value: Any, name: str) -> int:
    found = _at(value, name)
    if not isinstance(found, int):
        raise NoAnswerError("state_getRuntimeVersion", f"there is no {name}")
    return found


def _hex_number(value: Any, name: str) -> int:
    try:
        return int(str(_at(value, name)), 16)
    except ValueError:
        raise NoAnswerError("chain_getHeader", f"there is no {name}") from None
