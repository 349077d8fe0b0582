"""The clients as programs: alone, as the published snippets and examples use them, killed and signalled."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vanta_api.scripted_http import Reply, Request, ScriptedHttp, scripted_http
from tests.vanta_api.scripted_ws import KEY, ScriptedWs, scripted_ws, until

ROOT = Path(__file__).parents[2]
ALLOWED = (
    "vanta_api websockets msgspec requests urllib3 certifi charset_normalizer chardet idna brotli zstandard"
)
BLOCKER = f"""
import sys
class Alone:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top.startswith("_") or top in {ALLOWED.split()!r}:
            return None
        raise ModuleNotFoundError(f"blocked: {{name}}", name=name)
sys.meta_path.insert(0, Alone())
"""


@pytest.fixture
def server() -> Iterator[ScriptedWs]:
    with scripted_ws() as running:
        yield running


def start(code: str | Path, cwd: Path, *arguments: object, path: Path = ROOT) -> subprocess.Popen[str]:
    """A Python program in a process of its own."""
    program = [str(code)] if isinstance(code, Path) else ["-c", textwrap.dedent(code)]
    return subprocess.Popen(
        [sys.executable, *program, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(path), "PYTHONWARNINGS": "error"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    """Its output; fails with its errors unless it ended well."""
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    return output


# --- alone ----------------------------------------------------------------------------------------


def test_the_package_works_without_any_server_package(server: ScriptedWs, tmp_path: Path) -> None:
    """Copied elsewhere, with everything but its three dependencies blocked from import."""
    shutil.copytree(ROOT / "vanta_api", tmp_path / "vanta_api", ignore=shutil.ignore_patterns("__pycache__"))
    server.append(2)
    program = f"""
{BLOCKER}
import vanta_api.messages, vanta_api.rest_client, vanta_api.wire
from vanta_api.websocket_client import VantaWebSocketClient
client = VantaWebSocketClient({KEY!r}, "127.0.0.1", {server.port}, rest_url="", start_at=0)
for message in client:
    print(message.sequence, message.new_order.trade_pair)
    if message.sequence == 2:
        client.stop()
"""

    output = finished(start(program, tmp_path, path=tmp_path))

    assert output == "1 BTCUSD\n2 BTCUSD\n"


def test_the_blocker_blocks(tmp_path: Path) -> None:
    """The test above could fail."""
    process = start(f"{BLOCKER}\nimport validator.positions", tmp_path)

    assert "blocked: validator" in process.communicate(timeout=30)[1]


# --- published snippets ---------------------------------------------------------------------------

PRINTING_SNIPPET = """
from vanta_api.websocket_client import VantaWebSocketClient
import sys

if __name__ == "__main__":
    # Get API key from command line argument or use default
    api_key = sys.argv[1] if len(sys.argv) > 1 else "test_key"
    host = sys.argv[2] if len(sys.argv) > 2 else "localhost"
    port = int(sys.argv[3]) if len(sys.argv) > 3 else 8765


    # Define a simple message handler. print position and order details
    def handle_messages(messages):
        for msg in messages:
            print(f"\\nReceived message {msg}")
    # Create client
    print(f"Connecting to ws://{host}:{port} with API key: {api_key}")
    client = VantaWebSocketClient(api_key=api_key, host=host, port=port)

    # Run client
    client.run(handle_messages)
"""
ASYNC_SNIPPET = """
from vanta_api.websocket_client import VantaWebSocketClient, VantaWebSocketMessage
import asyncio
from typing import List


async def process_message(msg: VantaWebSocketMessage):
    # Example: Check bid/ask spread
    if msg.new_order.bid and msg.new_order.ask:
        spread = msg.new_order.ask - msg.new_order.bid
        spread_bps = (spread / msg.new_order.price) * 10000  # Basis points

        # Only log significant spreads
        if spread_bps > 10:  # More than 10 bps
            return f"{msg.new_order.trade_pair}: Spread {spread_bps:.1f} bps"

    # Example: Track specific pairs
    if msg.new_order.trade_pair == "BTCUSD":
        return f"BTC: ${msg.new_order.price:.2f} ({msg.new_order.order_type})"

    return None


