"""Entities and subaccounts as the registry keeps them, and as everybody is shown them.

Rule 1: a subaccount's fact is written once, at its creation, and never changes; whether it was eliminated
says ``elimination|<synthetic hotkey>`` alone.
Rule 2: what is shown always has every key, with a numeric ``account_size`` and a text ``asset_class``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

import msgspec

from validator.eliminated import Elimination
from validator.entities.hotkeys import synthetic_hotkey

ENTITY: Final = "entity|"  # <entity hotkey>
SUBACCOUNT: Final = "subaccount|"  # <entity hotkey>|<id>
RECEIPT: Final = "receipt|"  # <digest of a signature or an idempotency key>

Status = Literal["active", "admin", "failed"]
ACTIVE: Final[tuple[Status, ...]] = ("active", "admin")  # these trade

TermName = Literal["bucket", "pro_account_size", "eod_hwm_threshold", "intraday_drawdown_threshold"]
Term = str | int | float
TERMS: Final[tuple[TermName, ...]] = get_args(TermName)


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """An owner of subaccounts. ``coldkey`` is who signed for it last; None: an operator's key did it."""

    entity_hotkey: str
    collateral_amount: float
    max_subaccounts: int
    registered_at_ms: int
    coldkey: str | None = None
    endpoint_url: str | None = None


class Subaccount(msgspec.Struct, frozen=True, kw_only=True):
    """A trading account of an entity. ``account_size`` is USD; ``terms`` are kept as the client sent them.

    ``origin`` says whether it was created here or told by another node.
    """

    entity_hotkey: str
    subaccount_id: int
    subaccount_uuid: str
    created_at_ms: int
    account_size: float
    asset_class: str
    status: Status = "active"
    hl_address: str | None = None
    payout_address: str | None = None
    terms: dict[TermName, Term] = {}
    origin: Literal["here", "peer"] = "here"

    @property
    def synthetic_hotkey(self) -> str:
        """The hotkey it trades under."""
        return synthetic_hotkey(self.entity_hotkey, self.subaccount_id)


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a signature (or an idempotency key) was used for, and the registry key that came of it."""

    use: Literal["register", "create", "endpoint"]
    made: str


class EntityMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a ``registry`` entry with key ``entity|<entity hotkey>``."""

    entity: Entity


class SubaccountMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a ``registry`` entry with key ``subaccount|<entity hotkey>|<id>``."""

    subaccount: Subaccount


class ReceiptMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a ``registry`` entry with key ``receipt|<digest>``."""

    receipt: Receipt


decode_entity: Final = msgspec.json.Decoder(EntityMessage).decode
decode_subaccount: Final = msgspec.json.Decoder(SubaccountMessage).decode
decode_receipt: Final = msgspec.json.Decoder(ReceiptMessage).decode


def entity_key(entity_hotkey: str) -> str:
    """The registry key of an entity."""
    return ENTITY + entity_hotkey


def subaccount_key(entity_hotkey: str, subaccount_id: int) -> str:
    """The registry key of a subaccount."""
    return f"{SUBACCOUNT}{entity_hotkey}|{subaccount_id}"


class Standing(msgspec.Struct, frozen=True):
    """A subaccount and whether it is still in."""

    record: Subaccount
    elimination: Elimination | None = None

    @property
    def status(self) -> str:
        """``active``, ``admin``, ``failed`` or ``eliminated``."""
        return self.record.status if self.elimination is None else "eliminated"

    @property
    def is_active(self) -> bool:
        """Whether it may trade."""
        return self.status in ACTIVE

    @property
    def eliminated_at_ms(self) -> int | None:
        """When it was eliminated."""
        return None if self.elimination is None else self.elimination.elimination_initiated_time_ms


class EntityStanding(msgspec.Struct, frozen=True):
    """An entity with all its subaccounts, by id."""

    record: Entity
    subaccounts: Mapping[int, Standing]

    @property
    def next_subaccount_id(self) -> int:
        """One above the highest id there ever was: ids are never given twice."""
        return max(self.subaccounts, default=-1) + 1

    @property
    def active(self) -> list[Standing]:
        """The subaccounts that trade: the only ones that count towards the entity."""
        return [one for one in self.subaccounts.values() if one.is_active]


def subaccount_row(one: Standing) -> dict[str, Any]:
    """A subaccount as the API shows it."""
    record = one.record
    return {
        "subaccount_id": record.subaccount_id,
        "subaccount_uuid": record.subaccount_uuid,
        "synthetic_hotkey": record.synthetic_hotkey,
        "status": one.status,
        "created_at_ms": record.created_at_ms,
        "eliminated_at_ms": one.eliminated_at_ms,
        "account_size": record.account_size,
        "asset_class": record.asset_class,
        "hl_address": record.hl_address,
        "payout_address": record.payout_address,
        **{name: record.terms[name] for name in TERMS if name in record.terms},
    }


def entity_row(one: EntityStanding) -> dict[str, Any]:
    """An entity as the API shows it."""
    record = one.record
    return {
        "entity_hotkey": record.entity_hotkey,
        "subaccounts": {str(number): subaccount_row(found) for number, found in one.subaccounts.items()},
        "next_subaccount_id": one.next_subaccount_id,
        "collateral_amount": record.collateral_amount,
        "max_subaccounts": record.max_subaccounts,
        "registered_at_ms": record.registered_at_ms,
        "endpoint_url": record.endpoint_url,
    }
