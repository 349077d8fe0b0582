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
from journal.appending import Appending
from journal.doorbell import Bell
from journal.entry import JournalError
from journal.layout import open_journal
from journal.marks import MarkStore
from journal.reading import SqliteReader
from journal.sqlite import SqliteJournal
from journal.state import Latest
from rest_server.addresses import Addresses
from rest_server.app import create_app
from rest_server.audit import AuditLog
from rest_server.drawdowns import Drawdowns
from rest_server.entity_desk import EntityDesk, open_desk
from rest_server.follower import Follower
from rest_server.http_server import HttpServer
from rest_server.keyring import Keyring
from rest_server.limits import Limiter
from rest_server.metagraph import Metagraph
from rest_server.metagraph_node import NodeMetagraph
from rest_server.peers import Couriers
from rest_server.published import Published
from rest_server.services import Services
from runtime.api_keys import KeyWatcher
from runtime.clock import Clock
from runtime.exit_codes import ExitCode
from runtime.settings import RestSettings, Settings
from runtime.usage import Usage
from runtime.worker import CannotStart, Worker
from validator.assets import Assets
from validator.collateral.service import Collateral
from validator.collateral.settler import Settler
from validator.collateral.setup import SetupError, open_collateral
from validator.orders.desk import Desk, sizes_in
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

    def newest_of(self, stream: str, hotkey: str) -> list[tuple[str, Latest]]:
        """The newest entry of each of the hotkey's keys, as of now. Raises JournalError."""
        return self._follower.newest_of(stream, hotkey)

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
        development = Desk(appending, state, marks, worker.clock, sizes_in(registry))
        follower = Follower(journal, marks, state, worker.clock, settings.repo_version)
        follower.boot()
    source = FollowerThread(follower, journal.doorbell(), settings.rest)
    drawdowns = Drawdowns(journal, state, source)  # before the source starts, who moves the State on
    couriers = Couriers(registry, settings.entities)
    desk = _desk(worker, registry, marks, follower, couriers)
    services = Services(
        settings=settings,
        clock=worker.clock,
        keys=Keyring(keys, desk.keys),
        usage=usage,
        limiter=Limiter(settings.rest, usage, worker.clock),
        addresses=_addresses(settings.rest),
        source=source,
        metagraph=_metagraph(settings, worker.clock),
        open_reader=lambda: journal,  # every thread gets a connection of its own inside
        registry=registry,
        collateral=_collateral(worker, registry, drawdowns),
        assets=Assets(registry, settings.collateral.asset_classes, worker.clock),
        entities=desk,
        development=development,
        audit=AuditLog(settings.data_dir / "audit", worker.clock),
    )
    server = HttpServer(create_app(services), settings.api_host, settings.api_rest_port, settings.rest)
    settler = Settler(services.collateral.backend)
    keys.start()
    source.start()
    server.start()
    settler.start()
    couriers.start()
    worker.ready(port=server.port, sequence=follower_sequence(source))
    code = _serve(worker, source, server, keys, services, couriers)
    server.drain(settings.rest.drain_s)
    couriers.stop()
    source.stop()
    keys.stop()
    usage.close()
    settler.stop()
    services.collateral.backend.close()
    appending.close()
    return code


def follower_sequence(source: FollowerThread) -> int:
    """The number REST shows now."""
    published = source.current()
    return published.live.sequence if published else 0


def _serve(
    worker: Worker,
    source: FollowerThread,
    server: HttpServer,
    keys: KeyWatcher,
    services: Services,
    couriers: Couriers,
) -> int:
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
            services.usage.flush()
        services.development.look_if_due()
        are_alive = server.is_alive() and keys.is_alive() and couriers.are_alive()
        if source.has_failed() or not are_alive:
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


def _collateral(worker: Worker, registry: Registry, drawdowns: Drawdowns) -> Collateral:
    try:
        return open_collateral(worker.settings, registry, worker.clock, drawdowns)
    except SetupError as error:
        raise CannotStart(str(error)) from None


def _desk(
    worker: Worker, registry: Registry, marks: MarkStore, follower: Follower, couriers: Couriers
) -> EntityDesk:
    settings, clock = worker.settings, worker.clock
    try:
        return open_desk(settings, registry, clock, marks, follower.newest_of, ring=couriers.ring)
    except ValueError as error:
        raise CannotStart(f"setting entities.api_key_secret: {error}") from None


def _addresses(settings: RestSettings) -> Addresses:
    try:
        return Addresses(settings.trusted_proxies)
    except ValueError as error:
        raise CannotStart(f"setting rest.trusted_proxies: {error}") from None


def _metagraph(settings: Settings, clock: Clock) -> Metagraph | NodeMetagraph:
    if settings.rest.metagraph_url:
        return NodeMetagraph(settings.rest.metagraph_url, settings.netuid, clock)
    path = settings.rest.metagraph_file
    return Metagraph(Path(path) if path else None, clock)
