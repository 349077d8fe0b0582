"""Every change to entities: look, decide, write, in one compare-and-set.

Rule 1: of any number of clerks, in any number of processes, each gives the next id; ids are 0, 1, 2, ...
without a hole and without a repeat, whenever one of them is killed.
Rule 2: a request is carried out once. Its receipt (the digest of what was signed with, or of an idempotency
key) is written in the same transaction; whoever sends the request again is told what came of it.
Rule 3: a subaccount and the account size it was given appear together.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Final

import msgspec

from journal.entry import REGISTRY, Draft
from runtime.clock import Clock
from validator.entities import rules
from validator.entities.directory import Entities
from validator.entities.records import (
    RECEIPT,
    Entity,
    EntityMessage,
    EntityStanding,
    Receipt,
    ReceiptMessage,
    Standing,
    Subaccount,
    SubaccountMessage,
    entity_key,
    subaccount_key,
)
from validator.entities.rules import Creation, Defaults, Refused
from validator.registry import ABSENT, Registry, draft, sequence_of
from vanta_api.records import AccountSizeMessage, AccountSizeRecord, encode

SIZE: Final = "account_size|"  # <hotkey>

PutOut = Callable[[str, str], bool]
"""Eliminates a hotkey for a reason, with everything that belongs to it; False when it is out already."""


class Clerk:
    """Changes entities. Threads may share it; every method may raise UnavailableError."""

    def __init__(self, registry: Registry, clock: Clock, defaults: Defaults) -> None:
        self.registry, self.clock, self._defaults = registry, clock, defaults
        self.entities = Entities(registry)

    def register(self, entity: Entity, receipt: str | None = None) -> Entity:
        """Enter a new entity. Raises Refused."""
        key = entity_key(entity.entity_hotkey)

        def make() -> list[Draft]:
            made = rules.registered(self.entities.entity(entity.entity_hotkey), entity)
            body = encode(EntityMessage(entity=made))
            return [draft(key, body, expected=ABSENT), *_receipt(receipt, Receipt(use="register", made=key))]

        self.registry.transact(make)
        return entity

    def create(self, wanted: Creation, receipt: str | None = None) -> Standing:
        """Create the entity's next subaccount, or return the one this receipt stands for. Raises Refused."""
        found: list[Standing] = []
        subaccount_uuid = str(uuid.uuid4())

        def make() -> list[Draft]:
            found.clear()
            if receipt is not None and (before := self._made(receipt)) is not None:
                found.append(before)
                return []
            entity = self.entities.entity(wanted.entity_hotkey)
            now_ms = self.clock.now_ms()
            made = rules.created(entity, wanted, self._defaults, subaccount_uuid, now_ms)
            found.append(Standing(made))
            return [*_creation(made, wanted.account_size), *_receipt(receipt, _creation_receipt(made))]

        self.registry.transact(make)
        return found[0]

    def eliminate(
        self, entity_hotkey: str, number: int, reason: str, put_out: PutOut
    ) -> tuple[Standing, bool]:
        """Put a subaccount out for good; returns it, and False when it was out already. Raises Refused."""
        one = rules.found(self.entities.entity(entity_hotkey), entity_hotkey, number)
        is_new = one.elimination is None and put_out(one.record.synthetic_hotkey, reason)
        return self.entities.subaccount(one.record.synthetic_hotkey) or one, is_new

    def set_endpoint(self, entity_hotkey: str, url: str, receipt: str | None = None) -> Entity:
        """Note where the entity can be reached. A receipt that was used already changes nothing.

        Raises Refused.
        """
        found: list[Entity] = []
        key = entity_key(entity_hotkey)

        def make() -> list[Draft]:
            found.clear()
            fact, entity = self.registry.get(key), self.entities.entity(entity_hotkey)
            if entity is None:
                raise Refused("missing", rules.ENTITY_NOT_FOUND.format(hotkey=entity_hotkey))
            if receipt is not None and self.entities.receipt(receipt) is not None:
                found.append(entity.record)
                return []
            found.append(msgspec.structs.replace(entity.record, endpoint_url=url))
            body = encode(EntityMessage(entity=found[0]))
            used = _receipt(receipt, Receipt(use="endpoint", made=key))
            return [draft(key, body, expected=sequence_of(fact)), *used]

        self.registry.transact(make)
        return found[0]

    def receive(self, told: Subaccount) -> bool:
        """Take over a subaccount that another node created; False when it is here already. Raises Refused.

        An entity that is not known here is entered with the defaults.
        """
        is_new: list[bool] = []

        def make() -> list[Draft]:
            entity = self.entities.entity(told.entity_hotkey)
            made = rules.received(entity, told, self.entities.by_uuid(told.subaccount_uuid))
            is_new[:] = [made is not None]
            if made is None:
                return []
            return [*self._unknown_entity(entity, made), *_creation(made, made.account_size)]

        self.registry.transact(make)
        return is_new[0]

    def _made(self, receipt: str) -> Standing | None:
        """The subaccount that the receipt was given for. Raises Refused when it was for something else."""
        before = self.entities.receipt(receipt)
        if before is None:
            return None
        fact = self.registry.get(before.made) if before.use == "create" else None
        if fact is None:
            raise Refused("conflict", "This signature was used for something else")
        return self.entities.subaccount(hotkey_of(fact.key))

    def _unknown_entity(self, entity: EntityStanding | None, told: Subaccount) -> list[Draft]:
        if entity is not None:
            return []
        made = Entity(
            entity_hotkey=told.entity_hotkey,
            collateral_amount=0.0,
            max_subaccounts=self._defaults.max_subaccounts,
            registered_at_ms=told.created_at_ms,
        )
        return [draft(entity_key(told.entity_hotkey), encode(EntityMessage(entity=made)), expected=ABSENT)]


def hotkey_of(key: str) -> str:
    """The synthetic hotkey of a subaccount's registry key."""
    _, entity_hotkey, number = key.split("|")
    return f"{entity_hotkey}_{number}"


def _creation(made: Subaccount, said_size: float | None) -> list[Draft]:
    key = subaccount_key(made.entity_hotkey, made.subaccount_id)
    drafts = [draft(key, encode(SubaccountMessage(subaccount=made)), expected=ABSENT)]
    if said_size is not None:  # else the venue's equity decides when it is first seen
        record = AccountSizeRecord(
            hotkey=made.synthetic_hotkey,
            account_size=said_size,
            update_time_ms=made.created_at_ms,
            valid_date_timestamp=made.created_at_ms,
        )
        body = encode(AccountSizeMessage(account_size=record))
        drafts.append(Draft(REGISTRY, SIZE + record.hotkey, body, str(said_size).encode()))
    return drafts


def _creation_receipt(made: Subaccount) -> Receipt:
    return Receipt(use="create", made=subaccount_key(made.entity_hotkey, made.subaccount_id))


def _receipt(digest: str | None, receipt: Receipt) -> list[Draft]:
    if digest is None:
        return []
    return [draft(RECEIPT + digest, encode(ReceiptMessage(receipt=receipt)), expected=ABSENT)]
