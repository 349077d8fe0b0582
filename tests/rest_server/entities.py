"""Entities over HTTP: who asks, and how clients sign."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.rest_server.world import World
from tests.validator.collateral.people import COLD, HOT, OTHER, OTHER_HOT, signed_body
from tests.validator.entities.people import creation, entity

ENTITY: Final = HOT.ss58_address  # owned by COLD
COLDKEY: Final = COLD.ss58_address
STRANGER: Final = OTHER.ss58_address
STRANGERS_HOTKEY: Final = OTHER_HOT.ss58_address
SUBACCOUNT: Final = f"{ENTITY}_0"
OWNERSHIP: Final = {"entity_coldkey": COLDKEY, "entity_hotkey": ENTITY}
UUID: Final = "550e8400-e29b-41d4-a716-446655440000"


def signed(fields: Mapping[str, Any], signer: Any = COLD, **unsigned: Any) -> dict[str, Any]:
    """A body whose ``fields`` the coldkey signed."""
    return {**signed_body(signer, fields), **unsigned}


def registration(**unsigned: Any) -> dict[str, Any]:
    """What the command-line client posts to register an entity."""
    return signed(OWNERSHIP, **unsigned)


def wish(account_size: Any = 25000.0, **changes: Any) -> dict[str, Any]:
    """What the command-line client posts to create a subaccount; ``changes`` are signed too."""
    return signed({**OWNERSHIP, "account_size": account_size, "asset_class": "crypto", **changes})


def endpoint(url: str = "https://entity.example/api") -> dict[str, Any]:
    """A signed endpoint."""
    return signed({**OWNERSHIP, "endpoint_url": url})


def with_entity(world: World, subaccounts: int = 1, **fields: Any) -> None:
    """Register the entity with some subaccounts."""
    world.desk.clerk.register(entity(ENTITY, **fields))
    for _ in range(subaccounts):
        world.desk.clerk.create(creation(ENTITY))


def api_key(world: World) -> str:
    """The entity's own key, as it is handed out."""
    answer = world.post("/request-api-key", registration())
    assert answer.status_code == 200, answer.get_json()
    return str(answer.get_json()["api_key"])


def told(**changes: Any) -> dict[str, Any]:
    """What another node tells of a subaccount."""
    fields = {
        "entity_hotkey": ENTITY,
        "subaccount_id": 0,
        "subaccount_uuid": UUID,
        "synthetic_hotkey": SUBACCOUNT,
        "created_at_ms": 1_702_345_678_901,
        "account_size": 25000.0,
        "asset_class": "crypto",
    }
    return {**fields, **changes}
