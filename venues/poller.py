"""One venue's poller: asks for every account in turn and appends what changed.

Rule 1: polling is the truth. A snapshot is complete or the poll failed; nothing is merged from streams.
Rule 2: accounts are isolated. An account whose payload is broken is quarantined with the field path, its
last good state stays (and ages visibly); the others go on.
Rule 3: fetching happens in threads, everything after it in one: books and journal need no locks.
"""

from __future__ import annotations

import heapq
import queue
import random
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal

import structlog
from prometheus_client import Counter, Gauge

from journal.entry import UnavailableError
from runtime.clock import Clock
from runtime.settings import AccountSettings, VenueSettings
from vanta_api.records import AccountSizeRecord
from venues.book import AccountBook
from venues.breaker import Breaker, Cadence
from venues.errors import Broken, Rejected, Retryable, VenueError
from venues.model import Snapshot
from venues.sink import Sink
from venues.venue import Venue, VenueClient

DEFAULT_ACCOUNT_SIZE: Final = Decimal(100_000)  # USD, when neither configured nor reported
FETCH_THREADS: Final = 8
IDLE_S: Final = 0.2  # longest wait between two looks at stop and heartbeat

# What code that was written for a documented payload raises when a drifted one slips past its schema.
DRIFT: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)

Status = Literal["starting", "ok", "retrying", "rejected", "quarantined"]

POLLS: Final = Counter("vanta_venue_poll", "Polls by outcome", ("venue", "outcome"))
ENTRIES: Final = Counter("vanta_venue_entries", "Entries appended", ("venue",))
BREAKER: Final = Gauge("vanta_venue_breaker_open", "1 while the venue is left alone", ("venue",))
LAST_SUCCESS: Final = Gauge("vanta_venue_last_success_timestamp_seconds", "Last good poll", ("venue",))


@dataclass(slots=True)
class Tracked:
    """One account and how it is doing."""

    settings: AccountSettings
    book: AccountBook
    cadence: Cadence
    status: Status = "starting"
    message: str = ""
    last_success_ms: int | None = None
    has_size: bool = False


@dataclass(order=True, slots=True)
class Due:
    """When an account is to be polled next (monotonic seconds)."""

    at: float
    index: int
    tracked: Tracked = field(compare=False)


