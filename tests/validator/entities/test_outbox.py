"""What is owed to a peer, and when it is no longer."""

from __future__ import annotations

import msgspec
import pytest

from journal.entry import UnavailableError
from journal.memory import MemoryJournal
from tests.validator.entities.people import HOTKEY, OTHER, clerk_on, creation, entity, office, put_out
from validator.entities.outbox import Outbox, heard, tell
from validator.registry import Registry

URL = "https://peer.example"


def names(box: Outbox, limit: int = 50) -> list[str]:
    return [record.synthetic_hotkey for _, record in box.owed(limit)]


def test_creations_are_owed_in_their_order_until_confirmed() -> None:
    journal = MemoryJournal()
    clerk = clerk_on(journal)
    for hotkey in (HOTKEY, OTHER):
        clerk.register(entity(hotkey))
    box = Outbox(Registry(journal), URL)
    assert box.owed(50) == []
    for hotkey in (HOTKEY, OTHER, HOTKEY):
        clerk.create(creation(hotkey))

    assert names(box) == [f"{HOTKEY}_0", f"{OTHER}_0", f"{HOTKEY}_1"]
    assert names(box, 1) == [f"{HOTKEY}_0"]
    box.confirm(box.owed(1)[0][0])
    assert names(Outbox(Registry(journal), URL)) == [f"{OTHER}_0", f"{HOTKEY}_1"]
    assert len(names(Outbox(Registry(journal), "https://another.example"))) == 3
    box.confirm(box.owed(2)[-1][0], refused=1)
    assert names(box) == []
    assert box.progress().refused == 1
    put_out(clerk, HOTKEY, 0, "r")
    assert names(box) == []  # eliminations are every node's own
    clerk.create(creation())
    assert names(box) == [f"{HOTKEY}_2"]


def test_what_a_peer_told_is_not_passed_on() -> None:
    journal = MemoryJournal()
    there = clerk_on(journal)
    there.receive(office().create(creation()).record)
    assert Outbox(Registry(journal), URL).owed(50) == []


def test_what_is_told_is_what_is_heard() -> None:
    record = office().create(creation(hl_address="0x1", terms={"bucket": "A", "pro_account_size": 5})).record
    told = tell(record)

    assert heard(told) == msgspec.structs.replace(record, origin="peer")
    assert heard(msgspec.structs.replace(told, synthetic_hotkey=f"{HOTKEY}_1")) is None


def test_a_journal_that_takes_nothing_cannot_keep_progress() -> None:
    source = MemoryJournal()
    replica = MemoryJournal.open_at(source.heads(), source.epoch())
    with pytest.raises(UnavailableError):
        Outbox(Registry(replica), URL).open()


def test_opening_twice_keeps_the_progress() -> None:
    registry = Registry(MemoryJournal())
    for _ in range(2):
        Outbox(registry, URL).open()
    Outbox(registry, URL).confirm(7)
    Outbox(registry, URL).open()
    assert Outbox(registry, URL).progress().confirmed == 7
