"""Filters: which entries belong to a view."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from journal.entry import LEDGER, ORDERS, Entry
from tests.ws_server.helpers import entry
from ws_server.view import Facts, View, facts_of


def test_the_facts_of_a_position() -> None:
    """Hotkey from the key, venue and pair from the body."""
    assert facts_of(entry(1, "5F", pair="ETHUSD", venue="ostium")) == Facts("5F", "ostium", "ETHUSD")


def test_the_facts_of_an_order() -> None:
    """Resting orders name their pair beside the venue object."""
    body = msgspec.json.encode({"order": {"trade_pair_id": "O2:FUEL/USDC", "venue": {"name": "o2"}}})

    assert facts_of(Entry(ORDERS, 1, "hk|o1", b"", 0, body)) == Facts("hk", "o2", "O2:FUEL/USDC")


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"position":{"trade_pair":[]}}', b"\xff"])
def test_a_body_without_facts_is_withheld_from_filters(body: bytes) -> None:
    """What cannot be judged is not shown to somebody who asked for a selection."""
    odd = Entry("positions", 1, "hk|p", b"", 0, body)

    assert facts_of(odd) == Facts("hk")
    assert not View(venues=frozenset({"o2"})).admits("positions", facts_of(odd))
    assert not View(only_vanta=True).admits("positions", facts_of(odd))
    assert View().admits("positions", facts_of(odd))


@pytest.mark.parametrize(
    ("filters", "is_admitted"),
    [
        ({}, True),
        ({"hotkeys": {"hk"}}, True),
        ({"hotkeys": {"other"}}, False),
        ({"venues": {"o2", "ithaca"}}, True),
        ({"venues": {"ithaca"}}, False),
        ({"trade_pairs": {"BTCUSD"}}, True),
        ({"trade_pairs": {"ETHUSD"}}, False),
        ({"hotkeys": {"hk"}, "venues": {"ithaca"}}, False),
        ({"only_vanta": True}, True),
    ],
)
def test_filters_are_joined_by_and(filters: dict[str, Any], is_admitted: bool) -> None:
    """Every filter that is given must let the entry through."""
    frozen: dict[str, Any] = {
        name: value if value is True else frozenset(value) for name, value in filters.items()
    }

    assert View(**frozen).admits("positions", Facts("hk", "o2", "BTCUSD")) is is_admitted


def test_a_venues_own_pair_is_not_vantas() -> None:
    """A published Vanta client would raise on this pair."""
    assert not View(only_vanta=True).admits("positions", Facts("hk", "o2", "O2:FUEL/USDC"))


def test_streams_without_venues_pass_a_venue_filter() -> None:
    """A ledger checkpoint has no venue; its hotkey can still be selected."""
    view = View(streams=(LEDGER,), venues=frozenset({"o2"}), hotkeys=frozenset({"hk"}))

    assert view.admits(LEDGER, Facts("hk"))
    assert not view.admits(LEDGER, Facts("other"))
