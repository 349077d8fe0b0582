"""The WebSocket worker: opens what the server needs, serves until told to stop, drains.

Rule 1: ready means bound and at the journal's head.
Rule 2: a part that died ends the process in order; the supervisor starts a whole one again.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
from typing import Final

import structlog

from journal.entry import JournalError
from journal.reading import SqliteReader
from journal.sqlite import SqliteJournal
from runtime.api_keys import KeyWatcher
from runtime.exit_codes import ExitCode
from runtime.settings import Settings
from runtime.usage import Usage
from runtime.worker import CannotStart, Worker
from ws_server.selftest import SelfTestError
from ws_server.server import WebSocketServer

LOOK_S: Final = 0.1  # how late a signal may be noticed
BEAT_S: Final = 1.0
OTHER_FILES: Final = 256  # descriptors besides the connections

_log = structlog.get_logger()


def main(worker: Worker) -> int:
    """Serve until told to stop; returns the exit code. Raises CannotStart."""
    _make_room_for(worker.settings.websocket.connections + OTHER_FILES)
    return asyncio.run(_run(worker))


async def _run(worker: Worker) -> int:
    settings = worker.settings
    keys = KeyWatcher(settings.api_keys, worker.clock, lambda _old, _new: server.keys_changed())
    usage = Usage(settings.data_dir / "usage", worker.name, worker.clock)
    _require_journal(worker)
    server = WebSocketServer(
        settings.websocket,
        host=settings.api_host,
        port=settings.api_ws_port,
        open_source=lambda: SqliteReader(settings.journal_path),
        keys=lambda: keys.table,
        clock=worker.clock,
        usage=usage,
    )
    await _start(server, settings)
    keys.start()
    try:
        worker.ready(port=server.port, **server.facts())
        code = await _serve(worker, server, keys)
        await server.drain()
        return code
    finally:
        keys.stop()
        usage.close()


async def _start(server: WebSocketServer, settings: Settings) -> None:
    where = f"{settings.api_host}:{settings.api_ws_port}"
    try:
        await server.start()
    except (SelfTestError, JournalError) as error:
        raise CannotStart(str(error)) from None
    except OSError as error:
        is_taken = error.errno == errno.EADDRINUSE
        reason = "is in use" if is_taken else f"cannot be bound ({error.strerror})"
        raise CannotStart(
            f"{where} {reason}: stop what listens there or choose another with --api-ws-port"
        ) from None


async def _serve(worker: Worker, server: WebSocketServer, keys: KeyWatcher) -> int:
    """Beat until told to stop or until a part is gone."""
    next_beat = 0.0
    while not worker.stop.is_set():
        if worker.reload.is_set():
            worker.reload.clear()
            await asyncio.to_thread(keys.poll_once)
        if (problem := _problem(server, keys)) is not None:
            _log.error("a part of the WebSocket server is gone", problem=problem)
            return ExitCode.FAILED
        if worker.clock.monotonic() >= next_beat:
            next_beat = worker.clock.monotonic() + BEAT_S
            await _beat(worker, server, keys)
        await asyncio.sleep(LOOK_S)
    return ExitCode.OK


def _problem(server: WebSocketServer, keys: KeyWatcher) -> str | None:
    if server.failure.done():
        return str(server.failure.result())
    return None if keys.is_alive() else "the key watcher is not running"


async def _beat(worker: Worker, server: WebSocketServer, keys: KeyWatcher) -> None:
    try:
        facts = {**server.facts(), "keys": len(keys.table), "key_file_problem": keys.error}
    except JournalError as error:
        server.on_fault(error)
        return
    await asyncio.to_thread(worker.beat, **facts)  # a slow disk must not stop the stream


def _require_journal(worker: Worker) -> None:
    """Make an empty journal when nobody has written one yet."""
    path = worker.settings.journal_path
    try:
        if not path.is_file():
            SqliteJournal(path, clock=worker.clock).close()
        SqliteReader(path).close()
    except JournalError as error:
        raise CannotStart(str(error)) from None


def _make_room_for(files: int) -> None:
    """Raise the limit of open files as far as we may and need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files if hard == resource.RLIM_INFINITY else min(files, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
