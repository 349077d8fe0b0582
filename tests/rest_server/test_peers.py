"""Telling other nodes: over real HTTP, through failures, without losing or repeating anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from journal.entry import UnavailableError
from journal.memory import MemoryJournal
from rest_server.http_server import HttpServer
from rest_server.peers import Courier, Couriers, Outcome, UndeliveredError
from runtime.settings import EntitySettings, PeerSettings, RestSettings
from tests.rest_server.world import Make, World
from tests.validator.entities.people import HOTKEY, clerk_on, creation, entity
from validator.entities.clerk import Clerk
from validator.entities.records import Subaccount
from validator.registry import Registry

SETTINGS = EntitySettings(peer_retry_s=0.05)
DEADLINE_S = 20.0


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def there(make_world: Make) -> World:
    """The node that is told."""
    return make_world()


@pytest.fixture
def url(there: World) -> Iterator[str]:
    server = HttpServer(there.app, "127.0.0.1", 0, RestSettings(threads=4))
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.drain(2)


@pytest.fixture
def tell(world: World, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Couriers]]:
    """A function that starts the couriers of a node."""
    monkeypatch.setenv("VANTA_SECRET_PEER", "k200")
    started: list[Couriers] = []

    def start(key: str = "env:VANTA_SECRET_PEER", address: str = url) -> Couriers:
        settings = EntitySettings(peers=[PeerSettings(url=address, api_key=key)], peer_retry_s=0.05)
        started.append(Couriers(Registry(world.journal), settings))
        started[-1].start()
        return started[-1]

    yield start
    for couriers in started:
        couriers.stop()


def ids(world: World) -> list[int]:
    found = world.desk.entities.entity(HOTKEY)
    return [] if found is None else list(found.subaccounts)


def test_a_creation_reaches_the_other_node(world: World, there: World, tell: Callable[..., Couriers]) -> None:
    """With everything that was said about it; a node that starts later is told of what was before."""
    world.post("/entity/register", {"entity_hotkey": HOTKEY}, "k200")
    body = {"entity_hotkey": HOTKEY, "account_size": 5000.0, "hl_address": "0xa", "bucket": "X"}
    first = world.post("/entity/create-subaccount", body, "k200").get_json()["subaccount"]
    couriers = tell()
    wait_until(lambda: ids(there) == [0])
    world.post("/entity/create-subaccount", {"entity_hotkey": HOTKEY}, "k200")
    couriers.ring()
    wait_until(lambda: ids(there) == [0, 1])

    row = there.get(f"/entity/{HOTKEY}", "k200").get_json()["entity"]["subaccounts"]["0"]
    assert row == first
    assert couriers.are_alive()


def test_both_nodes_may_name_each_other(world: World, there: World, tell: Callable[..., Couriers]) -> None:
    """What was told is not told back."""
    world.desk.clerk.register(entity())
    world.desk.clerk.create(creation())
    tell()
    wait_until(lambda: ids(there) == [0])
    said: list[Subaccount] = []
    back = Courier(Registry(there.journal), _peer(), SETTINGS, lambda record: said.append(record) or "taken")
    back.turn()

    assert said == []


@pytest.mark.parametrize("key", ["env:VANTA_SECRET_NOWHERE", "file:/nowhere", "plain"])
def test_without_its_key_a_peer_waits_and_is_named(
    world: World, tell: Callable[..., Couriers], key: str
) -> None:
    world.desk.clerk.register(entity())
    world.desk.clerk.create(creation())
    with structlog.testing.capture_logs() as lines:
        couriers = tell(key)
        wait_until(lambda: any(line["event"] == "peer is not told" for line in lines))

    assert couriers.are_alive()
    assert "k200" not in str(lines)


def test_a_key_that_is_refused_is_tried_again(
    world: World, there: World, tell: Callable[..., Couriers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VANTA_SECRET_PEER", "k100")
    world.desk.clerk.register(entity())
    world.desk.clerk.create(creation())
    with structlog.testing.capture_logs() as lines:
        tell()
        wait_until(lambda: any(line.get("problem") == "answered 403" for line in lines))
        monkeypatch.setenv("VANTA_SECRET_PEER", "k200")
        wait_until(lambda: ids(there) == [0])

    assert not any("k100" in str(line) for line in lines)


def test_a_node_that_is_down_is_told_once_it_is_back(
    world: World, there: World, tell: Callable[..., Couriers]
) -> None:
    first = HttpServer(there.app, "127.0.0.1", 0, RestSettings(threads=4))
    first.start()
    port = first.port
    first.drain(2)
    world.desk.clerk.register(entity())
    world.desk.clerk.create(creation())
    with structlog.testing.capture_logs() as lines:
        tell(address=f"http://127.0.0.1:{port}")
        wait_until(lambda: any(line.get("problem") == "ConnectionError" for line in lines))
    second = HttpServer(there.app, "127.0.0.1", port, RestSettings(threads=4))
    second.start()
    wait_until(lambda: ids(there) == [0])
    second.drain(2)


# Without sockets


def _peer() -> PeerSettings:
    return PeerSettings(url="https://peer.example", api_key="env:X")


class Peer:
    """Answers as it is told to, and remembers what it was told."""

    def __init__(self, *answers: Outcome | Exception) -> None:
        self.answers, self.told = list(answers), []  # type: ignore[var-annotated]

    def __call__(self, record: Subaccount) -> Outcome:
        self.told.append(record.subaccount_id)
        answer = self.answers.pop(0) if self.answers else "taken"
        if isinstance(answer, Exception):
            raise answer
        return answer


def office(journal: MemoryJournal, count: int) -> Clerk:
    clerk = clerk_on(journal)
    clerk.register(entity())
    for _ in range(count):
        clerk.create(creation())
    return clerk


def courier(journal: Any, peer: Peer) -> Courier:
    return Courier(Registry(journal), _peer(), SETTINGS, peer)


def test_deliveries_go_on_where_they_failed() -> None:
    journal = MemoryJournal()
    office(journal, 4)
    peer = Peer("taken", "taken", UndeliveredError("down"))
    one = courier(journal, peer)
    first_wait = one.turn()
    assert peer.told == [0, 1, 2]
    assert first_wait <= 0.5
    courier(journal, peer).turn()  # another process took over

    assert peer.told == [0, 1, 2, 2, 3]
    one.turn()
    assert peer.told == [0, 1, 2, 2, 3]


def test_a_refusal_is_noted_and_passed() -> None:
    journal = MemoryJournal()
    office(journal, 3)
    peer = Peer("taken", "refused", "taken")
    with structlog.testing.capture_logs() as lines:
        courier(journal, peer).turn()

    assert peer.told == [0, 1, 2]
    assert [line["hotkey"] for line in lines if line["event"] == "peer has another subaccount"] == [
        f"{HOTKEY}_1"
    ]


def test_many_are_told_in_batches_with_little_note_taking() -> None:
    journal = MemoryJournal()
    office(journal, 120)
    before = journal.head("registry")
    peer = Peer()
    courier(journal, peer).turn()

    assert peer.told == list(range(120))
    assert journal.head("registry") - before == 4  # the peer itself, and three batches


def test_waits_grow_up_to_their_limit_and_begin_anew_after_a_success() -> None:
    journal = MemoryJournal()
    office(journal, 1)
    peer = Peer(*[UndeliveredError("down")] * 6)
    one = Courier(Registry(journal), _peer(), EntitySettings(peer_retry_s=4.0), peer)
    waits = [one.turn() for _ in range(6)]
    one.turn()
    office_again = clerk_on(journal)
    office_again.create(creation())
    peer.answers = [UndeliveredError("down")]

    for wait, longest in zip([*waits, one.turn()], [0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 0.5], strict=True):
        assert longest / 2 <= wait <= longest


def test_a_replica_tells_nobody() -> None:
    source = MemoryJournal()
    office(source, 1)
    replica = MemoryJournal.open_at({}, source.epoch())
    replica.append_replicated(source.read("registry", 0).entries)
    peer = Peer()
    courier(replica, peer).turn()

    assert peer.told == []


def test_a_full_disk_delays_the_note_not_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was delivered but could not be noted is delivered again: receivers know it by its uuid."""
    journal = MemoryJournal()
    office(journal, 2)
    peer = Peer()
    one = courier(journal, peer)
    one._outbox.open()
    with monkeypatch.context() as patch:

        def full(_drafts: Any) -> Any:
            raise UnavailableError("disk full")

        patch.setattr(journal, "append", full)
        one.turn()
    assert peer.told == [0, 1]
    one.turn()
    assert peer.told == [0, 1, 0, 1]
    one.turn()
    assert peer.told == [0, 1, 0, 1]
