"""Brings emissions from their source into the journal.

Rule 1: reading the source never holds up the caller: it happens in a thread, one reading at a time.
Rule 2: a source that is missing, unreadable or wrong changes nothing; what is known stays, and ``problem``
says why. Its address may carry secrets, so it is never part of a text.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import requests
import structlog

from journal.entry import Writer
from runtime.settings import EmissionsSettings, read_secret
from validator.debt.emissions import (
    PREFIX,
    EmissionsRecord,
    SourceError,
    draft_of,
    read_record,
    read_source,
)
from validator.eliminations.index import UNREADABLE, Index

DRAFTS_PER_APPEND: Final = 200  # below the 256 rows that one transaction may hold
BYTES_MAX: Final = 64 * 1024 * 1024
PIECE_BYTES: Final = 1024 * 1024

Read = Callable[[], bytes | None]
"""The source's content; None: it is what it was the last time. Raises SourceError."""

_log = structlog.get_logger()


class Collector:
    """Reads the source every ``refresh_s``. Make it before ``index`` loads: it watches ledger entries."""

    def __init__(
        self,
        index: Index,
        journal: Writer,
        settings: EmissionsSettings,
        window_ms: int,
        read: Read | None = None,
    ) -> None:
        self._journal, self._settings, self._window_ms = journal, settings, window_ms
        self._read = read or reader_of(settings)
        self._known: dict[tuple[str, int], EmissionsRecord] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._reading: Future[list[EmissionsRecord] | None] | None = None
        self._next_ms = 0
        self.problem: str | None = None
        index.watch_ledger(self._watch)

    def tick(self, now_ms: int) -> int:
        """Begin a reading when one is due, or take over what one found; returns how many chunks were new.

        Raises JournalError.
        """
        if self._read is None:
            return 0
        if self._reading is None and now_ms >= self._next_ms:
            self._next_ms = now_ms + round(self._settings.refresh_s * 1000)
            self._pool = self._pool or ThreadPoolExecutor(1, thread_name_prefix="emissions")
            self._reading = self._pool.submit(_parsed, self._read)
            return 0
        if self._reading is None or not self._reading.done():
            return 0
        reading, self._reading = self._reading, None
        try:
            found = reading.result()
        except SourceError as error:
            self._note(str(error))
            return 0
        if found is None:
            return 0  # unchanged: as good or as bad as it was
        self._note(None)
        return self._take(found, now_ms)

    def close(self) -> None:
        """Let go of the thread; a reading that is under way is not waited for."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _take(self, found: list[EmissionsRecord], now_ms: int) -> int:
        since_ms = now_ms - self._window_ms
        fresh = [
            one
            for one in found
            if since_ms < one.chunk.chunk_end_ms <= now_ms and self._known.get(_place(one)) != one
        ]
        new = 0
        for start in range(0, len(fresh), DRAFTS_PER_APPEND):
            part = fresh[start : start + DRAFTS_PER_APPEND]
            done = self._journal.append([draft_of(one, self._window_ms) for one in part])
            self._known |= {_place(one): one for one in part}
            new += sum(one.is_new for one in done)
        return new

    def _watch(self, key: str, body: bytes, sequence: int) -> None:
        if not key.startswith(PREFIX):
            return
        try:
            record = read_record(body)
        except UNREADABLE as error:
            _log.warning("emissions not counted", key=key, problem=str(error))
            return
        self._known[_place(record)] = record

    def _note(self, problem: str | None) -> None:
        if problem != self.problem:
            if problem is None:
                _log.info("emissions are read again")
            else:
                _log.warning("emissions cannot be read", problem=problem)
        self.problem = problem


def _place(record: EmissionsRecord) -> tuple[str, int]:
    return record.hotkey, record.chunk.chunk_end_ms


def _parsed(read: Read) -> list[EmissionsRecord] | None:
    content = read()
    return None if content is None else read_source(content)


def reader_of(settings: EmissionsSettings, environ: Mapping[str, str] | None = None) -> Read | None:
    """What reads the configured source; None when there is none."""
    if settings.source is None:
        return None
    if settings.source.startswith(("http://", "https://")):
        return _Url(settings, os.environ if environ is None else environ)
    return _File(Path(settings.source))


class _File:
    """A file, read again when it changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None

    def __call__(self) -> bytes | None:
        try:
            facts = self._path.stat()
            if facts.st_size > BYTES_MAX:
                raise SourceError(f"emissions: the file is longer than {BYTES_MAX} bytes")
            seen = (facts.st_mtime_ns, facts.st_size)
            if seen == self._seen:
                return None
            content = self._path.read_bytes()
        except OSError as error:
            raise SourceError(f"emissions: the file cannot be read: {error.strerror}") from None
        self._seen = seen
        return content


class _Url:
    """An address, asked only for what changed."""

    def __init__(self, settings: EmissionsSettings, environ: Mapping[str, str]) -> None:
        self._settings, self._environ = settings, environ
        self._tag: str | None = None

    def __call__(self) -> bytes | None:
        try:
            with requests.get(
                self._settings.source or "",
                headers=self._headers(),
                timeout=self._settings.timeout_s,
                stream=True,
                allow_redirects=False,
            ) as answer:
                if answer.status_code == requests.codes.not_modified:
                    return None
                if answer.status_code != requests.codes.ok:
                    raise SourceError(f"emissions: the source answers {answer.status_code}")
                content = _limited(answer)
                self._tag = answer.headers.get("ETag")
                return content
        except requests.RequestException as error:
            raise SourceError(f"emissions: the source cannot be reached: {type(error).__name__}") from None

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if self._tag is not None:
            headers["If-None-Match"] = self._tag
        if self._settings.api_key is not None:
            try:
                headers["Authorization"] = f"Bearer {read_secret(self._settings.api_key, self._environ)}"
            except ValueError as error:
                raise SourceError(f"emissions: {error}") from None
        return headers


def _limited(answer: requests.Response) -> bytes:
    content = bytearray()
    for piece in answer.iter_content(PIECE_BYTES):
        content += piece
        if len(content) > BYTES_MAX:
            raise SourceError(f"emissions: the answer is longer than {BYTES_MAX} bytes")
    return bytes(content)
