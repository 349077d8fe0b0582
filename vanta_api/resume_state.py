"""How far a client has come, in memory and on disk.

Rule 1: the file is written whole or not at all, under a name that does not give the key away.
Rule 2: the cursor passes what was handled, in order; once something failed it stays there until the
client starts anew.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from vanta_api.sequence_tracker import Cursor

SAVE_S: Final = 1.0  # how often an iterator saves
logger = logging.getLogger("VantaWebSocketClient")


class ResumeState:
    """One file per (server, key, name). ``directory`` None: nothing is kept on disk."""

    def __init__(
        self, directory: str | Path | None, uri: str, api_key: str | None, name: str, start_at: int
    ) -> None:
        digest = sha256(f"{uri}\n{api_key}\n{name}".encode()).hexdigest()
        self.path = None if directory is None else Path(directory) / f"vanta_client_{digest[:24]}.json"
        self.cursor = self._load() or Cursor(sequence=start_at)
        self._saved = self.cursor
        self._saved_at = time.monotonic()
        self._is_held = False

    def advance(self, cursor: Cursor) -> None:
        """Everything up to ``cursor`` was handled."""
        if not self._is_held:
            self.cursor = cursor

    def hold(self) -> None:
        """What comes next was not handled: stay before it."""
        self._is_held = True

    def release(self) -> None:
        """The client starts anew from the cursor."""
        self._is_held = False

    def save(self) -> None:
        """Write the cursor if it moved; a disk that does not take it is an error in the log."""
        if self.path is None or self.cursor == self._saved:
            return
        try:
            _write(self.path, msgspec.json.encode(self.cursor))
        except OSError as fault:
            logger.error("the cursor could not be saved: %s", fault)
            return
        self._saved, self._saved_at = self.cursor, time.monotonic()

    def save_now_and_then(self) -> None:
        """``save``, at most once in ``SAVE_S``."""
        if time.monotonic() - self._saved_at >= SAVE_S:
            self.save()

    def _load(self) -> Cursor | None:
        """The saved cursor; None when there is none, or (said in the log) none that can be read."""
        if self.path is None:
            return None
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Cursor)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as fault:
            logger.error("resume state %s is not readable: %s", self.path, fault)
            return None


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
