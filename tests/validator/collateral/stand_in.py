"""A chain on loopback: a Substrate node and its EVM in one process, speaking the real JSON-RPC over HTTP.

It keeps stakes, owners, transaction numbers, blocks with events, and the collateral contract; it checks
signatures, numbers, the contract's owner and balances. ``faults`` make it fail on request.
"""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import rlp
from bittensor_wallet import Keypair
from eth_utils.crypto import keccak

from runtime.clock import FakeClock
from runtime.ethereum import Account
from runtime.settings import CollateralSettings
from tests.validator.collateral.people import (
    CHAIN,
    COLD,
    HOT,
    NETUID,
    OTHER,
    OTHER_HOT,
    THETA,
    VAULT,
    VAULT_HOT,
    runtime,
    runtime_metadata,
)
from tests.validator.collateral.runtime import GENESIS, SPEC_VERSION, SUBTENSOR, SYSTEM, TRANSACTION_VERSION
from validator.collateral import extrinsic
from validator.collateral.metadata import storage_prefix
from validator.collateral.scale import Cursor, ScaleError, compact, decode, unsigned

EVM_CHAIN_ID: Final = 945
CONTRACT: Final = "0x1a8C4c72D97b983C77BDa833883802145ecFD477"
OWNER_KEY: Final = "0x" + "42" * 32
OWNER: Final = Account.from_key(OWNER_KEY).address
SELECTORS: Final = {
    keccak(text=f"{name}(address,uint256)")[:4]: name for name in ("deposit", "withdraw", "slash")
}
BALANCE_OF: Final = keccak(text="balanceOf(address)")[:4]


