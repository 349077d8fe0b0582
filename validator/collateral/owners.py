"""Which coldkey owns a hotkey, where no chain can be asked.

The operator's file (a JSON object, hotkey → coldkey) decides; it is read again when it changes. For a hotkey
that is not in it, the coldkey that made its first accepted deposit is its owner, for good.

Rule: a file that is missing, half-written or wrong changes nothing; the last good one counts, and ``error``
says why.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from journal.entry import Draft
from runtime.clock import Clock
from validator.registry import ABSENT, Registry, draft

OWNER: Final = "owner|"  # registry key: <hotkey>
LOOK_EVERY_S: Final = 5.0
BYTES_MAX: Final = 8 * 1024 * 1024


class _Owner(msgspec.Struct, frozen=True):
    coldkey: str


class Owners:
    """Owners from a file (None: there is none) and from the registry."""

    def __init__(self, registry: Registry, path: Path | None, clock: Clock) -> None:
        self._registry, self._path, self._clock = registry, path, clock
        self._lock = threading.Lock()
        self._looked_s: float | None = None
        self._seen: tuple[int, int] | None = None
        self._named: Mapping[str, str] = {}
        self.error: str | None = None

    def owner_of(self, hotkey: str) -> str | None:
        """The coldkey that owns the hotkey, or None when nobody does yet. Raises JournalError."""
        named = self._file().get(hotkey)
        if named is not None:
            return named
        fact = self._registry.get(OWNER + hotkey)
        return msgspec.json.decode(fact.body, type=_Owner).coldkey if fact else None

    def first(self, hotkey: str, coldkey: str) -> Draft:
        """The draft that makes the coldkey the owner of a hotkey that has none."""
        return draft(OWNER + hotkey, msgspec.json.encode(_Owner(coldkey)), expected=ABSENT)

    def _file(self) -> Mapping[str, str]:
        now_s = self._clock.monotonic()
        with self._lock:
            if self._path and (self._looked_s is None or now_s - self._looked_s >= LOOK_EVERY_S):
                self._looked_s = now_s
                self._look(self._path)
            return self._named

    def _look(self, path: Path) -> None:
        try:
            facts = path.stat()
            version = (facts.st_mtime_ns, facts.st_size)
            if version == self._seen and self.error is None:
                return
            if facts.st_size > BYTES_MAX:
                raise ValueError(f"longer than {BYTES_MAX} bytes")
            self._named = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
            self._seen, self.error = version, None
        except (OSError, ValueError, RecursionError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            self.error = f"the owners file cannot be used: {reason}"
