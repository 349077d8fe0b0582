"""Who may act for an entity: a tier-200 key, or the coldkey that owns its hotkey by signing the request.

Rule 1: an operator's key acts for every entity, an entity's own key for that entity alone.
Rule 2: a key that is good enough is never asked for a signature; without one, the signature decides.
Rule 3: a signature is good for one act. Its digest is the receipt that the act leaves behind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from flask import g

from rest_server.addresses import rate_unit
from rest_server.auth import client_address, current_key, optional_key
from rest_server.entity_desk import EntityDesk
from rest_server.errors import Problem, unauthorized
from rest_server.services import services
from validator.collateral.service import NotOwnedError, NotSignedError
from validator.entities.keys import TIER
from validator.entities.records import TERMS
from validator.entities.rules import NOT_AVAILABLE
from validator.signing import is_signed, signature_of

NO_ACCESS: Final = "Your API key does not have access to tier 200 data"
NOT_YOURS: Final = "Your API key belongs to another entity"
NOT_OWNED: Final = "Coldkey does not own the specified hotkey"
REGISTRATION: Final = ("entity_coldkey", "entity_hotkey")
CREATION: Final = ("account_size", "asset_class", *REGISTRATION)
ENDPOINT: Final = ("endpoint_url", *REGISTRATION)

Form = tuple[Mapping[str, Any], tuple[str, ...]]
"""A body, and which of its fields are signed."""

_OPTIONAL: Final = ("hl_address", "payout_address", *TERMS)


def desk() -> EntityDesk:
    """What entity routes work with. Raises Problem 503 where entities are disabled."""
    here = services()
    if not here.settings.entities.enabled:
        raise Problem(503, NOT_AVAILABLE, "not_available")
    return here.entities


def is_keyed() -> bool:
    """Whether the request came with a key that needs no signature."""
    key = optional_key()
    return key is not None and key.tier >= TIER


def must_sign(body: Mapping[str, Any]) -> None:
    """Go on only when the request tries to prove itself by a signature. Raises Problem 401 or 403."""
    if "signature" in body or "entity_coldkey" in body:
        return
    if optional_key() is not None:
        raise Problem(403, NO_ACCESS, "insufficient_tier")
    here = services()
    g.allowance = here.limiter.take_failed(rate_unit(client_address()))
    raise unauthorized()


def only_own(entity_hotkey: str) -> None:
    """An entity's own key acts for that entity alone. Raises Problem 403."""
    key = optional_key()
    if key is not None and key.entity not in (None, entity_hotkey):
        raise Problem(403, NOT_YOURS, "other_entity")


def only_operators() -> None:
    """Entities' own keys are not for this. Raises Problem 403."""
    if current_key().entity is not None:
        raise Problem(403, NOT_YOURS, "other_entity")


def signed_by_owner(forms: Iterator[Form], text: str) -> str:
    """The coldkey that signed one of ``forms`` and owns the hotkey. Raises Problem 401 (``text``) or 403."""
    collateral = services().collateral
    for form, names in forms:
        if not is_signed(form, names, "entity_coldkey", collateral.prefix):
            continue
        try:
            coldkey, _ = collateral.check_owner(form, names, "entity_coldkey", "entity_hotkey")
        except NotOwnedError:
            raise Problem(403, NOT_OWNED, "not_owner") from None
        except NotSignedError:
            continue
        return coldkey.text
    raise Problem(401, text, "invalid_signature")


def plain_form(body: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[Form]:
    """The one way in which these fields can be signed."""
    yield body, names


def creation_forms(body: Mapping[str, Any]) -> Iterator[Form]:
    """The ways in which clients sign a creation: the size as sent or as a float, with what else is there."""
    optional = tuple(name for name in _OPTIONAL if body.get(name) is not None)
    yield body, (*CREATION, *optional)
    size = body["account_size"]
    if isinstance(size, int):
        yield {**body, "account_size": float(size)}, (*CREATION, *optional)


def receipt_of(body: Mapping[str, Any]) -> str:
    """What stands for the body's signature. Raises SigningError when it is none."""
    return hashlib.sha256(b"signature\0" + signature_of(body["signature"])).hexdigest()
