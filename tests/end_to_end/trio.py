"""Sandbox, poller and WebSocket server on one journal, started by hand, killed and replaced at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from runtime.clock import SystemClock
from runtime.settings import SandboxSettings, Settings, VenueSettings, dump
from tests.end_to_end.stack import ROOT
from venues.sandboxes import arrange, free_ports

KEY = "key-of-the-kill-test"


class Trio:
    """``sandbox-o2``, ``poll-o2`` and ``ws`` as processes; the last two may be killed at any moment."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        (self.ws_port,) = free_ports(1)
        keys = directory / "api_keys.json"
        keys.write_text(json.dumps({"me": {"key": KEY, "tier": 100}}))
        (directory / "data" / "run").mkdir(parents=True)
        wanted = Settings(
            data_dir=directory / "data",
            api_keys=keys,
            api_ws_port=self.ws_port,
            log_level="error",
            venues={"o2": VenueSettings()},
            sandbox=SandboxSettings(enabled=True, seed=seed, accounts=6),
        )
        settings, (sandbox,) = arrange(wanted, SystemClock())
        fast = msgspec.structs.replace(settings.venues["o2"], poll_interval_s=0.2, requests_per_s=1000.0)
        settings = msgspec.structs.replace(settings, venues={"o2": fast})
        self._resolved = directory / "data" / "run" / "settings.json"
        dump(settings, self._resolved)
        self._commands = {
            "sandbox-o2": ("venues", *sandbox.arguments),
            "poll-o2": ("venues", "poll", "o2"),
            "ws": ("ws_server",),
        }
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def key(self, tier: int) -> str:
        """The one key there is."""
        return KEY

    def start(self, name: str, *, wait: bool = True) -> None:
        """Start one command; ``wait`` for its readiness line."""
        process = subprocess.Popen(
            [sys.executable, "-m", *self._commands[name], "--settings", str(self._resolved)],
            cwd=self.directory,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
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

    def close(self) -> None:
        """Leave nothing behind."""
        for name in list(self.processes):
            self.kill(name)
