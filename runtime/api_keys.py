"""API keys: who may see what, kept equal to the key file while a server runs.

Rule 1: a key is accepted only if it stands in the last file that could be read whole; a broken, missing
or half-written file changes nothing, a valid empty one (``{}``) revokes everybody.
Rule 2: the table is replaced by one assignment, so no reader ever sees half of two tables.
Rule 3: a server never writes an existing key file; only the command line does.

``python -m runtime.api_keys add|list|revoke|check|usage`` is the command line.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from runtime.api_key_file import (
    SCOPES,
    ApiKey,
    KeyFileError,
    KeyTable,
    Quota,
    digest_of,
    key_id_of,
    parse,
    read_file,
)
from runtime.clock import Clock

__all__ = [
    "SCOPES",
    "ApiKey",
    "KeyFileError",
    "KeyTable",
    "KeyWatcher",
    "Quota",
    "create_default",
    "digest_of",
    "key_id_of",
    "load",
    "parse",
]

DEFAULT_TIERS: Final = (0, 30, 50, 100, 200)  # the keys that a first start creates
POLL_S: Final = 0.25  # content hash; correct where file notifications are lost (NFS, bind mounts)
WRITE_EVENTS: Final = frozenset({"created", "modified", "moved", "deleted", "closed"})  # never our own reads

_log = structlog.get_logger()


def load(path: Path, clock: Clock | None = None) -> KeyTable:
    """Read the key file once. Raises KeyFileError."""
    return parse(read_file(path), clock)


def new_secret() -> str:
    """A random key: 256 bits, safe in a URL, a header and a shell."""
    return secrets.token_urlsafe(32)


def create_default(path: Path) -> dict[str, str]:
    """Make the first key file (mode 0600, one random key per tier) and return ``{user: key}``.

    Raises FileExistsError when there is one already, whatever it holds: it is never overwritten.
    """
    made = {f"tier_{tier}": (new_secret(), tier) for tier in DEFAULT_TIERS}
    document = {user: {"key": secret, "tier": tier} for user, (secret, tier) in made.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_new(path, json.dumps(document, indent=2).encode() + b"\n")
    return {user: secret for user, (secret, _) in made.items()}


def _write_new(path: Path, content: bytes) -> None:
    """Let the whole file appear at once, or raise FileExistsError."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _link(temporary, path)
    finally:
        os.unlink(temporary)


def _link(temporary: str, path: Path) -> None:
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        # No hard links here (FAT, some container mounts): O_EXCL still never overwrites.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(Path(temporary).read_bytes())


class KeyWatcher:
    """Keeps ``table`` equal to the last valid key file, within ``POLL_S`` of every change.

    ``on_change(old, new)`` is called after the swap, from the watcher's thread, whenever a key appeared,
    vanished, expired or changed in any way. It must not raise: that would end the thread, which
    ``is_alive`` then reports. ``error`` says why the present file is not the one in use (None: it is).
    """

    def __init__(
        self, path: Path, clock: Clock, on_change: Callable[[KeyTable, KeyTable], None] | None = None
    ) -> None:
        self._path = path
        self._clock = clock
        self._on_change = on_change
        self._judged: bytes | None = None  # hash of the content that was last parsed, good or bad
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._stop_notify: Callable[[], None] = lambda: None
        self.table = KeyTable(clock=clock)
        self.error: str | None = None
        self._refresh()

    def start(self) -> None:
        """Watch from a thread of our own until ``stop``."""
        self._stop_notify = _notify(self._path, self._wake.set)
        self._thread = threading.Thread(target=self._run, name="key-watcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; the last table stays."""
        self._stopped.set()
        self._wake.set()
        self._stop_notify()
        if self._thread:
            self._thread.join(timeout=5)

    def is_alive(self) -> bool:
        """Whether the watching thread runs. A server whose watcher died must not go on serving."""
        return self._thread is not None and self._thread.is_alive()

    def poll_once(self) -> bool:
        """Look at the file now. True when the table changed (the listener has then been told)."""
        with self._lock:
            old = self.table
            self._refresh()
            changed = old != self.table
            if changed and self._on_change:
                self._on_change(old, self.table)
            return changed

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.clear()
            self.poll_once()
            self._wake.wait(POLL_S)

    def _refresh(self) -> None:
        try:
            self._judge(read_file(self._path))
        except KeyFileError as error:
            self._judged = None  # the same good content may come back: judge it again then
            self._report(str(error))
        self.table = self.table.without_expired()

    def _judge(self, content: bytes) -> None:
        digest = hashlib.sha256(content).digest()
        if digest == self._judged:
            return
        self._judged = digest
        try:
            table = parse(content, self._clock)
        except KeyFileError as error:
            self._report(str(error))
        else:
            self._install(table)

    def _install(self, table: KeyTable) -> None:
        for warning in table.warnings:
            _log.warning("api key entry", problem=warning)
        _log.info("api keys loaded", keys=len(table), file=self._path.name)
        self.table = table.without_expired()
        self.error = None

    def _report(self, problem: str) -> None:
        if problem != self.error:
            _log.warning(
                "api key file not used; the last good one stays", problem=problem, keys=len(self.table)
            )
        self.error = problem


class _Bell(FileSystemEventHandler):
    """Rings for writes to the watched name only: reacting to our own reads would never end."""

    def __init__(self, name: str, ring: Callable[[], None]) -> None:
        self._name = name
        self._ring = ring

    def on_any_event(self, event: FileSystemEvent) -> None:
        names = {os.path.basename(os.fsdecode(path)) for path in (event.src_path, event.dest_path)}
        if event.event_type in WRITE_EVENTS and self._name in names:
            self._ring()


def _notify(path: Path, ring: Callable[[], None]) -> Callable[[], None]:
    """Ring on writes near ``path`` where the system can; return what ends it. The poll is what counts."""
    observer = Observer()
    try:
        observer.schedule(_Bell(path.name, ring), str(path.parent))
        observer.start()
    except (OSError, RuntimeError) as error:  # no inotify watches left, no such directory
        _log.info("no file notifications; polling only", problem=str(error))
        return lambda: None

    def stop() -> None:
        with contextlib.suppress(RuntimeError):
            observer.stop()
            observer.join(timeout=5)

    return stop


if __name__ == "__main__":
    from runtime.api_keys_cli import main

    sys.exit(main())
