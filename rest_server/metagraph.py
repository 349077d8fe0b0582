"""The subnet's hotkeys, from a file that an operator keeps up to date.

Rule: a file that is missing, half-written or not a JSON list of strings changes nothing; the last good
list stays, and ``error`` says why.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

import msgspec

from runtime.clock import Clock

LOOK_EVERY_S: Final = 5.0  # a metagraph changes every few minutes; a request must not stat each time
BYTES_MAX: Final = 8 * 1024 * 1024


class Metagraph:
    """``hotkeys()`` of the file at ``path`` (None: no metagraph is configured)."""

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_s: float | None = None
        self._seen: tuple[int, int] | None = None
        self._hotkeys: tuple[str, ...] = ()
        self.error: str | None = None

    def hotkeys(self) -> tuple[str, ...]:
        """The newest good list."""
        now = self._clock.monotonic()
        with self._lock:
            if self._path and (self._looked_s is None or now - self._looked_s >= LOOK_EVERY_S):
                self._looked_s = now
                self._look(self._path)
            return self._hotkeys

    def _look(self, path: Path) -> None:
        try:
            facts = path.stat()
            version = (facts.st_mtime_ns, facts.st_size)
            if version == self._seen and self.error is None:
                return
            if facts.st_size > BYTES_MAX:
                raise ValueError(f"longer than {BYTES_MAX} bytes")
            self._hotkeys = tuple(dict.fromkeys(msgspec.json.decode(path.read_bytes(), type=list[str])))
        except OSError as error:
            self.error = f"the metagraph file cannot be read: {error.strerror}"
        except ValueError as error:  # msgspec's errors are ValueErrors
            self.error = f"the metagraph file is not a JSON list of hotkeys: {error}"
        else:
            self._seen, self.error = version, None
