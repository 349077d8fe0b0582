"""Group commit: threads that append at the same time share one transaction and one fsync.

Rule 1: there is no extra thread. Whoever comes while nobody commits leads: it commits its own drafts
together with all that came meanwhile, then hands the lead to the first of those still waiting.
Rule 2: every caller gets its own results or its own error, and nobody waits for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

from journal.entry import Appended, JournalError
from journal.plan import Prepared

GROUP_ROWS: Final = 256  # a longer transaction would keep other processes waiting


class Request:
    """One caller's drafts and what became of them."""

    __slots__ = ("error", "gate", "leads", "packed", "prepared", "results")

    def __init__(self, prepared: Sequence[Prepared], packed: dict[bytes, bytes]) -> None:
        self.prepared = prepared
        self.packed = packed  # body → deflated body, for those that are stored so
        self.results: list[Appended] = []
        self.error: JournalError | None = None
        self.leads = False
        self.gate: threading.Lock | None = None


class GroupCommit:
    """Lets one thread at a time call ``commit`` with as many requests as fit one transaction.

    ``commit(requests)`` fills each request's ``results`` or ``error``, or raises for all of them.
    """

    def __init__(self, commit: Callable[[list[Request]], None]) -> None:
        self._commit = commit
        self._lock = threading.Lock()
        self._waiting: list[Request] = []
        self._busy = False

    def run(self, request: Request) -> list[Appended]:
        """Commit the request, alone or in company; returns its results or raises its error."""
        if self._must_wait(request):
            assert request.gate is not None
            request.gate.acquire()  # released by whoever leads
        if request.leads:
            self._lead(request)
        if request.error is not None:
            raise request.error
        return request.results

    def _must_wait(self, request: Request) -> bool:
        with self._lock:
            if not self._busy:
                self._busy = request.leads = True
                return False
            request.gate = threading.Lock()
            request.gate.acquire()
            self._waiting.append(request)
            return True

    def _lead(self, request: Request) -> None:
        company = [request, *self._company(len(request.prepared))]
        try:
            self._commit(company)
        except BaseException as error:
            shared = error if isinstance(error, JournalError) else JournalError(f"commit failed: {error!r}")
            for member in company:
                member.error = shared
            raise
        finally:
            self._hand_over(company[1:])

    def _company(self, rows: int) -> list[Request]:
        with self._lock:
            count = 0
            for waiting in self._waiting:
                rows += len(waiting.prepared)
                if rows > GROUP_ROWS:
                    break
                count += 1
            company, self._waiting = self._waiting[:count], self._waiting[count:]
        return company

    def _hand_over(self, served: Sequence[Request]) -> None:
        for member in served:
            if member.gate is not None:
                member.gate.release()
        with self._lock:
            if not self._waiting:
                self._busy = False
                return
            heir = self._waiting.pop(0)
        heir.leads = True
        if heir.gate is not None:
            heir.gate.release()
