"""Entities and their subaccounts: register, create, look at, eliminate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flask import Blueprint, request

from rest_server import entity_models as models
from rest_server.answers import Answer, Small
from rest_server.auth import current_key
from rest_server.entity_auth import (
    CREATION,
    NO_ACCESS,
    NOT_OWNED,
    NOT_YOURS,
    REGISTRATION,
    creation_forms,
    desk,
    is_keyed,
    must_sign,
    only_own,
    plain_form,
    receipt_of,
    signed_by_owner,
)
from rest_server.entity_bodies import (
    ALL_MISSING,
    BAD_COLLATERAL,
    BAD_ID,
    BAD_IDEMPOTENCY_KEY,
    BAD_LIMIT,
    BAD_REASON,
    BAD_TERM,
    BAD_WORD,
    NO_CLASS,
    NOT_A_NUMBER,
    NOT_POSITIVE,
    creation_of,
    elimination_of,
    entity_of,
    hotkey_of,
    idempotency_receipt,
    missing,
)
from rest_server.errors import Problem
from rest_server.operation import (
    answers,
    fails,
    needs_key,
    needs_tier,
    open_to_all,
    path_example,
    says,
    takes,
)
from rest_server.posted import MISSING, OLD_CLIENT, UNKNOWN_CLIENT, check_client, json_object, require
from rest_server.services import services
from validator.entities import rules
from validator.entities.records import entity_row, subaccount_row
from validator.entities.rules import Refused

blueprint: Final = Blueprint("entities", __name__)

REGISTERED: Final = "Entity {hotkey} registered successfully"
CREATED: Final = "Subaccount {number} created successfully"
ELIMINATED: Final = "Subaccount {number} eliminated successfully"
ELIMINATED_BEFORE: Final = "Subaccount {number} already eliminated"
REGISTER_UNSIGNED: Final = "Invalid signature. Entity registration unauthorized"
CREATE_UNSIGNED: Final = "Invalid signature. Subaccount creation unauthorized"
USED_OTHERWISE: Final = "This signature was used for something else"
_STATUS: Final = {"invalid": 400, "missing": 404, "conflict": 409}
_CODE: Final = {"invalid": "refused", "missing": "not_found", "conflict": "conflict"}


@blueprint.post("/entity/register")
@open_to_all
@takes(models.RegisterRequest)
@answers(models.Registered)
@fails(400, OLD_CLIENT)
@fails(400, UNKNOWN_CLIENT)
@fails(400, MISSING.format(name="entity_hotkey"))
@fails(400, rules.BAD_HOTKEY)
@fails(400, BAD_COLLATERAL)
@fails(400, BAD_LIMIT.format(limit="{limit}"))
@fails(400, rules.ALREADY_REGISTERED)
@fails(401, REGISTER_UNSIGNED)
@fails(403, NO_ACCESS)
@fails(403, NOT_YOURS)
@fails(403, NOT_OWNED)
@says(500, "Internal server error registering entity")
@says(503, rules.NOT_AVAILABLE)
def register() -> Small:
    """Register an entity, which then may have subaccounts.

    With a tier-200 key, or signed by the coldkey that owns the hotkey.
    """
    here, body, coldkey, receipt = desk(), _posted(), None, None
    if not is_keyed():
        must_sign(body)
        require(body, (*REGISTRATION, "signature"))
    wanted = _wanted_entity(body)
    if not is_keyed():
        coldkey = signed_by_owner(plain_form(body, REGISTRATION), REGISTER_UNSIGNED)
        receipt = receipt_of(body)
        wanted = _wanted_entity(body, coldkey)
    only_own(wanted.entity_hotkey)
    try:
        here.clerk.register(wanted, receipt)
    except Refused as refused:
        raise refusal(refused) from None
    message = REGISTERED.format(hotkey=wanted.entity_hotkey)
    return Small({"status": "success", "message": message, "entity_hotkey": wanted.entity_hotkey})


_CREATION_FAILURES: Final = (
    (400, OLD_CLIENT),
    (400, UNKNOWN_CLIENT),
    (400, MISSING.format(name="entity_hotkey")),
    (400, ALL_MISSING),
    (400, rules.BAD_HOTKEY),
    (400, NOT_POSITIVE),
    (400, NOT_A_NUMBER),
    (400, NO_CLASS),
    (400, BAD_WORD),
    (400, BAD_TERM),
    (400, BAD_IDEMPOTENCY_KEY),
    (400, rules.NOT_REGISTERED),
    (400, rules.FULL),
    (401, CREATE_UNSIGNED),
    (403, NO_ACCESS),
    (403, NOT_YOURS),
    (403, NOT_OWNED),
    (409, USED_OTHERWISE),
)


def creates_subaccounts(view: Callable[[], Answer]) -> Callable[[], Answer]:
    """What the creation of a subaccount may be answered with, under either of its names."""
    view = says(500, "Internal server error creating subaccount")(says(503, rules.NOT_AVAILABLE)(view))
    for status, text in reversed(_CREATION_FAILURES):
        view = fails(status, text)(view)
    return view


@blueprint.post("/entity/create-subaccount")
@open_to_all
@takes(models.CreateRequest)
@answers(models.Created)
@creates_subaccounts
def create_subaccount() -> Small:
    """Create an entity's next subaccount: ids are 0, 1, 2, ... and never given twice.

    With a tier-200 key, or signed by the coldkey that owns the hotkey. The same signature again, or the same
    `Idempotency-Key` header with the same body, is answered with the subaccount that it created. Other nodes
    are told of it in the background.
    """
    return _create()


@blueprint.post("/entity/create-hl-subaccount")
@open_to_all
@takes(models.CreateRequest)
@answers(models.Created)
@creates_subaccounts
def create_hl_subaccount() -> Small:
    """Another name of `/entity/create-subaccount`, for subaccounts with an `hl_address`."""
    return _create()


@blueprint.get("/entity/<entity_hotkey>")
@needs_key
@needs_tier(200, NO_ACCESS)
@path_example("entity_hotkey", "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY")
@answers(models.OneEntity)
@fails(403, NOT_YOURS)
@fails(404, rules.ENTITY_NOT_FOUND)
@says(500, "Internal server error retrieving entity")
@says(503, rules.NOT_AVAILABLE)
def entity(entity_hotkey: str) -> Small:
    """One entity with all its subaccounts."""
    here = desk()
    only_own(entity_hotkey)
    found = here.entities.entity(entity_hotkey)
    if found is None:
        raise Problem(404, rules.ENTITY_NOT_FOUND.format(hotkey=entity_hotkey), "not_found")
    return Small({"status": "success", "entity": entity_row(found)})


@blueprint.get("/entities")
@needs_key
@needs_tier(200, NO_ACCESS)
@answers(models.AllEntities)
@says(500, "Internal server error retrieving entities")
@says(503, rules.NOT_AVAILABLE)
def entities() -> Small:
    """All entities; an entity's own key sees that entity alone."""
    own = current_key().entity
    found = [one for one in desk().entities.everybody() if own is None or one.record.entity_hotkey == own]
    rows = {one.record.entity_hotkey: entity_row(one) for one in found}
    return Small(
        {
            "status": "success",
            "entities": rows,
            "entity_count": len(rows),
            "timestamp": services().clock.now_ms(),
        }
    )