async def async_handler(messages: List[VantaWebSocketMessage]):
    # Process messages concurrently
    results = await asyncio.gather(*[process_message(msg) for msg in messages])

    # Print non-None results
    for result in filter(None, results):
        print(result)


# Run with async handler
client = VantaWebSocketClient(api_key="your_api_key_here", PORT)
client.subscribe()
client.run(async_handler)
"""
REST_SNIPPET = """
import requests
import json

# Basic request (compression is enabled by default in requests)
url = 'http://<server_ip>:48888/validator-checkpoint'
headers = {'Authorization': 'Bearer your_api_key'}

response = requests.get(url, headers=headers)
data = response.json()

# Check if compression was used
if 'Content-Encoding' in response.headers:
    print(f"Response was compressed using: {response.headers['Content-Encoding']}")
    # The requests library automatically decompresses the response
    print(f"Original compressed size (approximate): {len(response.content)} bytes")
    print(f"Decompressed size: {len(response.text)} bytes")

# Save to file
with open('validator_checkpoint.json', 'w') as f:
    json.dump(data, f)

# Using a session for multiple requests (more efficient)
with requests.Session() as session:
    session.headers.update({'Authorization': 'Bearer your_api_key'})

    # Get miner positions
    pos_response = session.get('http://<server_ip>:48888/miner-positions')
    positions = pos_response.json()

    # Get statistics
    stats_response = session.get('http://<server_ip>:48888/statistics')
    statistics = stats_response.json()
