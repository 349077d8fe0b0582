"""Single workers of a node, as processes on a data directory of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import msgspec

from journal.sqlite import SqliteJournal
from runtime.settings import Settings, dump
from tests.end_to_end.stack import ROOT, until
from venues.sandboxes import free_ports

KEYS = {
    "reader": {"key": "key-of-tier-100", "tier": 100},
    "operator": {"key": "key-of-tier-200", "tier": 200},
}
OPERATOR = "key-of-tier-200"


class Node:
    """A directory with a journal and the workers that a test starts on it."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.rest_port, self.ws_port = free_ports(2)
        keys = directory / "api_keys.json"
        keys.write_text(json.dumps(KEYS))
        self.settings = Settings(
            data_dir=directory / "data",
            api_keys=keys,
            api_rest_port=self.rest_port,
            api_ws_port=self.ws_port,
            log_level="error",
            **settings,
        )
        self._resolved = directory / "settings.json"
        self.change()
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.environ: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.rest_port}"

    def change(self, **settings: Any) -> None:
        """Give the workers that are started from now on other settings."""
        self.settings = msgspec.structs.replace(self.settings, **settings)
        dump(self.settings, self._resolved)

    def journal(self) -> SqliteJournal:
        """The journal, to write to; the caller closes it."""
        return SqliteJournal(self.settings.journal_path)

    def start(self, name: str, *command: str, wait: bool = True) -> None:
        """Start ``python -m <command>``; ``wait`` for its readiness line."""
        process = subprocess.Popen(
            [sys.executable, "-m", *(command or (name,)), "--settings", str(self._resolved)],
            cwd=self.directory,
            env={**os.environ, "PYTHONPATH": str(ROOT), **self.environ},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes[name] = process
        if wait:
            assert process.stdout is not None
            assert '"ready": true' in process.stdout.readline(), f"{name} did not start"

    def kill(self, name: str) -> None:
        """kill -9; returns once it is gone."""
        process = self.processes.pop(name)
        process.kill()
        process.communicate()

    def stop(self, name: str) -> int:
        """SIGTERM; the exit code."""
        process = self.processes.pop(name)
        process.terminate()
        process.communicate(timeout=30)
        return int(process.returncode)

    def close(self) -> None:
        """Leave nothing behind."""
        for name in list(self.processes):
            self.kill(name)

    def get(self, path: str, key: str = OPERATOR) -> Any:
        """The decoded answer of REST."""
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def try_get(self, path: str) -> Any:
        """As ``get``; None while nobody answers."""
        try:
            return self.get(path)
        except OSError:
            return None

    def sequences(self) -> dict[str, int]:
        """What REST has applied; empty while nobody answers."""
        found = self.try_get("/api/health") or {}
        return dict(found.get("sequences", {}))

    def until_applied(self, heads: dict[str, int], seconds: float = 30.0) -> None:
        """Wait until REST shows everything up to these numbers."""
        until(lambda: self.sequences() == heads, seconds, f"REST at {heads}")