@blueprint.post("/entity/subaccount/eliminate")
@needs_key
@needs_tier(200, NO_ACCESS)
@takes(models.EliminateRequest)
@answers(models.Done)
@fails(400, OLD_CLIENT)
@fails(400, UNKNOWN_CLIENT)
@fails(400, MISSING.format(name="entity_hotkey"))
@fails(400, rules.BAD_HOTKEY)
@fails(400, BAD_ID)
@fails(400, BAD_REASON)
@fails(403, NOT_YOURS)
@fails(404, rules.ENTITY_NOT_FOUND)
@fails(404, rules.NO_SUCH_SUBACCOUNT)
@says(500, "Internal server error eliminating subaccount")
@says(503, rules.NOT_AVAILABLE)
def eliminate() -> Small:
    """Put a subaccount out for good: its open positions are closed, its resting orders cancelled.

    What its venue still holds is shown as `residual` on its dashboard and changes nothing any more. A
    subaccount that is out already is left as it is.
    """
    here = desk()
    hotkey, number, reason = elimination_of(_posted())
    only_own(hotkey)
    try:
        _, is_new = here.clerk.eliminate(hotkey, number, reason, here.put_out)
    except Refused as refused:
        raise refusal(refused) from None
    text = ELIMINATED if is_new else ELIMINATED_BEFORE
    return Small({"status": "success", "message": text.format(number=number)})


def refusal(refused: Refused) -> Problem:
    """How a refusal is answered."""
    return Problem(_STATUS[refused.kind], refused.text, _CODE[refused.kind])


def _posted() -> dict[str, Any]:
    body = json_object()
    check_client(body)
    return body


def _wanted_entity(body: dict[str, Any], coldkey: str | None = None) -> Any:
    here = services()
    limits = here.settings.entities
    return entity_of(body, limits.max_subaccounts, limits.max_subaccounts_limit, here.clock.now_ms(), coldkey)


def _create() -> Small:
    here, body = desk(), _posted()
    if is_keyed():
        only_own(hotkey_of(body))
        wanted = creation_of(body)
        receipt = idempotency_receipt(request.headers.get("Idempotency-Key"), wanted)
    else:
        must_sign(body)
        missing(body, (*CREATION, "signature"))
        wanted = creation_of(body)
        signed_by_owner(creation_forms(body), CREATE_UNSIGNED)
        receipt = receipt_of(body)
    try:
        made = here.clerk.create(wanted, receipt)
    except Refused as refused:
        raise refusal(refused) from None
    here.ring()
    message = CREATED.format(number=made.record.subaccount_id)
    return Small({"status": "success", "message": message, "subaccount": subaccount_row(made)})