class Poller:
    """Polls the accounts of one venue until told to stop."""

    def __init__(
        self,
        venue: Venue,
        client: VenueClient,
        settings: VenueSettings,
        tracked: list[Tracked],
        sink: Sink,
        clock: Clock,
        jitter: random.Random | None = None,
    ) -> None:
        self._venue, self._client, self._settings = venue, client, settings
        self.tracked, self._sink, self._clock = tracked, sink, clock
        self.breaker = Breaker(clock)
        self._log = structlog.get_logger().bind(venue=venue.name)
        spread = jitter or random.Random()
        start = clock.monotonic()
        gap = min(settings.poll_interval_s, 1.0) / max(len(tracked), 1)
        self._due = [Due(start + n * gap * spread.random(), n, t) for n, t in enumerate(tracked)]
        heapq.heapify(self._due)
        self._done: queue.SimpleQueue[tuple[Due, Future[Snapshot | VenueError]]] = queue.SimpleQueue()

    def run(self, is_stopped: Callable[[], bool], beat: Callable[[], None]) -> None:
        """Poll until ``is_stopped``; ``beat`` is called at least every ``IDLE_S`` seconds."""
        with ThreadPoolExecutor(FETCH_THREADS, thread_name_prefix=f"fetch-{self._venue.name}") as pool:
            while not is_stopped():
                self._submit_due(pool)
                self._collect()
                beat()

    def poll(self, tracked: Tracked) -> Snapshot | VenueError:
        """Fetch and normalise one account; never raises a VenueError, returns it."""
        try:
            payload = self._client.fetch(tracked.settings, tracked.book.since_ms())
            return self._venue.normalise(payload)
        except VenueError as error:
            return error
        except DRIFT as error:
            self._log.exception("payload drifted", account=tracked.settings.account)
            return drifted(error)

    def take(self, tracked: Tracked, outcome: Snapshot | VenueError) -> float:
        """Act on a poll's outcome; returns the seconds to this account's next poll."""
        if isinstance(outcome, VenueError):
            return self._failed(tracked, outcome)
        try:
            self._append(tracked, outcome)
        except DRIFT as error:
            self._log.exception("snapshot does not fit", account=tracked.settings.account)
            return self._failed(tracked, drifted(error))
        except UnavailableError as error:
            self._note(tracked, "retrying", f"journal: {error}")
            POLLS.labels(self._venue.name, "journal_unavailable").inc()
            return tracked.cadence.after_failure(Retryable(str(error)))
        self.breaker.succeeded()
        BREAKER.labels(self._venue.name).set(0)
        tracked.last_success_ms = outcome.observed_ms
        LAST_SUCCESS.labels(self._venue.name).set(outcome.observed_ms / 1000)
        POLLS.labels(self._venue.name, "ok").inc()
        self._note(tracked, "ok", "")
        return tracked.cadence.after_success()

    def facts(self) -> dict[str, object]:
        """What health shows: counts, and every account that is not well."""
        unwell = {
            t.book.hotkey: {"status": t.status, "message": t.message, "last_success_ms": t.last_success_ms}
            for t in self.tracked
            if t.status not in ("ok", "starting")
        }
        newest = max((t.last_success_ms or 0 for t in self.tracked), default=0)
        return {
            "accounts": len(self.tracked),
            "unwell": unwell,
            "breaker_open": self.breaker.is_open,
            "last_success_ms": newest or None,
        }

    def _submit_due(self, pool: ThreadPoolExecutor) -> None:
        now = self._clock.monotonic()
        while self._due and self._due[0].at <= now:
            if (wait := self.breaker.delay_s()) > 0:
                due = heapq.heappop(self._due)
                heapq.heappush(self._due, Due(now + wait, due.index, due.tracked))
                continue
            due = heapq.heappop(self._due)
            self.breaker.take_probe()
            future = pool.submit(self.poll, due.tracked)
            future.add_done_callback(lambda done, due=due: self._done.put((due, done)))  # type: ignore[misc]

    def _collect(self) -> None:
        wait = IDLE_S
        if self._due:
            wait = min(IDLE_S, max(0.001, self._due[0].at - self._clock.monotonic()))
        try:
            due, future = self._done.get(timeout=wait)
        except queue.Empty:
            return
        delay = self.take(due.tracked, future.result())
        heapq.heappush(self._due, Due(self._clock.monotonic() + delay, due.index, due.tracked))

    def _append(self, tracked: Tracked, snapshot: Snapshot) -> None:
        if not tracked.has_size:
            self._settle_size(tracked, snapshot)
        plan = tracked.book.plan(snapshot)
        if plan.positions or plan.orders:
            new = self._sink.append(plan)
            ENTRIES.labels(self._venue.name).inc(new)
        tracked.book.commit(plan)
        self._sink.put_marks((snapshot,))

    def _settle_size(self, tracked: Tracked, snapshot: Snapshot) -> None:
        """First sight: configured size, else the venue's equity, else the default; a registry fact."""
        size = tracked.settings.account_size or snapshot.equity_usd or DEFAULT_ACCOUNT_SIZE
        size = size.quantize(Decimal("0.01")) if size > 0 else DEFAULT_ACCOUNT_SIZE
        self._sink.append_account_size(
            AccountSizeRecord(
                hotkey=tracked.book.hotkey,
                account_size=float(size),
                account_size_theta=0.0,
                update_time_ms=snapshot.observed_ms,
                valid_date_timestamp=snapshot.observed_ms,
            )
        )
        tracked.book.account_size, tracked.has_size = size, True

    def _failed(self, tracked: Tracked, error: VenueError) -> float:
        status: Status = "retrying"
        if isinstance(error, Broken):
            status = "quarantined"
        elif isinstance(error, Rejected):
            status = "rejected"
        POLLS.labels(self._venue.name, status).inc()
        self._note(tracked, status, str(error))
        if isinstance(error, Retryable) and not error.rate_limited:
            self.breaker.failed()
            BREAKER.labels(self._venue.name).set(int(self.breaker.is_open))
        return tracked.cadence.after_failure(error)

    def _note(self, tracked: Tracked, status: Status, message: str) -> None:
        """Remember how the account is; log only when that changed, so that a bad hour is not a flood."""
        if tracked.status != status or tracked.message != message:
            level = self._log.info if status == "ok" else self._log.warning
            level("account " + status, account=tracked.settings.account, message=message or None)
        tracked.status, tracked.message = status, message


def drifted(error: BaseException) -> Broken:
    """The quarantine reason for a payload that fits its schema and still makes no sense."""
    return Broken("payload", "a documented shape", f"{type(error).__name__}: {error}")
