"""The real worker, ``python -m ws_server``, on a data directory of its own."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from journal.entry import POSITIONS
from journal.sqlite import SqliteJournal
from tests.ws_server.helpers import draft
from tests.ws_server.raw import RawClient

ROOT = Path(__file__).resolve().parents[2]


class WorkerProcess:
    """Starts on ``port`` (0: any) and waits for its readiness line."""

    def __init__(self, directory: Path, *, port: int = 0, environ: dict[str, str] | None = None) -> None:
        self.directory = directory
        keys = directory / "api_keys.json"
        if not keys.exists():
            keys.write_text(json.dumps({"user": "good"}))
        self._errors = (directory / "stderr").open("ab")
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "ws_server", *self._options(keys, port)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **(environ or {})},
        )
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        self.facts: dict[str, Any] = json.loads(line) if line else {}
        self.port = int(self.facts.get("port", 0))

    def _options(self, keys: Path, port: int) -> list[str]:
        return [
            f"--data-dir={self.directory / 'data'}",
            f"--api-keys={keys}",
            f"--api-ws-port={port}",
        ]

    def client(self, last_sequence: int = -1, **auth: Any) -> RawClient:
        """A subscriber of everything after ``last_sequence``."""
        client = RawClient(self.port)
        try:
            client.say({"api_key": "good", "last_sequence": last_sequence, **auth})
            client.welcome = client.hear()
            client.say({"type": "subscribe", "all": True})
            client.hear()
        except OSError:
            client.close()
            raise
        return client

    def kill(self) -> None:
        """``kill -9``."""
        self.popen.kill()
        self._reap()

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self.popen.send_signal(signal.SIGTERM)
        return self._reap()

    def _reap(self) -> int:
        code = self.popen.wait(15)
        assert self.popen.stdout is not None
        self.popen.stdout.close()
        self._errors.close()
        return code

    def stderr(self) -> str:
        """What it wrote to stderr."""
        return (self.directory / "stderr").read_text()

    def complaints(self) -> list[str]:
        """The lines on stderr that are for a person, not log events."""
        return [line for line in self.stderr().splitlines() if not line.startswith("{")]

    def beat(self) -> dict[str, Any]:
        """Its heartbeat file."""
        found: dict[str, Any] = json.loads((self.directory / "data" / "run" / "ws.json").read_text())
        return found


def lasting_port() -> int:
    """A free port that no outgoing connection can take while its server is being started again."""
    while True:
        port = random.randrange(15_000, 30_000)  # below the ports that the kernel hands to clients
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def append(journal: SqliteJournal, count: int = 1) -> int:
    """Append position entries; the new head."""
    head = journal.head(POSITIONS)
    journal.append([draft(head + 1 + number) for number in range(count)])
    return head + count
