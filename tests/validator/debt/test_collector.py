"""Bringing emissions in: files and addresses that change, fail, lie, and a writer that dies."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from journal.entry import LEDGER
from journal.fold import catch_up
from journal.memory import MemoryJournal
from journal.state import State
from runtime.settings import EmissionsSettings
from tests.validator.debt.test_emissions import HALF_DAY, T0, chunk
from tests.validator.eliminations.arena import entries
from validator.debt.collector import Collector, reader_of
from validator.debt.emissions import PREFIX, SourceError, read_record
from validator.eliminations.index import Index
from validator.ledger.checkpoint import WINDOW_MS

NOW = T0 + 10 * HALF_DAY
DEADLINE_S = 20.0


def collector(journal: MemoryJournal, settings: EmissionsSettings, **named: Any) -> Collector:
    """A collector started from the journal, like in a worker."""
    state = State()
    catch_up(state, journal)
    index = Index(journal)
    made = Collector(index, journal, settings, WINDOW_MS, **named)
    index.load(state)
    return made


def settle(one: Collector, now_ms: int) -> int:
    """Begin a reading and wait for what it finds."""
    one.tick(now_ms)
    deadline = time.monotonic() + DEADLINE_S
    while one._reading is not None and not one._reading.done():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return one.tick(now_ms)


def chunks(journal: MemoryJournal) -> dict[int, float | None]:
    """End → alpha of every chunk in the journal."""
    found = (read_record(e.body) for e in entries(journal, LEDGER) if e.key.startswith(PREFIX))
    return {one.chunk.chunk_end_ms: one.chunk.chunk_emissions for one in found}


def write(path: Path, *amounts: float) -> None:
    rows = [chunk(n, chunk_emissions=amount) for n, amount in enumerate(amounts)]
    path.write_text(json.dumps({"a": {"coldkey": "c", "checkpoints": rows}}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "emissions.json"


def settings_of(path: Path) -> EmissionsSettings:
    return EmissionsSettings(source=str(path), refresh_s=60)


def test_without_a_source_nothing_is_read() -> None:
    journal = MemoryJournal()
    one = collector(journal, EmissionsSettings())

    assert [one.tick(NOW + n) for n in range(3)] == [0, 0, 0]
    assert one.problem is None
    one.close()


def test_what_is_new_is_written_once(path: Path) -> None:
    journal = MemoryJournal()
    write(path, 1.0, 2.0)
    one = collector(journal, settings_of(path))
    assert settle(one, NOW) == 2
    assert settle(one, NOW + 30_000) == 0  # not due yet
    write(path, 1.0, 2.5, 3.0)
    assert settle(one, NOW + 60_000) == 2

    assert chunks(journal) == {T0 + HALF_DAY: 1.0, T0 + 2 * HALF_DAY: 2.5, T0 + 3 * HALF_DAY: 3.0}
    again = collector(journal, settings_of(path))
    assert settle(again, NOW) == 0
    assert journal.head(LEDGER) == 4
    one.close()
    again.close()


def test_chunks_of_the_future_and_beyond_the_window_are_left_out(path: Path) -> None:
    journal = MemoryJournal()
    write(path, 1.0, 2.0, 3.0)
    one = collector(journal, settings_of(path))
    settle(one, T0 + 2 * HALF_DAY)
    assert set(chunks(journal)) == {T0 + HALF_DAY, T0 + 2 * HALF_DAY}
    late = collector(MemoryJournal(), settings_of(path))
    assert settle(late, T0 + 2 * HALF_DAY + WINDOW_MS) == 1
    one.close()
    late.close()


def test_a_bad_source_changes_nothing_and_says_why(path: Path) -> None:
    journal = MemoryJournal()
    one = collector(journal, settings_of(path))
    settle(one, NOW)
    assert one.problem == "emissions: the file cannot be read: No such file or directory"
    write(path, 1.0)
    settle(one, NOW + 60_000)
    assert one.problem is None
    path.write_text("{")
    settle(one, NOW + 120_000)
    assert one.problem is not None
    problem = one.problem
    settle(one, NOW + 180_000)  # unchanged: still as bad
    assert one.problem == problem
    write(path, 1.0, 5.0)
    settle(one, NOW + 240_000)

    assert one.problem is None
    assert chunks(journal) == {T0 + HALF_DAY: 1.0, T0 + 2 * HALF_DAY: 5.0}
    one.close()


def test_a_slow_source_does_not_hold_up_the_caller() -> None:
    gate = threading.Event()

    def slow() -> bytes:
        gate.wait(DEADLINE_S)
        return b'{"a": {"checkpoints": []}}'

    one = collector(MemoryJournal(), EmissionsSettings(source="x"), read=slow)
    began = time.monotonic()
    for n in range(50):
        one.tick(NOW + n * 600_000)
    assert time.monotonic() - began < DEADLINE_S / 4
    gate.set()
    assert settle(one, NOW + 99 * 600_000) == 0
    one.close()


class Server:
    """A source on a real socket; ``answer`` decides what is said."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.answer: Callable[[dict[str, str]], tuple[int, dict[str, str], bytes]]
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers = dict(self.headers)
                server.asked.append(headers)
                status, sent, body = server.answer(headers)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **sent}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/emissions?key=s3cret"
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def test_an_address_is_asked_only_for_what_changed(server: Server) -> None:
    body = json.dumps({"a": {"checkpoints": [chunk(0, chunk_emissions=1.0)]}}).encode()

    def answer(headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if headers.get("If-None-Match") == '"v1"':
            return 304, {"ETag": '"v1"'}, b""
        return 200, {"ETag": '"v1"'}, body

    server.answer = answer
    settings = EmissionsSettings(source=server.url, api_key="env:EMISSIONS_KEY")
    read = reader_of(settings, {"EMISSIONS_KEY": "abc"})

    assert read is not None
    assert (read(), read()) == (body, None)
    assert [one["Authorization"] for one in server.asked] == ["Bearer abc"] * 2


@pytest.mark.parametrize("status", [302, 401, 404, 500])
def test_an_answer_that_is_not_the_document_is_a_problem(server: Server, status: int) -> None:
    server.answer = lambda headers: (status, {"Location": "http://127.0.0.1:1/"}, b"s3cret")
    read = reader_of(EmissionsSettings(source=server.url))

    assert read is not None
    with pytest.raises(SourceError) as error:
        read()
    assert str(error.value) == f"emissions: the source answers {status}"


def test_no_text_gives_the_address_or_the_key_away(server: Server) -> None:
    url = server.url
    server.close()
    server.http, server.thread = _Closed(), _Closed()  # type: ignore[assignment]
    for settings in (
        EmissionsSettings(source=url, timeout_s=2),
        EmissionsSettings(source=url, api_key="abc"),
        EmissionsSettings(source=url, api_key="env:NOT_THERE"),
    ):
        read = reader_of(settings, {})
        assert read is not None
        with pytest.raises(SourceError) as error:
            read()
        assert "s3cret" not in str(error.value)
        assert "127.0.0.1" not in str(error.value)


class _Closed:
    """What is closed already."""

    def shutdown(self) -> None: ...

    def server_close(self) -> None: ...

    def join(self) -> None: ...


def test_an_endless_answer_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("validator.debt.collector.BYTES_MAX", 1000)
    server.answer = lambda headers: (200, {}, b" " * 5000)
    read = reader_of(EmissionsSettings(source=server.url))

    assert read is not None
    with pytest.raises(SourceError, match="longer than 1000 bytes"):
        read()
