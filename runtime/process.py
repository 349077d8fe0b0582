"""A supervised command as an operating-system process: readiness pipe, life pipe, heartbeat, group."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from runtime.clock import Clock
from runtime.supervisor import Spec


class SystemProcess:
    """One started worker. Must be made in the manager's main thread (see runtime.supervisor, rule 3)."""

    def __init__(self, spec: Spec, data_dir: Path, clock: Clock, environ: Mapping[str, str]) -> None:
        self._beat_path = data_dir / "run" / f"{spec.name}.json"
        self._clock = clock
        self._line = b""
        self._ready_fd, child_ready = os.pipe()
        child_life, self._life_fd = os.pipe()
        os.set_blocking(self._ready_fd, False)
        try:
            self._popen = subprocess.Popen(
                list(spec.argv),
                env={
                    **environ,
                    **spec.environ,
                    "VANTA_READY_FD": str(child_ready),
                    "VANTA_LIFE_FD": str(child_life),
                    "VANTA_MANAGER_PID": str(os.getpid()),
                },
                stdin=subprocess.DEVNULL,
                pass_fds=(child_ready, child_life),
                process_group=0,
            )
        finally:
            os.close(child_ready)
            os.close(child_life)
        self.pid = self._popen.pid

    def poll(self) -> int | None:
        """Exit code, or None while it runs."""
        return self._popen.poll()

    def ready(self) -> dict[str, Any] | None:
        """The readiness line, once complete."""
        try:
            self._line += os.read(self._ready_fd, 65536)
        except BlockingIOError:
            return None
        if not self._line.endswith(b"\n"):
            return None
        facts: dict[str, Any] = msgspec.json.decode(self._line)
        return facts

    def last_beat_s(self) -> float | None:
        """Seconds since this process last beat; None when the file is of an earlier process."""
        try:
            facts = msgspec.json.decode(self._beat_path.read_bytes())
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        if facts.get("pid") != self.pid:
            return None
        return float((self._clock.now_ms() - int(facts["beat_ms"])) / 1000)

    def signal(self, number: int) -> None:
        """Send a signal to the whole process group (a no-op when it is gone already)."""
        if self._popen.poll() is None:
            os.killpg(self.pid, number)

    def close(self) -> None:
        """Release the pipes."""
        os.close(self._ready_fd)
        os.close(self._life_fd)
