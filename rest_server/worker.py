"""The REST worker: boots the state, serves it, and ends in an orderly way.

Rule 1: ready means bound and caught up. Rule 2: a part that died ends the process; the supervisor starts a
whole one again, which is better than half of one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import Gauge

from journal import checkpoint
from journal.doorbell import Bell
from journal.entry import JournalError
from journal.layout import open_journal
from journal.marks import MarkStore
from journal.reading import SqliteReader
from journal.sqlite import SqliteJournal
from rest_server.addresses import Addresses
from rest_server.app import create_app
from rest_server.appending import Appending
from rest_server.follower import Follower
from rest_server.http_server import HttpServer
from rest_server.limits import Limiter
from rest_server.metagraph import Metagraph
from rest_server.published import Published
from rest_server.services import Services
from runtime.api_keys import KeyWatcher
from runtime.exit_codes import ExitCode
from runtime.settings import RestSettings
from runtime.usage import Usage
from runtime.worker import CannotStart, Worker
from validator.registry import Registry

BEAT_S: Final = 1.0
FLUSH_EVERY_BEATS: Final = 2  # usage counts at most this many seconds lost by a kill

SEQUENCE: Final = Gauge("vanta_rest_sequence", "Number of the newest positions entry that REST shows")

_log = structlog.get_logger()


class FollowerThread:
    """Turns the follower whenever the journal's bell rings, and at least every ``poll_s``."""

    def __init__(self, follower: Follower, bell: Bell, settings: RestSettings) -> None:
        self._follower, self._bell, self._settings = follower, bell, settings
        self._stopped = threading.Event()
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Follow until ``stop``."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._thread.join(timeout=5)
        self._bell.close()

    def current(self) -> Published | None:
        """The newest state, moved on to this very moment."""
        return self._follower.current()

    def problem(self) -> str | None:
        """Why the state must not be trusted (None: it is caught up and alive)."""
        if self._failure is not None or not self._thread.is_alive():
            return self._failure or "the reader of the journal is not running"
        if self._follower.silent_s() > self._settings.stale_after_s:
            return "the reader of the journal is stuck"
        return None

    def has_failed(self) -> bool:
        """Whether the thread is gone for good."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._bell.clear()
                self._follower.turn()
                self._bell.wait(self._settings.poll_s)
        except JournalError as error:
            self._failure = str(error)
            _log.error("the journal cannot be followed", problem=str(error))


def main(worker: Worker) -> int:
    """Serve until told to stop; returns the exit code. Raises CannotStart."""
    settings = worker.settings
    journal, marks = _open(worker)
    keys = KeyWatcher(settings.api_keys, worker.clock)
    usage = Usage(settings.data_dir / "usage", worker.name, worker.clock)
    with _explained():
        state = checkpoint.boot(journal, settings.checkpoint_dir)
        appending = Appending(journal, lambda: open_journal(settings, clock=worker.clock))
        registry = Registry(appending, state)  # before the follower, who moves the State on
        follower = Follower(journal, marks, state, worker.clock, settings.repo_version)
        follower.boot()
    source = FollowerThread(follower, journal.doorbell(), settings.rest)
    services = Services(
        settings=settings,
        clock=worker.clock,
        keys=keys,
        usage=usage,
        limiter=Limiter(settings.rest, usage, worker.clock),
        addresses=_addresses(settings.rest),
        source=source,
        metagraph=Metagraph(_path(settings.rest.metagraph_file), worker.clock),
        open_reader=lambda: journal,  # every thread gets a connection of its own inside
        registry=registry,
    )
    server = HttpServer(create_app(services), settings.api_host, settings.api_rest_port, settings.rest)
    keys.start()
    source.start()
    server.start()
    worker.ready(port=server.port, sequence=follower_sequence(source))
    code = _serve(worker, source, server, keys, usage)
    server.drain(settings.rest.drain_s)
    source.stop()
    keys.stop()
    usage.close()
    appending.close()
    return code


def follower_sequence(source: FollowerThread) -> int:
    """The number REST shows now."""
    published = source.current()
    return published.live.sequence if published else 0


def _serve(worker: Worker, source: FollowerThread, server: HttpServer, keys: KeyWatcher, usage: Usage) -> int:
    """Beat until told to stop or until a part is gone."""
    beats = 0
    while not worker.stop.wait(BEAT_S):
        if worker.reload.is_set():
            worker.reload.clear()
            keys.poll_once()
        sequence = follower_sequence(source)
        SEQUENCE.set(sequence)
        worker.beat(sequence=sequence, keys=len(keys.table), key_file_problem=keys.error)
        beats += 1
        if beats % FLUSH_EVERY_BEATS == 0:
            usage.flush()
        if source.has_failed() or not server.is_alive() or not keys.is_alive():
            _log.error("a part of the REST server is gone", problem=source.problem())
            return ExitCode.FAILED
    return ExitCode.OK


@contextmanager
def _explained() -> Iterator[None]:
    """A journal that cannot be read is one clear line, and starting again does not help."""
    try:
        yield
    except JournalError as error:
        raise CannotStart(str(error)) from None


def _open(worker: Worker) -> tuple[SqliteReader, MarkStore]:
    path = worker.settings.journal_path
    with _explained():
        if not path.is_file():
            SqliteJournal(path, clock=worker.clock).close()  # nobody has written yet: an empty history
        return SqliteReader(path), MarkStore(worker.settings.marks_path)


def _addresses(settings: RestSettings) -> Addresses:
    try:
        return Addresses(settings.trusted_proxies)
    except ValueError as error:
        raise CannotStart(f"setting rest.trusted_proxies: {error}") from None


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
