"""What may become of an entity or a subaccount: pure decisions, and the sentences for what may not.

Rule: a refusal has a kind and a sentence; how it travels (a status, a frame) is its caller's business.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from validator.entities.hotkeys import ID_MAX, is_entity_hotkey
from validator.entities.records import Entity, EntityStanding, Standing, Status, Subaccount, Term, TermName

NOT_AVAILABLE: Final = "Entity management not available"
ALREADY_REGISTERED: Final = "Entity {hotkey} already registered"
NOT_REGISTERED: Final = "Entity {hotkey} not registered"
FULL: Final = "Entity {hotkey} has reached maximum subaccounts ({limit})"
ENTITY_NOT_FOUND: Final = "Entity {hotkey} not found"
SUBACCOUNT_NOT_FOUND: Final = "Subaccount {hotkey} not found"
NO_SUCH_SUBACCOUNT: Final = "Subaccount {number} not found for entity {hotkey}"
BAD_HOTKEY: Final = "entity_hotkey must be a hotkey"
OTHER_UUID: Final = "Subaccount {number} of entity {hotkey} has another uuid"
OTHER_ID: Final = "Subaccount uuid {uuid} belongs to another subaccount"
BAD_SUBACCOUNT: Final = "Invalid subaccount"
MANUAL: Final = "manual_elimination"

ENTITY_CANNOT_TRADE: Final = (
    "Entity hotkey {hotkey} cannot place orders directly. "
    "Please use a subaccount (synthetic hotkey) to place orders."
)
UNKNOWN_TRADER: Final = (
    "Synthetic hotkey {hotkey} not found. Please ensure your subaccount is properly registered."
)
INACTIVE_TRADER: Final = (
    "Synthetic hotkey {hotkey} is not active (status: {status}). Please use an active subaccount."
)

Kind = Literal["invalid", "missing", "conflict"]


class Refused(Exception):
    """What was asked for may not be done; the text is for the one who asked."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


class Creation(msgspec.Struct, frozen=True, kw_only=True):
    """What a new subaccount is to be. ``account_size`` None: nothing was said, the default holds."""

    entity_hotkey: str
    account_size: float | None = None
    asset_class: str | None = None
    hl_address: str | None = None
    payout_address: str | None = None
    terms: dict[TermName, Term] = {}
    status: Status = "active"


class Defaults(msgspec.Struct, frozen=True):
    """What holds where a client says nothing. ``account_size`` is USD."""

    account_size: float
    asset_class: str
    max_subaccounts: int


def registered(before: EntityStanding | None, entity: Entity) -> Entity:
    """The new entity. Raises Refused."""
    if not is_entity_hotkey(entity.entity_hotkey):
        raise Refused("invalid", BAD_HOTKEY)
    if before is not None:
        raise Refused("invalid", ALREADY_REGISTERED.format(hotkey=entity.entity_hotkey))
    return entity


def created(
    entity: EntityStanding | None, wanted: Creation, defaults: Defaults, uuid: str, at_ms: int
) -> Subaccount:
    """The next subaccount of the entity. Raises Refused."""
    hotkey = wanted.entity_hotkey
    if entity is None:
        raise Refused("invalid", NOT_REGISTERED.format(hotkey=hotkey))
    limit = entity.record.max_subaccounts
    if len(entity.active) >= limit or entity.next_subaccount_id > ID_MAX:
        raise Refused("invalid", FULL.format(hotkey=hotkey, limit=limit))
    return Subaccount(
        entity_hotkey=hotkey,
        subaccount_id=entity.next_subaccount_id,
        subaccount_uuid=uuid,
        created_at_ms=at_ms,
        account_size=defaults.account_size if wanted.account_size is None else wanted.account_size,
        asset_class=wanted.asset_class or defaults.asset_class,
        status=wanted.status,
        hl_address=wanted.hl_address,
        payout_address=wanted.payout_address,
        terms=wanted.terms,
    )


def found(entity: EntityStanding | None, entity_hotkey: str, number: int) -> Standing:
    """The entity's subaccount of this id. Raises Refused."""
    if entity is None:
        raise Refused("missing", ENTITY_NOT_FOUND.format(hotkey=entity_hotkey))
    one = entity.subaccounts.get(number)
    if one is None:
        raise Refused("missing", NO_SUCH_SUBACCOUNT.format(number=number, hotkey=entity_hotkey))
    return one


def received(entity: EntityStanding | None, told: Subaccount, known: Standing | None) -> Subaccount | None:
    """What another node's creation becomes here; None when it is here already.

    ``known`` is our subaccount of the same uuid. Raises Refused for another uuid under the same id, or the
    same uuid under another one.
    """
    if not is_entity_hotkey(told.entity_hotkey) or not 0 <= told.subaccount_id <= ID_MAX:
        raise Refused("invalid", BAD_SUBACCOUNT)
    here = entity.subaccounts.get(told.subaccount_id) if entity else None
    if here is not None and here.record.subaccount_uuid != told.subaccount_uuid:
        text = OTHER_UUID.format(number=told.subaccount_id, hotkey=told.entity_hotkey)
        raise Refused("conflict", text)
    if here is not None:
        return None
    if known is not None:
        raise Refused("conflict", OTHER_ID.format(uuid=told.subaccount_uuid))
    return msgspec.structs.replace(told, origin="peer")


def refusal_to_trade(is_entity: bool, is_synthetic: bool, one: Standing | None, hotkey: str) -> str | None:
    """Why this hotkey may not place orders, or None: as far as entities are concerned it may."""
    if is_entity:
        return ENTITY_CANNOT_TRADE.format(hotkey=hotkey)
    if not is_synthetic:
        return None
    if one is None:
        return UNKNOWN_TRADER.format(hotkey=hotkey)
    return None if one.is_active else INACTIVE_TRADER.format(hotkey=hotkey, status=one.status)
