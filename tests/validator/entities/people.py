"""Entities for tests, written with as few words as possible."""

from __future__ import annotations

from typing import Any, Final

from journal.memory import MemoryJournal
from runtime.clock import FakeClock
from validator import eliminated
from validator.eliminated import Elimination, EliminationMessage
from validator.entities.clerk import Clerk
from validator.entities.records import Entity, Standing
from validator.entities.rules import Creation, Defaults
from validator.registry import ABSENT, Registry, Store
from vanta_api.records import encode

DEFAULTS: Final = Defaults(account_size=100_000.0, asset_class="crypto", max_subaccounts=500)
HOTKEY: Final = "5GhDr3xyEntity"
OTHER: Final = "5FghJkOther"


def entity(hotkey: str = HOTKEY, **fields: Any) -> Entity:
    """An entity that may have many subaccounts."""
    fields = {"collateral_amount": 0.0, "max_subaccounts": 500, "registered_at_ms": 1, **fields}
    return Entity(entity_hotkey=hotkey, **fields)


def creation(hotkey: str = HOTKEY, **fields: Any) -> Creation:
    """A wish for a subaccount."""
    return Creation(entity_hotkey=hotkey, **fields)


def clerk_on(journal: Store | None = None, clock: FakeClock | None = None) -> Clerk:
    """A clerk of its own on this journal."""
    return Clerk(Registry(journal or MemoryJournal()), clock or FakeClock(), DEFAULTS)


def office(*hotkeys: str) -> Clerk:
    """A clerk in a new world with these entities."""
    clerk = clerk_on()
    for hotkey in hotkeys or (HOTKEY,):
        clerk.register(entity(hotkey))
    return clerk


def put_out(clerk: Clerk, hotkey: str, number: int, reason: str) -> tuple[Standing, bool]:
    """Eliminate a subaccount without closing anything."""

    def write(synthetic: str, why: str) -> bool:
        at_ms = clerk.clock.now_ms()
        row = Elimination(hotkey=synthetic, reason=why, elimination_initiated_time_ms=at_ms)
        body = encode(EliminationMessage(elimination=row))
        clerk.registry.put(eliminated.key_of(synthetic), body, expected=ABSENT)
        return True

    return clerk.eliminate(hotkey, number, reason, write)
