"""Who is registered now: entities and subaccounts, read from the registry.

Rule: a read sees everything that was durable when it began (the registry's rule); nothing is kept here but
decoded bodies, each beside the number of the entry it came from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from validator import eliminated
from validator.eliminated import ELIMINATION
from validator.entities import hotkeys, rules
from validator.entities.records import (
    ENTITY,
    RECEIPT,
    SUBACCOUNT,
    EntityStanding,
    Receipt,
    Standing,
    Subaccount,
    decode_entity,
    decode_receipt,
    decode_subaccount,
    entity_key,
    subaccount_key,
)
from validator.registry import Fact, Registry

Decoded = TypeVar("Decoded")


class Entities:
    """All entities. Threads may share it; every method raises JournalError."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._decoded: dict[str, tuple[int, Any]] = {}
        self._by_uuid: dict[str, str] = {}  # subaccount uuid → registry key
        self._by_hl: dict[str, str] = {}  # Hyperliquid address in lower case → key of its newest subaccount
        self._placed = 0  # the registry number up to which both are whole

    def entity(self, entity_hotkey: str) -> EntityStanding | None:
        """The entity with its subaccounts, or None."""
        fact = self._registry.get(entity_key(entity_hotkey))
        if fact is None:
            return None
        facts = self._registry.with_prefix(f"{SUBACCOUNT}{entity_hotkey}|")
        rows = self._registry.with_prefix(f"{ELIMINATION}{entity_hotkey}_")
        return self._standing(fact, facts, {row.key: row for row in rows})

    def is_registered(self, entity_hotkey: str) -> bool:
        """Whether there is such an entity."""
        return self._registry.get(entity_key(entity_hotkey)) is not None

    def everybody(self) -> list[EntityStanding]:
        """All entities, by hotkey."""
        rows = {row.key: row for row in self._registry.with_prefix(ELIMINATION)}
        owned: dict[str, list[Fact]] = {}
        for fact in self._registry.with_prefix(SUBACCOUNT):
            owned.setdefault(fact.key[len(SUBACCOUNT) :].rpartition("|")[0], []).append(fact)
        entities = self._registry.with_prefix(ENTITY)
        return [self._standing(fact, owned.get(fact.key[len(ENTITY) :], []), rows) for fact in entities]

    def subaccount(self, synthetic: str) -> Standing | None:
        """The subaccount that trades under this hotkey, or None."""
        parts = hotkeys.parse(synthetic)
        if parts is None:
            return None
        fact = self._registry.get(subaccount_key(*parts))
        if fact is None:
            return None
        return self._with(self._record(fact), self._registry.get(eliminated.key_of(synthetic)))

    def by_uuid(self, subaccount_uuid: str) -> Standing | None:
        """The subaccount of this uuid, or None."""
        return self._at(self._by_uuid, subaccount_uuid)

    def by_hl_address(self, address: str) -> Standing | None:
        """The newest subaccount of this Hyperliquid address, or None."""
        return self._at(self._by_hl, address.lower())

    def active_hotkeys(self) -> list[str]:
        """Synthetic hotkeys of all subaccounts that trade."""
        return [one.record.synthetic_hotkey for entity in self.everybody() for one in entity.active]

    def receipt(self, digest: str) -> Receipt | None:
        """What a signature or idempotency key was used for, or None."""
        fact = self._registry.get(RECEIPT + digest)
        return None if fact is None else decode_receipt(fact.body).receipt

    def refusal_to_trade(self, hotkey: str) -> str | None:
        """Why this hotkey may not place orders; None when entities have nothing against it."""
        is_synthetic = hotkeys.parse(hotkey) is not None
        one = self.subaccount(hotkey) if is_synthetic else None
        return rules.refusal_to_trade(self.is_registered(hotkey), is_synthetic, one, hotkey)

    def _standing(self, fact: Fact, facts: list[Fact], rows: dict[str, Fact]) -> EntityStanding:
        records = [self._record(one) for one in facts]
        records.sort(key=lambda record: record.subaccount_id)
        standings = {
            record.subaccount_id: self._with(record, rows.get(eliminated.key_of(record.synthetic_hotkey)))
            for record in records
        }
        return EntityStanding(self._read(fact, decode_entity).entity, standings)

    def _record(self, fact: Fact) -> Subaccount:
        return self._read(fact, decode_subaccount).subaccount

    def _with(self, record: Subaccount, row: Fact | None) -> Standing:
        return Standing(record, None if row is None else self._read(row, eliminated.decode))

    def _read(self, fact: Fact, decode: Callable[[bytes], Decoded]) -> Decoded:
        known = self._decoded.get(fact.key)
        if known is None or known[0] != fact.sequence:
            known = self._decoded[fact.key] = (fact.sequence, decode(fact.body))
        value: Decoded = known[1]
        return value

    def _at(self, places: dict[str, str], name: str) -> Standing | None:
        self._place()
        key = places.get(name)
        fact = None if key is None else self._registry.get(key)
        return None if fact is None else self.subaccount(self._record(fact).synthetic_hotkey)

    def _place(self) -> None:
        head = self._registry.sequence
        if head == self._placed:
            return
        new = [fact for fact in self._registry.with_prefix(SUBACCOUNT) if fact.sequence > self._placed]
        for fact in sorted(new, key=lambda fact: fact.sequence):
            record = self._record(fact)
            self._by_uuid[record.subaccount_uuid] = fact.key
            if record.hl_address is not None:
                self._by_hl[record.hl_address.lower()] = fact.key
        self._placed = head
