"""The whole product as a user starts it: one command, real processes, real sockets, free ports."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from venues.sandboxes import free_ports

ROOT = Path(__file__).resolve().parent.parent.parent
READY_S = 90.0  # two slow cores start a dozen processes


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Poll until the condition holds; fails naming what did not happen."""
    deadline = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.1)


class Stack:
    """``python api_manager.py --serve --sandbox`` on a data directory."""

    def __init__(self, directory: Path, *arguments: str, sandbox: bool = True) -> None:
        self.directory = directory
        self.rest_port, self.ws_port = free_ports(2)
        self.keys_path = directory / "api_keys.json"
        self._arguments = (*(("--sandbox",) if sandbox else ()), *arguments)
        self.process: subprocess.Popen[str] | None = None
        self.output: list[str] = []

    def start(self) -> Stack:
        """Start and wait until everything serves."""
        command = [
            *(sys.executable, str(ROOT / "api_manager.py"), "--serve"),
            *("--data-dir", str(self.directory / "data"), "--api-keys", str(self.keys_path)),
            *("--api-rest-port", str(self.rest_port), "--api-ws-port", str(self.ws_port)),
            *self._arguments,
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.directory
        )
        ready = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(self.process, ready), daemon=True)
        self._reader.start()
        assert ready.wait(READY_S), "not ready in time:\n" + "".join(self.output[-40:])
        return self

    def _read(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.output.append(line)
            if line.startswith("Try: curl"):
                ready.set()
        process.stdout.close()
        ready.set()

    def key(self, tier: int) -> str:
        """The key of that tier."""
        users = json.loads(self.keys_path.read_text())
        return next(str(user["key"]) for user in users.values() if user["tier"] == tier)

    def get(self, path: str, tier: int = 100) -> Any:
        """GET as a user of that tier; the decoded body."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.rest_port}{path}", headers={"Authorization": f"Bearer {self.key(tier)}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def try_get(self, path: str) -> Any:
        """As ``get``; None while nobody answers."""
        try:
            return self.get(path)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    def workers(self) -> dict[str, int]:
        """``{worker: pid}`` of what runs now."""
        found = {}
        for path in (self.directory / "data" / "run").glob("*.json"):
            facts = json.loads(path.read_text())
            if "pid" in facts and is_alive(facts["pid"]):
                found[path.stem] = int(facts["pid"])
        return found

    def kill_everything(self) -> None:
        """``kill -9`` of the manager; its workers must follow it."""
        assert self.process is not None
        pids = list(self.workers().values())
        self.process.kill()
        self.process.wait(10)
        until(lambda: not any(map(is_alive, pids)), 10, "workers dying with their manager")

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def close(self) -> None:
        """Make sure nothing is left."""
        if self.process is not None and self.process.poll() is None:
            self.kill_everything()
        if self.process is not None:
            self._reader.join(10)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def stack(directory: Path, *arguments: str, sandbox: bool = True) -> Iterator[Stack]:
    """A started stack that is gone after the block."""
    one = Stack(directory, *arguments, sandbox=sandbox)
    try:
        yield one.start()
    finally:
        one.close()


class Subscriber:
    """Collects ``{sequence: frame}`` over any number of connections, resuming where it was."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.frames: dict[int, dict[str, Any]] = {}
        self.last = 0
        self.epochs: list[str] = []
        self.faults: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(15)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with connect(
                    f"ws://127.0.0.1:{self._stack.ws_port}", open_timeout=5, close_timeout=1
                ) as connection:
                    self._listen(connection)
            except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError, EOFError):  # killed just then
                time.sleep(0.1)

    def _listen(self, connection: ClientConnection) -> None:
        connection.send(json.dumps({"api_key": self._stack.key(100), "last_sequence": self.last}))
        reply = json.loads(connection.recv(10))
        if reply.get("status") != "success" or not reply.get("recovered"):
            self.faults.append(f"reply {reply}")
        if reply.get("epoch") not in self.epochs:
            self.epochs.append(reply.get("epoch"))
        connection.send(json.dumps({"type": "subscribe", "all": True}))
        while not self._stop.is_set():
            try:
                self._take(json.loads(connection.recv(0.5)))
            except TimeoutError:
                continue

    def _take(self, frame: dict[str, Any]) -> None:
        for one in frame.get("messages", [frame]):
            if "sequence" not in one:
                continue
            if one["sequence"] != self.last + 1:
                self.faults.append(f"{self.last} then {one['sequence']}")
            self.last = one["sequence"]
            self.frames[self.last] = one