class Refusal(Exception):
    """A JSON-RPC error."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


class Silence(Exception):
    """The connection is closed without an answer."""


class Status(Exception):
    """An HTTP answer that is no JSON-RPC."""

    def __init__(self, status: int, body: bytes = b"") -> None:
        super().__init__(status)
        self.status, self.body = status, body


@dataclass
class Block:
    """A block: its transactions as hex and its events as they are stored."""

    number: int
    extrinsics: list[str] = field(default_factory=list)
    events: list[bytes] = field(default_factory=list)
    numbers: dict[bytes, int] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        if self.number == 0:
            return "0x" + GENESIS.hex()
        return "0x" + blake2b(f"block {self.number}".encode(), digest_size=32).hexdigest()


@dataclass
class Fault:
    """What happens to a call. ``before``: instead of it; else it is carried out first."""

    error: Exception
    before: bool = True


class StandIn:
    """The chain. ``hold``: transactions wait in the pool until ``mine``."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.owners = {HOT.public_key: COLD.public_key, OTHER_HOT.public_key: OTHER.public_key}
        self.stakes: defaultdict[tuple[bytes, bytes], int] = defaultdict(int)
        self.stakes[COLD.public_key, HOT.public_key] = 5000 * THETA
        self.numbers: defaultdict[bytes, int] = defaultdict(int)
        self.blocks = [Block(0), Block(1)]
        self.pool: list[tuple[bytes, bytes]] = []
        self.balances: defaultdict[bytes, int] = defaultdict(int)
        self.slashed = 0
        self.evm_number = 0
        self.evm_chain_id = EVM_CHAIN_ID
        self.receipts: dict[str, dict[str, str]] = {}
        self.evm_pool: list[bytes] = []
        self.hold = False
        self.fail_calls: set[str] = set()  # calls and contract changes that do not succeed when carried out
        self.faults: defaultdict[str, list[Fault | None]] = defaultdict(list)
        self.asked: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(timeout=5)

    def balance(self, keypair: Keypair) -> int:
        """The contract's balance of a hotkey, in rao."""
        return self.balances[keypair.public_key[:20]]

    def stake(self, coldkey: Keypair, hotkey: Keypair) -> int:
        return self.stakes[coldkey.public_key, hotkey.public_key]

    def settings(self, **changes: Any) -> CollateralSettings:
        """Settings of the chain backend that fit; the secrets stand in the environment."""
        usual: dict[str, Any] = {
            "backend": "chain",
            "node_url": self.url,
            "evm_url": self.url,
            "evm_chain_id": EVM_CHAIN_ID,
            "contract": CONTRACT,
            "vault_coldkey": VAULT.ss58_address,
            "vault_hotkey": VAULT_HOT.ss58_address,
            "vault_secret": "env:TEST_VAULT",
            "contract_secret": "env:TEST_CONTRACT",
            "timeout_s": 5.0,
            "balance_cache_s": 0.0,
        }
        return CollateralSettings(**{**usual, **changes})

    # JSON-RPC

    def answer(self, method: str, parameters: list[Any]) -> Any:
        with self.lock:
            self.asked.append(method)
            faults = self.faults[method]
            fault = faults.pop(0) if faults else None
            if fault is not None and fault.before:
                raise fault.error
            name = "rpc_" + re.sub("([A-Z])", lambda found: "_" + found.group(1).lower(), method)
            result = getattr(self, name, _unknown)(*parameters)
            if fault is not None:
                raise fault.error
            return result

    def rpc_state_get_runtime_version(self) -> Any:
        return {"specVersion": SPEC_VERSION, "transactionVersion": TRANSACTION_VERSION}

    def rpc_state_get_metadata(self) -> str:
        return "0x" + runtime().metadata.hex()

    def rpc_chain_get_block_hash(self, number: int | None = None) -> str | None:
        number = len(self.blocks) - 1 if number is None else number
        return self.blocks[number].hash if number < len(self.blocks) else None

    def rpc_chain_get_finalized_head(self) -> str:
        return self.blocks[max(0, len(self.blocks) - 3)].hash

    def rpc_chain_get_header(self, block: str) -> Any:
        return {"number": hex(self._block(block).number), "parentHash": GENESIS.hex()}

    def rpc_chain_get_block(self, block: str) -> Any:
        found = self._block(block)
        return {"block": {"header": self.rpc_chain_get_header(block), "extrinsics": list(found.extrinsics)}}

    def rpc_state_get_storage(self, key: str, block: str | None = None) -> str | None:
        wanted, at = bytes.fromhex(key[2:]), self._block(block) if block else self.blocks[-1]
        if wanted == storage_prefix("System", "Events"):
            return "0x" + (compact(len(at.events)) + b"".join(at.events)).hex()
        account = wanted[-32:]
        if blake2b(account, digest_size=16).digest() != wanted[32:48]:
            return None
        if wanted.startswith(storage_prefix("System", "Account")):
            return "0x" + (unsigned(at.numbers.get(account, 0), 4) + bytes(76)).hex()
        if wanted.startswith(storage_prefix("SubtensorModule", "Owner")):
            return "0x" + self.owners[account].hex() if account in self.owners else None
        return None

    def rpc_author_submit_extrinsic(self, text: str) -> str:
        raw = bytes.fromhex(text[2:])
        try:
            found = extrinsic.read(runtime_metadata(), raw)
            extrinsic.check_signature(runtime_metadata(), CHAIN, found)
        except ScaleError:
            raise Refusal(1010, "Invalid Transaction", "Transaction has a bad signature") from None
        if (found.signer, raw) in self.pool:
            raise Refusal(1013, "Transaction is already imported")
        if found.nonce < self.numbers[found.signer]:
            raise Refusal(1010, "Invalid Transaction", "Transaction is outdated")
        self.pool.append((found.signer, raw))
        if not self.hold:
            self.mine()
        return "0x" + extrinsic.hash_of(raw).hex()

    def rpc_eth_chain_id(self) -> str:
        return hex(self.evm_chain_id)

    def rpc_eth_gas_price(self) -> str:
        return hex(10**10)

    def rpc_eth_call(self, question: dict[str, str], _at: str) -> str:
        data = bytes.fromhex(question["data"][2:])
        if question["to"].lower() != CONTRACT.lower() or data[:4] != BALANCE_OF:
            return "0x"
        return "0x" + self.balances[data[16:36]].to_bytes(32, "big").hex()

    def rpc_eth_get_transaction_count(self, account: str, at: str) -> str:
        pending = len(self.evm_pool) if at == "pending" else 0
        return hex(self.evm_number + pending if account == OWNER else 0)

    def rpc_eth_estimate_gas(self, question: dict[str, str]) -> str:
        data = bytes.fromhex(question["data"][2:])
        if question["from"] != OWNER or not self._is_possible(data):
            raise Refusal(-32603, "VM Exception while processing transaction: revert")
        return hex(60_000)

    def rpc_eth_send_raw_transaction(self, text: str) -> str:
        raw = bytes.fromhex(text[2:])
        name = "0x" + keccak(raw).hex()
        number = int.from_bytes(rlp.decode(raw)[0], "big")
        if name in self.receipts or number < self.evm_number:
            raise Refusal(-32603, "nonce too low")
        if raw in self.evm_pool:
            raise Refusal(-32603, "already known")
        if Account.recover_transaction(raw) != OWNER:
            raise Refusal(-32603, "insufficient funds for gas * price + value")
        self.evm_pool.append(raw)
        if not self.hold:
            self.mine()
        return name

    def rpc_eth_get_transaction_receipt(self, name: str) -> Any:
        return self.receipts.get(name)

    # The chain itself

    def mine(self) -> None:
        """Put what waits into a block."""
        with self.lock:
            block = Block(len(self.blocks))
            for signer, raw in self.pool:
                if extrinsic.read(runtime_metadata(), raw).nonce == self.numbers[signer]:
                    self._carry_out(block, signer, raw)
            for raw in self.evm_pool:
                self._carry_out_evm(raw)
            self.pool, self.evm_pool = [], []
            block.numbers = dict(self.numbers)
            self.blocks.append(block)

    def use_number(self, keypair: Keypair) -> None:
        """Let some other transaction use an account's next number."""
        with self.lock:
            self.numbers[keypair.public_key] += 1
            self.mine()

    def _carry_out(self, block: Block, signer: bytes, raw: bytes) -> None:
        index = len(block.extrinsics)
        block.extrinsics.append("0x" + raw.hex())
        self.numbers[signer] += 1
        try:
            to, hotkey, rao = self._moved(signer, extrinsic.read(runtime_metadata(), raw).call)
        except Refusal:
            block.events.append(_event(index, SYSTEM, 1, unsigned(7, 4)))
            return
        fields = to + hotkey + unsigned(rao, 8) + unsigned(rao, 8) + unsigned(NETUID, 2) + unsigned(0, 8)
        block.events.append(_event(index, SUBTENSOR, 2, fields))
        block.events.append(_event(index, SYSTEM, 0, unsigned(1, 8)))

    def _moved(self, signer: bytes, call: bytes) -> tuple[bytes, bytes, int]:
        metadata = runtime_metadata()
        name = metadata.call_name(call[:2]).partition(".")[2]
        cursor = Cursor(call[2:])
        found = {
            one.name: decode(metadata.types, one.type, cursor)
            for one in metadata.call("SubtensorModule", name).arguments
        }
        rao = found["alpha_amount"]
        source = found.get("hotkey") or found["origin_hotkey"]
        target = found.get("hotkey") or found["destination_hotkey"]
        to = found.get("destination_coldkey", signer)
        if self.stakes[signer, source] < rao or name in self.fail_calls:
            raise Refusal(0, "not enough stake")
        self.stakes[signer, source] -= rao
        self.stakes[to, target] += rao
        return to, target, rao

    def _carry_out_evm(self, raw: bytes) -> None:
        number, _, _, to, _, data, v, *_ = rlp.decode(raw)
        assert to.hex() == CONTRACT[2:].lower()
        assert (int.from_bytes(v, "big") - 35) // 2 == self.evm_chain_id
        if int.from_bytes(number, "big") != self.evm_number:
            return
        self.evm_number += 1
        is_done = self._is_possible(data) and SELECTORS[data[:4]] not in self.fail_calls
        if is_done:
            account, rao = data[16:36], int.from_bytes(data[36:68], "big")
            name = SELECTORS[data[:4]]
            self.balances[account] += rao if name == "deposit" else -rao
            self.slashed += rao if name == "slash" else 0
        self.receipts["0x" + keccak(raw).hex()] = {"status": "0x1" if is_done else "0x0"}

    def _is_possible(self, data: bytes) -> bool:
        name, rao = SELECTORS.get(data[:4]), int.from_bytes(data[36:68], "big")
        return name is not None and rao > 0 and (name == "deposit" or self.balances[data[16:36]] >= rao)

    def _block(self, name: str) -> Block:
        for block in self.blocks:
            if block.hash == name:
                return block
        raise Refusal(-32000, "unknown block")


def _unknown(*_: Any) -> Any:
    raise Refusal(-32601, "Method not found")


def _event(index: int, pallet: int, variant: int, fields: bytes) -> bytes:
    return b"\0" + unsigned(index, 4) + bytes([pallet, variant]) + fields + compact(0)


def _handler(stand_in: StandIn) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65_536  # one write per answer: two would wait for each other's acknowledgement

        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert question["jsonrpc"] == "2.0"
            answer: dict[str, Any] = {"jsonrpc": "2.0", "id": question["id"]}
            try:
                answer["result"] = stand_in.answer(question["method"], question["params"])
            except Refusal as refused:
                answer["error"] = {"code": refused.code, "message": refused.message}
                if refused.data:
                    answer["error"]["data"] = refused.data
            except Silence:
                self.close_connection = True
                return
            except Status as status:
                self._send(status.status, status.body)
                return
            self._send(200, json.dumps(answer).encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    return Handler


class BusyClock(FakeClock):
    """A fake clock; ``on_sleep`` is called whenever somebody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.on_sleep: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.on_sleep()