"""


def _subscribed(server: ScriptedWs) -> None:
    until(lambda: any(peer.wanted for peer in server.peers), "subscribed")


def test_the_published_client_snippet_runs(server: ScriptedWs, tmp_path: Path) -> None:
    process = start(PRINTING_SNIPPET, tmp_path, "your_api_key", "localhost", server.port)
    _subscribed(server)
    server.append(2)
    until(lambda: _cursor(tmp_path) == 2, "both handled")
    server.close_all(4005)

    output = finished(process)

    assert output.count("Received message VantaWebSocketMessage(seq=") == 2
    assert re.search(r"\nApprox Timelag \(ms\): from_queue=\d+, from_order=\d+\n", output)
    assert server.auths[0] == {"api_key": "your_api_key", "last_sequence": -1}


def test_the_published_async_snippet_runs(server: ScriptedWs, tmp_path: Path) -> None:
    process = start(ASYNC_SNIPPET.replace("PORT", f"port={server.port}"), tmp_path)
    _subscribed(server)
    server.append()
    order = {"order_type": "SHORT", "price": 5.0, "processed_ms": 1, "order_uuid": "o", "bid": 0, "ask": 0}
    server.entries.append(json.dumps({"position": {"trade_pair": ["BTCUSD"], "orders": [order]}}).encode())
    server.say(server.at(2))
    until(lambda: _cursor(tmp_path) == 2, "both handled")
    server.close_all(4005)

    assert finished(process) == "BTCUSD: Spread 20000.0 bps\nBTC: $5.00 (SHORT)\n"


def _serve_rest(request: Request) -> Reply:
    path = request.path.partition("?")[0]
    bodies = {
        "/validator-checkpoint": {"sequence": 1, "positions": {}},
        "/miner-positions": {"hk": {"n_positions": 2, "all_time_returns": 1.5, "positions": []}},
        "/statistics": {"data": []},
        "/v1/events": {
            "events": [{"sequence": 2, "timestamp": 1, "data": {"position": {"position_uuid": "p2"}}}],
            "last": 2,
            "head": 2,
        },
    }
    if request.headers.get("Authorization") != "Bearer your_api_key":
        return Reply(401, {"error": "Unauthorized access", "request_id": "r-1"})
    body = gzip.compress(json.dumps(bodies[path]).encode())
    return Reply(body=body, headers={"Content-Encoding": "gzip"})


@pytest.fixture
def rest() -> Iterator[ScriptedHttp]:
    with scripted_http(_serve_rest) as running:
        yield running


def test_the_published_rest_snippet_runs(rest: ScriptedHttp, tmp_path: Path) -> None:
    program = REST_SNIPPET.replace("http://<server_ip>:48888", rest.url)

    output = finished(start(program, tmp_path))

    assert "Response was compressed using: gzip" in output
    assert json.loads((tmp_path / "validator_checkpoint.json").read_text())["sequence"] == 1
    assert [request.path for request in rest.requests] == [
        "/validator-checkpoint",
        "/miner-positions",
        "/statistics",
    ]


# --- examples -------------------------------------------------------------------------------------


def test_the_printing_example_ends_politely_on_a_signal(server: ScriptedWs, tmp_path: Path) -> None:
    process = start(ROOT / "examples/websocket_client.py", tmp_path, KEY, "localhost", server.port)
    _subscribed(server)
    server.append(2)
    until(lambda: _cursor(tmp_path) == 2, "both handled")
    process.send_signal(signal.SIGTERM)

    output, errors = process.communicate(timeout=30)

    assert process.returncode == 0, errors
    assert output.count("Received message") == 2
    assert "connected to ws://localhost" in errors
    assert KEY not in errors


def test_the_async_example_runs(server: ScriptedWs, tmp_path: Path) -> None:
    process = start(ROOT / "examples/async_handler.py", tmp_path, KEY, "localhost", server.port)
    _subscribed(server)
    server.append()
    until(lambda: _cursor(tmp_path) == 1, "handled")
    process.send_signal(signal.SIGINT)

    assert finished(process) == "BTCUSD: Spread 20000.0 bps\n"


def test_the_rest_example_runs(rest: ScriptedHttp, tmp_path: Path) -> None:
    output = finished(start(ROOT / "examples/rest_requests.py", tmp_path, "your_api_key", rest.url))

    assert "hk: 2 positions, return 1.5000" in output
    assert "validator_checkpoint.json is the state at sequence 1" in output
    assert "since then: 2 p2" in output


def test_the_rest_example_says_in_one_line_what_is_wrong(rest: ScriptedHttp, tmp_path: Path) -> None:
    process = start(ROOT / "examples/rest_requests.py", tmp_path, "wrong", rest.url)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 1
    assert errors == "the server says: 401: Unauthorized access (request r-1)\n"


# --- killed ---------------------------------------------------------------------------------------

RECORDER = """
import os, sys
from vanta_api.websocket_client import VantaWebSocketClient
log = os.open("seen", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
def handle(messages):
    for message in messages:
        os.write(log, b"%d\\n" % message.sequence)
client = VantaWebSocketClient(sys.argv[1], "127.0.0.1", int(sys.argv[2]), rest_url="", start_at=0)
client.run(handle)
"""


def test_a_client_killed_at_any_moment_misses_nothing(server: ScriptedWs, tmp_path: Path) -> None:
    """kill -9 eight times while entries come; only what was not yet said to be handled may come again."""
    seed = 20251120
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(8):
        process = start(RECORDER, tmp_path, KEY, server.port)
        seen_before = len(_seen(tmp_path))
        server.append(chance.randint(1, 40))
        _saw_more_than(tmp_path, seen_before)
        server.append(chance.randint(1, 40))
        process.kill()
        process.communicate(timeout=10)
    process = start(RECORDER, tmp_path, KEY, server.port)
    until(lambda: server.head in _seen(tmp_path), "the last entry", 20)
    process.send_signal(signal.SIGTERM)
    finished(process)
    seen = _seen(tmp_path)

    assert sorted(set(seen)) == list(range(1, server.head + 1))
    assert all(after <= max(seen[: i + 1]) + 1 for i, after in enumerate(seen[1:]))


def _saw_more_than(directory: Path, count: int) -> None:
    until(lambda: len(_seen(directory)) > count, f"more than {count} entries handled", 20)


def _seen(directory: Path) -> list[int]:
    path = directory / "seen"
    return [int(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


def _cursor(directory: Path) -> int | None:
    for path in directory.glob("vanta_client_*.json"):
        return int(json.loads(path.read_text())["sequence"])
    return None
