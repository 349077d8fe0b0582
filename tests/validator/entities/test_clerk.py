"""Entities and subaccounts: what may become of them, and what the registry then says."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.entry import REGISTRY, UnavailableError
from journal.memory import MemoryJournal
from runtime.clock import FakeClock
from tests.validator.entities.people import HOTKEY, OTHER, clerk_on, creation, entity, office, put_out
from validator import eliminated
from validator.entities.records import entity_row, subaccount_row
from validator.entities.rules import Refused
from validator.registry import Registry
from vanta_api.records import AccountSizeMessage


def refusal(act: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        act()
    return caught.value.kind, caught.value.text


def test_ids_count_up_from_zero_per_entity() -> None:
    clerk = office(HOTKEY, OTHER)
    made = [clerk.create(creation(hotkey)).record for hotkey in (HOTKEY, OTHER, HOTKEY, HOTKEY)]

    assert [one.synthetic_hotkey for one in made] == [
        f"{HOTKEY}_0",
        f"{OTHER}_0",
        f"{HOTKEY}_1",
        f"{HOTKEY}_2",
    ]
    assert len({one.subaccount_uuid for one in made}) == 4


def test_an_entity_is_registered_once() -> None:
    clerk = office()
    assert refusal(lambda: clerk.register(entity())) == ("invalid", f"Entity {HOTKEY} already registered")
    assert refusal(lambda: clerk.register(entity("a_0"))) == ("invalid", "entity_hotkey must be a hotkey")


def test_a_subaccount_needs_its_entity() -> None:
    clerk = office()
    assert refusal(lambda: clerk.create(creation("nobody"))) == ("invalid", "Entity nobody not registered")


def test_only_active_subaccounts_count_towards_the_limit_and_ids_never_return() -> None:
    clerk = clerk_on()
    clerk.register(entity(max_subaccounts=2))
    for _ in range(2):
        clerk.create(creation())
    full = ("invalid", f"Entity {HOTKEY} has reached maximum subaccounts (2)")
    assert refusal(lambda: clerk.create(creation())) == full
    put_out(clerk, HOTKEY, 1, "r")

    assert clerk.create(creation()).record.subaccount_id == 2
    assert refusal(lambda: clerk.create(creation())) == full


def test_what_is_shown_of_a_subaccount() -> None:
    clock = FakeClock(1000)
    clerk = clerk_on(clock=clock)
    clerk.register(entity())
    plain = subaccount_row(clerk.create(creation()))
    wished = clerk.create(
        creation(account_size=25_000.0, asset_class="forex", hl_address="0xa", terms={"bucket": "X"})
    )

    assert plain == {
        "subaccount_id": 0,
        "subaccount_uuid": plain["subaccount_uuid"],
        "synthetic_hotkey": f"{HOTKEY}_0",
        "status": "active",
        "created_at_ms": 1000,
        "eliminated_at_ms": None,
        "account_size": 100_000.0,
        "asset_class": "crypto",
        "hl_address": None,
        "payout_address": None,
    }
    row = subaccount_row(wished)
    assert (row["account_size"], row["asset_class"], row["hl_address"], row["bucket"]) == (
        25_000.0,
        "forex",
        "0xa",
        "X",
    )


def test_a_given_account_size_appears_with_its_subaccount() -> None:
    journal = MemoryJournal()
    clerk = clerk_on(journal)
    clerk.register(entity())
    clerk.create(creation())
    clerk.create(creation(account_size=25_000.0))
    registry = Registry(journal)

    assert registry.get(f"account_size|{HOTKEY}_0") is None  # its venue's equity will decide
    fact = registry.get(f"account_size|{HOTKEY}_1")
    assert fact is not None
    size = msgspec.json.decode(fact.body, type=AccountSizeMessage).account_size
    assert Decimal(size.account_size) == 25_000
    created = registry.get(f"subaccount|{HOTKEY}|1")
    assert created is not None
    assert created.time_ms == fact.time_ms


def test_an_elimination_is_permanent_and_carries_its_time() -> None:
    clock = FakeClock(1000)
    journal = MemoryJournal(clock=clock)
    clerk = clerk_on(journal, clock)
    clerk.register(entity())
    clerk.create(creation())
    clock.advance(5)
    gone, is_new = put_out(clerk, HOTKEY, 0, "poor_performance")
    again, is_new_again = put_out(clerk, HOTKEY, 0, "other")

    assert (gone.status, gone.eliminated_at_ms, is_new) == ("eliminated", 6000, True)
    assert (again, is_new_again) == (gone, False)
    assert eliminated.is_blocked(Registry(journal), f"{HOTKEY}_0")
    assert not eliminated.is_blocked(Registry(journal), HOTKEY)
    found = clerk.entities.entity(HOTKEY)
    assert found is not None
    assert found.active == []
    assert subaccount_row(found.subaccounts[0])["status"] == "eliminated"


def test_eliminating_what_is_not_there() -> None:
    clerk = office()
    assert refusal(lambda: put_out(clerk, "nobody", 0, "r")) == ("missing", "Entity nobody not found")
    assert refusal(lambda: put_out(clerk, HOTKEY, 3, "r")) == (
        "missing",
        f"Subaccount 3 not found for entity {HOTKEY}",
    )


def test_the_same_receipt_is_answered_with_the_same_subaccount() -> None:
    clerk = office(HOTKEY, OTHER)
    first = clerk.create(creation(account_size=5.0), "r1")
    again = clerk.create(creation(account_size=5.0), "r1")
    other = clerk.create(creation(account_size=5.0), "r2")

    assert again == first
    assert other.record.subaccount_id == 1
    found = clerk.entities.entity(HOTKEY)
    assert found is not None
    assert found.next_subaccount_id == 2


def test_a_receipt_for_something_else_creates_nothing() -> None:
    clerk = clerk_on()
    clerk.register(entity(), "r1")
    assert refusal(lambda: clerk.create(creation(), "r1"))[0] == "conflict"
    receipt = clerk.entities.receipt("r1")
    assert receipt is not None
    assert (receipt.use, receipt.made) == ("register", f"entity|{HOTKEY}")


def test_an_endpoint_is_set_and_an_old_request_does_not_set_it_back() -> None:
    clerk = office()
    clerk.set_endpoint(HOTKEY, "https://one", "r1")
    clerk.set_endpoint(HOTKEY, "https://two", "r2")

    assert clerk.set_endpoint(HOTKEY, "https://one", "r1").endpoint_url == "https://two"
    found = clerk.entities.entity(HOTKEY)
    assert found is not None
    assert entity_row(found)["endpoint_url"] == "https://two"
    assert refusal(lambda: clerk.set_endpoint("nobody", "https://x")) == (
        "missing",
        "Entity nobody not found",
    )


def test_an_entity_with_everything_it_has() -> None:
    clerk = clerk_on()
    clerk.register(entity(collateral_amount=5000.0, max_subaccounts=10, registered_at_ms=77))
    for _ in range(12):
        if len(clerk.entities.active_hotkeys()) == 10:
            put_out(clerk, HOTKEY, 0, "r")
        clerk.create(creation())
        if clerk.entities.subaccount(f"{HOTKEY}_10"):
            break
    found = clerk.entities.entity(HOTKEY)
    assert found is not None
    row = entity_row(found)

    assert list(row["subaccounts"]) == [str(number) for number in range(11)]
    assert row["next_subaccount_id"] == 11
    assert (row["collateral_amount"], row["max_subaccounts"], row["registered_at_ms"]) == (5000.0, 10, 77)
    assert [one.record.entity_hotkey for one in clerk.entities.everybody()] == [HOTKEY]
    assert len(clerk.entities.active_hotkeys()) == 10


def test_subaccounts_are_found_by_hotkey_and_uuid() -> None:
    clerk = office(HOTKEY, "5GhDr3xyEntityLonger")  # one hotkey begins like the other
    made = clerk.create(creation()).record
    clerk.create(creation("5GhDr3xyEntityLonger"))
    put_out(clerk, HOTKEY, 0, "r")

    for found in (clerk.entities.subaccount(f"{HOTKEY}_0"), clerk.entities.by_uuid(made.subaccount_uuid)):
        assert found is not None
        assert (found.record, found.status) == (made, "eliminated")
    for missing in ("nobody_0", f"{HOTKEY}_1", f"{HOTKEY}_00", HOTKEY, ""):
        assert clerk.entities.subaccount(missing) is None
    assert clerk.entities.by_uuid("unknown") is None
    later = clerk.create(creation()).record
    assert clerk.entities.by_uuid(later.subaccount_uuid) is not None


def test_who_may_place_orders() -> None:
    clerk = office()
    clerk.create(creation())
    clerk.create(creation())
    put_out(clerk, HOTKEY, 1, "r")
    reasons = {
        hotkey: clerk.entities.refusal_to_trade(hotkey)
        for hotkey in (HOTKEY, f"{HOTKEY}_0", f"{HOTKEY}_1", f"{HOTKEY}_2", "miner")
    }

    assert reasons == {
        HOTKEY: f"Entity hotkey {HOTKEY} cannot place orders directly. "
        "Please use a subaccount (synthetic hotkey) to place orders.",
        f"{HOTKEY}_0": None,
        f"{HOTKEY}_1": f"Synthetic hotkey {HOTKEY}_1 is not active (status: eliminated). "
        "Please use an active subaccount.",
        f"{HOTKEY}_2": f"Synthetic hotkey {HOTKEY}_2 not found. "
        "Please ensure your subaccount is properly registered.",
        "miner": None,
    }


def test_a_receiver_takes_each_creation_once_and_raises_the_next_id() -> None:
    here, there = office(), clerk_on()
    made = [here.create(creation(account_size=7.0)).record for _ in range(8)]
    assert there.receive(made[7])
    assert not there.receive(made[7])
    found = there.entities.entity(HOTKEY)

    assert found is not None
    assert (found.next_subaccount_id, list(found.subaccounts)) == (8, [7])
    assert found.record.max_subaccounts == 500
    assert there.create(creation()).record.subaccount_id == 8
    assert there.receive(made[3])
    taken = there.entities.by_uuid(made[3].subaccount_uuid)
    assert taken is not None
    assert taken.record == msgspec.structs.replace(made[3], origin="peer")


def test_a_receiver_refuses_another_uuid_for_an_id_and_another_id_for_a_uuid() -> None:
    here, there = office(), office()
    made, own = here.create(creation()).record, there.create(creation()).record
    assert refusal(lambda: there.receive(made)) == (
        "conflict",
        f"Subaccount 0 of entity {HOTKEY} has another uuid",
    )
    moved = msgspec.structs.replace(own, subaccount_id=5)
    assert refusal(lambda: there.receive(moved))[0] == "conflict"
    odd = msgspec.structs.replace(made, entity_hotkey="a b")
    assert refusal(lambda: there.receive(odd)) == ("invalid", "Invalid subaccount")


def test_a_replica_changes_nothing() -> None:
    source = MemoryJournal()
    clerk = clerk_on(MemoryJournal.open_at(source.heads(), source.epoch()))
    with pytest.raises(UnavailableError):
        clerk.register(entity())


@given(st.lists(st.sampled_from(["create", "eliminate", "receive", "restart"]), max_size=40))
def test_ids_are_never_given_twice(steps: list[str]) -> None:
    """Whatever happens in between, each creation gets an id above all before."""
    journal = MemoryJournal()
    clerk, given_ids = clerk_on(journal), []
    clerk.register(entity())
    for number, step in enumerate(steps):
        if step == "create":
            given_ids.append(clerk.create(creation()).record.subaccount_id)
        elif step == "restart":
            clerk = clerk_on(journal)
        elif given_ids and step == "eliminate":
            put_out(clerk, HOTKEY, given_ids[-1], "r")
        elif step == "receive":
            found = clerk.entities.entity(HOTKEY)
            assert found is not None
            number_there = found.next_subaccount_id + 1
            told = office().create(creation()).record
            changes = {"subaccount_id": number_there, "subaccount_uuid": f"uuid-{number}"}
            assert clerk.receive(msgspec.structs.replace(told, **changes))
            given_ids.append(number_there)

    assert given_ids == sorted(set(given_ids))
    facts = Registry(journal).with_prefix(f"subaccount|{HOTKEY}|")
    assert len(facts) == len(given_ids)
    assert journal.head(REGISTRY) >= len(given_ids) + 1
