"""The metagraph asked of a node: pages, odd answers, and a node that is away."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from rest_server import metagraph_node
from rest_server.metagraph_node import NodeMetagraph, read_hotkeys, storage_prefix
from runtime.clock import FakeClock
from validator.signing import encode_address

KEYS = [bytes([uid]) * 32 for uid in range(5)]
HOTKEYS = tuple(encode_address(key) for key in KEYS)


class Chain:
    """Storage of one subnet behind the two calls that are needed."""

    def __init__(self, netuid: int = 8) -> None:
        self.storage = {
            storage_prefix(netuid) + uid.to_bytes(2, "little").hex(): "0x" + key.hex()
            for uid, key in enumerate(KEYS)
        }

    def call(self, method: str, *parameters: Any) -> Any:
        if method == "state_getKeysPaged":
            prefix, count, start = parameters
            keys = sorted(key for key in self.storage if key.startswith(prefix))
            return [key for key in keys if start is None or key > start][:count]
        assert method == "state_queryStorageAt"
        return [{"block": "0x00", "changes": [[key, self.storage[key]] for key in parameters[0]]}]


def test_the_storage_key_is_the_chains() -> None:
    """twox128 of the pallet and of the item, as every Substrate chain computes them, and the netuid."""
    assert storage_prefix(8).startswith("0x658faa385070e074c85bf6b568cf0555")
    assert storage_prefix(8).endswith("0800")
    assert len(storage_prefix(8)) == 2 + 2 * (32 + 2)


@pytest.mark.parametrize("page", [1, 2, 5, 1000])
def test_hotkeys_come_by_uid_whatever_the_page(page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metagraph_node, "PAGE", page)

    assert read_hotkeys(Chain(), 8) == HOTKEYS
    assert read_hotkeys(Chain(), 9) == ()


@pytest.mark.parametrize("answer", [None, 7, [7], {}, [{"changes": 1}], [{"changes": [["0x0000", "0x12"]]}]])
def test_an_odd_answer_is_refused(answer: Any) -> None:
    class Odd(Chain):
        def call(self, method: str, *parameters: Any) -> Any:
            return ["0x00"] if method == "state_getKeysPaged" and isinstance(answer, list) else answer

    with pytest.raises(ValueError, match=r"state_|bytes|end"):
        read_hotkeys(Odd(), 8)


@pytest.fixture
def node() -> Iterator[str]:
    chain = Chain()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(
                {"id": asked["id"], "result": chain.call(asked["method"], *asked["params"])}
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_it_reads_a_real_socket_and_keeps_what_it_had_when_the_node_is_away(node: str) -> None:
    metagraph = NodeMetagraph(node, 8, FakeClock())
    metagraph.ask()
    metagraph._node = metagraph_node.Rpc("http://127.0.0.1:9/secret-path", 1.0)
    metagraph.ask()

    assert metagraph._hotkeys == HOTKEYS
    assert metagraph.error is not None
    assert "secret" not in metagraph.error
