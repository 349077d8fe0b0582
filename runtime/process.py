"""A supervised command as an operating-system process: readiness pipe, life pipe, heartbeat, group."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from runtime.clock import Clock
from runtime.supervisor import Spec

LOOK_MAX_S: Final = 1.0  # a pause of the manager itself counts as no more silence of a worker than this


class SystemProcess:
    """One started worker. Must be made in the manager's main thread (see runtime.supervisor, rule 3)."""

    def __init__(self, spec: Spec, data_dir: Path, clock: Clock, environ: Mapping[str, str]) -> None:
        self._beat_path = data_dir / "run" / f"{spec.name}.json"
        self._clock = clock
        self._line = b""
        self._beat_mtime_ns = 0
        self._silent_s: float | None = None  # None: this process has not beaten yet
        self._looked_s = clock.monotonic()
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
        except OSError:
            self.close()
            raise
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
        """Seconds without a beat of this process; None while the file is of an earlier one.

        Counted between our own looks, so that neither a step of the wall clock nor a pause of this
        process, or of the whole machine, looks like silence.
        """
        now_s = self._clock.monotonic()
        looked_s, self._looked_s = self._looked_s, now_s
        if self._has_new_beat():
            self._silent_s = 0.0
        elif self._silent_s is not None:
            self._silent_s += min(now_s - looked_s, LOOK_MAX_S)
        return self._silent_s

    def _has_new_beat(self) -> bool:
        try:
            mtime_ns = self._beat_path.stat().st_mtime_ns
            if mtime_ns == self._beat_mtime_ns:
                return False
            facts = msgspec.json.decode(self._beat_path.read_bytes())
        except (OSError, msgspec.DecodeError):
            return False
        self._beat_mtime_ns = mtime_ns
        return isinstance(facts, dict) and facts.get("pid") == self.pid

    def signal(self, number: int) -> None:
        """Send a signal to the whole process group (a no-op when it is gone already)."""
        if self._popen.poll() is None:
            os.killpg(self.pid, number)

    def close(self) -> None:
        """Release the pipes."""
        os.close(self._ready_fd)
        os.close(self._life_fd)
