"""The subnet's hotkeys, asked of a chain's node: storage ``SubtensorModule.Keys`` of one netuid.

Rule 1: no request waits for the node; a thread asks once a minute, readers get the last good list.
Rule 2: a node that does not answer, or answers oddly, changes nothing; ``error`` says why.
"""

from __future__ import annotations

import threading
from typing import Final, Protocol

import xxhash

from runtime.clock import Clock
from validator.collateral.rpc import Rpc, RpcError
from validator.signing import PREFIX, encode_address

ASK_EVERY_S: Final = 60.0
TIMEOUT_S: Final = 20.0
PAGE: Final = 1_000  # keys a call; nodes refuse more
NEURONS_MAX: Final = 65_536  # uids are 16 bits
KEY_BYTES: Final = 32  # a hotkey's public key


class Caller(Protocol):
    """One JSON-RPC node."""

    def call(self, method: str, *parameters: object) -> object: ...


def storage_prefix(netuid: int) -> str:
    """Key of every neuron of the subnet: two hashed names, then the netuid as it is (Identity hasher)."""
    names = b"".join(
        xxhash.xxh64_intdigest(name, seed).to_bytes(8, "little")
        for name in (b"SubtensorModule", b"Keys")
        for seed in (0, 1)
    )
    return "0x" + (names + netuid.to_bytes(2, "little")).hex()


def read_hotkeys(node: Caller, netuid: int, prefix: int = PREFIX) -> tuple[str, ...]:
    """The hotkeys by uid. Raises RpcError, and ValueError when the answer is not what a node gives."""
    storage, last = storage_prefix(netuid), None
    found: dict[int, str] = {}
    while keys := _texts(node.call("state_getKeysPaged", storage, PAGE, last)):
        if keys[-1] == last or len(found) > NEURONS_MAX:
            raise ValueError("the list of keys does not end")
        last = keys[-1]
        for key, value in _changes(node.call("state_queryStorageAt", keys)):
            public_key = bytes.fromhex(value.removeprefix("0x"))
            if len(public_key) != KEY_BYTES:
                raise ValueError(f"a hotkey has {len(public_key)} bytes")
            found[int.from_bytes(bytes.fromhex(key[-4:]), "little")] = encode_address(public_key, prefix)
        if len(keys) < PAGE:
            break
    return tuple(found[uid] for uid in sorted(found))


class NodeMetagraph:
    """``hotkeys()`` of a netuid, kept fresh in the background from the first call on."""

    def __init__(self, url: str, netuid: int, clock: Clock) -> None:
        self._node, self._netuid, self._clock = Rpc(url, TIMEOUT_S), netuid, clock
        self._lock = threading.Lock()
        self._asked_s: float | None = None
        self._hotkeys: tuple[str, ...] = ()
        self.error: str | None = None

    def hotkeys(self) -> tuple[str, ...]:
        """The newest good list; empty until the node has answered once."""
        now = self._clock.monotonic()
        with self._lock:
            is_due = self._asked_s is None or now - self._asked_s >= ASK_EVERY_S
            if is_due:
                self._asked_s = now
                threading.Thread(target=self.ask, name="metagraph", daemon=True).start()
            return self._hotkeys

    def ask(self) -> None:
        """Ask the node now."""
        try:
            hotkeys = read_hotkeys(self._node, self._netuid)
        except (RpcError, ValueError) as error:
            self.error = f"the metagraph cannot be read from the node: {error}"
            return
        with self._lock:
            self._hotkeys, self.error = hotkeys, None


def _texts(answer: object) -> list[str]:
    if not isinstance(answer, list) or not all(isinstance(item, str) for item in answer):
        raise ValueError("state_getKeysPaged: not a list of keys")
    return answer


def _changes(answer: object) -> list[tuple[str, str]]:
    if not isinstance(answer, list) or len(answer) != 1 or not isinstance(answer[0], dict):
        raise ValueError("state_queryStorageAt: not one block of changes")
    changes = answer[0].get("changes")
    if not isinstance(changes, list):
        raise ValueError("state_queryStorageAt: no changes")
    return [(str(key), str(value)) for key, value in changes if value is not None]
