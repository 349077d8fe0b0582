"""The journal as the server writes to it: not before there is something to write.

Rule: a server that only reads works on a disk that takes nothing, on a replica and beside a full disk; only
the requests that would write are refused (UnavailableError, answered 503).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from journal.entry import PAGE_BYTES, PAGE_ENTRIES, Appended, Draft, Journal, Page, Reader


class Appending:
    """Reads through ``reader``; opens the journal for writing when the first draft comes."""

    def __init__(self, reader: Reader, open_journal: Callable[[], Journal]) -> None:
        self._reader, self._open = reader, open_journal
        self._lock = threading.Lock()
        self._journal: Journal | None = None

    def read(self, stream: str, after: int, limit: int = PAGE_ENTRIES, max_bytes: int = PAGE_BYTES) -> Page:
        """See ``journal.entry.Reader.read``."""
        return self._reader.read(stream, after, limit, max_bytes)

    def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        """See ``journal.entry.Writer.append``."""
        with self._lock:
            if self._journal is None:
                self._journal = self._open()
        return self._journal.append(drafts)

    def close(self) -> None:
        """Close what was opened; the reader stays open."""
        with self._lock:
            if self._journal is not None:
                self._journal.close()
