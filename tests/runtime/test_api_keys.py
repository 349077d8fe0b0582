"""The key file's format, and the watcher that keeps a server's table equal to it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.api_key_file import FILE_BYTES_MAX, SCOPES, KeyFileError, KeyTable, Quota, parse
from runtime.api_keys import POLL_S, KeyWatcher, create_default, key_id_of, load
from runtime.clock import FakeClock, SystemClock


def table_of(**entries: object) -> KeyTable:
    return parse(json.dumps(entries).encode())


def tier_of(table: KeyTable, secret: str) -> int | None:
    key = table.find(secret)
    return None if key is None else key.tier


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was never met"
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("entry", "tier"),
    [
        ("secret", 100),
        ({"key": "secret", "tier": 50}, 50),
        ({"key": "secret"}, 0),
        ({"key": "secret", "tier": 50.0}, 50),
        ({"key": "secret", "tier": 500}, 500),
        ({"key": "secret", "tier": 10}, 10),
        ({"key_sha256": hashlib.sha256(b"secret").hexdigest().upper(), "tier": 30}, 30),
    ],
)
def test_every_documented_shape_gives_its_tier(entry: object, tier: int) -> None:
    table = table_of(user=entry)

    assert tier_of(table, "secret") == tier
    assert not table.warnings


@pytest.mark.parametrize(
    "entry",
    [
        {"tier": 50},
        {"key": ""},
        "",
        {"key": 7},
        17,
        None,
        [],
        True,
        {"key": "secret", "tier": "100"},
        {"key": "secret", "tier": True},
        {"key": "secret", "tier": -1},
        {"key": "secret", "tier": 1.5},
        {"key": "secret", "tier": None},
        {"key": "secret", "tier": float("inf")},
        {"key": "secret", "trade_pairs": "some"},
        {"key": "secret", "scopes": "rest"},
        {"key": "secret", "scopes": ["everything"]},
        {"key": "secret", "expires": "soon"},
        {"key": "secret", "expires": -1},
        {"key": "secret", "expires": True},
        {"key": "secret", "quota": {"requests": "many"}},
        {"key": "secret", "quota": {"coffee": 1}},
        {"key": "secret", "label": 1},
        {"key_sha256": "abc", "tier": 0},
        {"key": "secret", "key_sha256": "0" * 64},
        {"key": "REPLACE_WITH_A_RANDOM_KEY_1"},
    ],
)
def test_an_entry_that_is_not_understood_grants_nothing_and_is_named(entry: object) -> None:
    table = table_of(user=entry, other="fine")

    assert [key.user for key in table] == ["other"]
    assert len(table.warnings) == 1
    assert "'user'" in table.warnings[0]
    assert "secret" not in table.warnings[0]


def test_options_are_read() -> None:
    entry = {"key": "k", "tier": 100, "label": "desk", "expires": "2030-01-01", "scopes": ["ws"]}
    key = table_of(user={**entry, "trade_pairs": "vanta", "quota": {"requests": 5}}).find("k")

    assert key is not None
    assert (key.id, key.user, key.label) == (key_id_of("k"), "user", "desk")
    assert key.expires_ms == 1_893_456_000_000
    assert key.trade_pairs == "vanta"
    assert key.quota == Quota(requests=5)
    assert key.allows("ws")
    assert not key.allows("rest")


def test_a_plain_key_may_use_every_scope() -> None:
    key = table_of(user="k").find("k")

    assert key is not None
    assert key.scopes == SCOPES


def test_the_last_of_two_users_with_one_key_counts() -> None:
    table = table_of(first={"key": "same", "tier": 0}, second={"key": "same", "tier": 50})

    assert tier_of(table, "same") == 50
    assert len(table) == 1
    assert len(table.warnings) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'"text"',
        b"null",
        b'{"user": "k"',
        b'{"user": "k", "user": "l"}',
        b'{"user": {"key": "k", "key": "l"}}',
        b'{"user": "\xff"}',
        b"\x00" * 100,
        b'{"user": {"key": "k", "tier": ' + b"9" * 5000 + b"}}",
        b'{"a":' * 100_000,
    ],
    ids=lambda content: repr(content[:16]),
)
def test_a_file_that_is_not_one_json_object_is_refused_whole(content: bytes) -> None:
    with pytest.raises(KeyFileError):
        parse(content)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_a_documented_error(content: bytes) -> None:
    with contextlib.suppress(KeyFileError):
        parse(content)


@given(st.text())
def test_no_text_raises_and_none_opens_a_table_it_is_not_in(text: str) -> None:
    assert table_of(user="the key").find(text) is None or text == "the key"


def test_an_expired_key_is_gone_at_the_very_millisecond() -> None:
    clock = FakeClock(1000)
    table = parse(b'{"user": {"key": "k", "tier": 30, "expires": 2000}}', clock)

    assert tier_of(table, "k") == 30
    clock.advance(0.999)
    assert table.get(key_id_of("k")) is not None
    clock.advance(0.001)
    assert table.find("k") is None
    assert table.get(key_id_of("k")) is None


def test_the_first_file_has_a_random_key_per_tier_and_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "api_keys.json"
    made = create_default(path)
    before = path.read_bytes()

    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(key.tier for key in load(path)) == [0, 30, 50, 100, 200]
    assert all(load(path).find(secret) for secret in made.values())
    assert len(set(made.values())) == 5
    with pytest.raises(FileExistsError):
        create_default(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["api_keys.json"]


def test_the_published_example_is_valid_and_opens_nothing() -> None:
    table = load(Path("api_keys.json.example"))

    assert all("example's" in warning for warning in table.warnings)
    assert [key.user for key in table] == ["operator"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "api_keys.json"
    path.write_text('{"user": {"key": "k", "tier": 30}}')
    return path


def break_with(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def grow(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(100_000_000)  # sparse: 100 MB that cost no disk


def into_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def into_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def into_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere.json")


FAULTS = {
    "deleted": Path.unlink,
    "empty file": break_with(b""),
    "half written": break_with(b'{"user": {"key": "k", "ti'),
    "not json": break_with(b"hello"),
    "not an object": break_with(b'["k"]'),
    "not utf-8": break_with(b'{"user": "\xff\xfe"}'),
    "duplicate names": break_with(b'{"evil": "e", "evil": "f"}'),
    "100 MB": grow,
    "directory": into_directory,
    "fifo": into_fifo,
    "dangling link": into_dangling_link,
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_file_fault_keeps_the_last_good_table_and_a_repair_is_taken(
    path: Path, fault: Callable[[Path], None]
) -> None:
    original = path.read_bytes()
    watcher = KeyWatcher(path, FakeClock())
    fault(path)

    assert not watcher.poll_once()
    assert watcher.error
    assert tier_of(watcher.table, "k") == 30
    assert watcher.table.find("evil") is None

    remove(path)
    path.write_bytes(original)
    assert not watcher.poll_once()
    assert watcher.error is None

    path.write_text('{"user": {"key": "k", "tier": 50}}')
    assert watcher.poll_once()
    assert tier_of(watcher.table, "k") == 50


def remove(path: Path) -> None:
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def test_a_valid_empty_file_revokes_everybody(path: Path) -> None:
    watcher = KeyWatcher(path, FakeClock())
    path.write_text("{}")

    assert watcher.poll_once()
    assert len(watcher.table) == 0
    assert watcher.error is None


def test_a_file_missing_at_the_start_is_picked_up_later(tmp_path: Path) -> None:
    path = tmp_path / "later" / "api_keys.json"
    watcher = KeyWatcher(path, FakeClock())
    assert len(watcher.table) == 0
    assert watcher.error

    create_default(path)
    assert watcher.poll_once()
    assert len(watcher.table) == 5
    assert watcher.error is None


@pytest.mark.parametrize(
    "entry",
    [{"key": "k", "tier": 31}, {"key": "k", "tier": 30, "label": "x"}, {"key": "l", "tier": 30}],
    ids=["tier", "label", "key"],
)
def test_any_change_of_an_entry_takes_effect_and_is_told(path: Path, entry: dict[str, object]) -> None:
    told: list[tuple[KeyTable, KeyTable]] = []
    watcher = KeyWatcher(path, FakeClock(), lambda old, new: told.append((old, new)))
    old = watcher.table
    path.write_text(json.dumps({"user": entry}))

    assert watcher.poll_once()
    assert told == [(old, watcher.table)]
    assert not watcher.poll_once()
    assert len(told) == 1


def test_a_change_within_one_clock_tick_of_the_file_system_is_seen(path: Path) -> None:
    """Same size and same mtime: only the content differs."""
    watcher = KeyWatcher(path, FakeClock())
    facts = path.stat()
    path.write_text('{"user": {"key": "k", "tier": 50}}')
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    assert path.stat().st_size == facts.st_size
    assert watcher.poll_once()
    assert tier_of(watcher.table, "k") == 50


def test_expiry_is_a_change_that_listeners_hear_of(path: Path) -> None:
    clock = FakeClock(1000)
    path.write_text('{"user": {"key": "k", "tier": 100, "expires": 2000}}')
    told: list[int] = []
    watcher = KeyWatcher(path, clock, lambda old, new: told.append(len(old) - len(new)))
    clock.advance(1)

    assert watcher.poll_once()
    assert told == [1]
    assert not watcher.poll_once()


@pytest.mark.parametrize("notified", [True, False], ids=["notified", "polling only"])
def test_a_running_watcher_reloads_within_a_second(
    path: Path, notified: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not notified:

        def refuse(self: object) -> None:
            raise OSError("no inotify watches left")

        monkeypatch.setattr("runtime.api_keys.Observer.start", refuse)
    changed = threading.Event()
    watcher = KeyWatcher(path, SystemClock(), lambda old, new: changed.set())
    watcher.start()
    try:
        started = time.monotonic()
        replacement = path.with_name("new.json")
        replacement.write_text("{}")
        os.replace(replacement, path)

        assert changed.wait(5)
        assert time.monotonic() - started < 1
        assert watcher.is_alive()
    finally:
        watcher.stop()
    assert not watcher.is_alive()


def test_reading_the_file_does_not_ring_the_watcher_for_ever(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notifier that reacts to our own reads would poll without pause."""
    polls: list[float] = []
    watcher = KeyWatcher(path, SystemClock())
    really = watcher.poll_once

    def poll_once() -> bool:
        polls.append(time.monotonic())
        return really()

    monkeypatch.setattr(watcher, "poll_once", poll_once)
    watcher.start()
    try:
        wait_for(lambda: len(polls) >= 4)
        started, count = time.monotonic(), len(polls)
        wait_for(lambda: len(polls) >= count + 4)
        assert time.monotonic() - started > 2 * POLL_S
    finally:
        watcher.stop()


def test_concurrent_readers_see_one_table_or_the_other(path: Path) -> None:
    """While the file flips between two pairs of keys, no reader finds a mixture."""
    documents = ['{"a": {"key": "a", "tier": 1}, "b": {"key": "b", "tier": 1}}']
    documents.append(documents[0].replace("1", "2"))
    path.write_text(documents[0])
    watcher = KeyWatcher(path, FakeClock())
    mixed: list[set[int]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            if len(tiers := {key.tier for key in watcher.table}) != 1:
                mixed.append(tiers)
            time.sleep(0.0002)  # let the writer have the interpreter

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(100):
        path.write_text(documents[turn % 2])
        watcher.poll_once()
    done.set()
    for reader in readers:
        reader.join()
    assert not mixed


def test_a_file_of_the_greatest_length_is_still_read(path: Path) -> None:
    content = b'{"user": "k"}'
    path.write_bytes(content + b" " * (FILE_BYTES_MAX - len(content)))

    assert tier_of(load(path), "k") == 100
