"""The audit log: one JSON line per event, durable when ``write`` returns, in files that turn over by size.

Rule: keys stand there by id; whatever is named like a secret is masked.
"""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from runtime.clock import Clock
from runtime.logs import mask_secrets

FILE_NAME: Final = "audit_log.jsonl"
FILE_BYTES_MAX: Final = 8 * 1024 * 1024
FILES_KEPT: Final = 9  # besides the one that is written


class AuditLog:
    """The log in ``directory``, made when first written. Threads may share it; one process writes it."""

    def __init__(self, directory: Path, clock: Clock, bytes_max: int = FILE_BYTES_MAX) -> None:
        self.path = directory / FILE_NAME
        self._clock, self._bytes_max = clock, bytes_max
        self._lock = threading.Lock()

    def write(self, event: str, **facts: Any) -> None:
        """Add a line and make it durable. Raises OSError."""
        at = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC).isoformat(timespec="milliseconds")
        line = orjson.dumps({"timestamp": at, "event": event, **mask_secrets(None, "", dict(facts))}) + b"\n"
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._turn_over(len(line))
            is_new = not self.path.exists()
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                self._append(descriptor, line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if is_new:
                _keep_names(self.path.parent)

    def files(self) -> list[Path]:
        """The files that are there, newest first."""
        return [path for path in (self.path, *map(self._older, range(1, FILES_KEPT + 1))) if path.exists()]

    def _append(self, descriptor: int, line: bytes) -> None:
        """Write the whole line or nothing; half of one that a crash left is closed, not continued."""
        before = os.fstat(descriptor).st_size
        if before and os.pread(descriptor, 1, before - 1) != b"\n":
            line = b"\n" + line
        try:
            while line:
                line = line[os.write(descriptor, line) :]
        except OSError:
            os.ftruncate(descriptor, before)
            raise

    def _turn_over(self, coming: int) -> None:
        """Begin a new file when the line would make this one too large."""
        if not self.path.exists() or self.path.stat().st_size + coming <= self._bytes_max:
            return
        for number in range(FILES_KEPT - 1, 0, -1):
            if self._older(number).exists():
                os.replace(self._older(number), self._older(number + 1))
        os.replace(self.path, self._older(1))

    def _older(self, number: int) -> Path:
        return self.path.with_name(f"{FILE_NAME}.{number}")


def _keep_names(directory: Path) -> None:
    """Make new and renamed files' names durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
