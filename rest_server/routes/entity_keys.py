"""What entities are given and give: API keys, and where they can be reached."""

from __future__ import annotations

from typing import Final

import structlog
from flask import Blueprint, request

from rest_server import entity_models as models
from rest_server.answers import Small
from rest_server.entity_auth import (
    ENDPOINT,
    NO_ACCESS,
    NOT_OWNED,
    NOT_YOURS,
    REGISTRATION,
    desk,
    is_keyed,
    must_sign,
    only_own,
    plain_form,
    receipt_of,
    signed_by_owner,
)
from rest_server.entity_bodies import BAD_URL, endpoint_of, hotkey_of
from rest_server.errors import Problem
from rest_server.operation import answers, fails, open_to_all, query, says, takes
from rest_server.posted import MISSING, OLD_CLIENT, UNKNOWN_CLIENT, check_client, json_object, require
from rest_server.routes.entities import refusal
from validator.entities import rules
from validator.entities.records import Standing
from validator.entities.rules import Refused

blueprint: Final = Blueprint("entity_keys", __name__)

KEY_UNSIGNED: Final = "Invalid signature. API key request unauthorized"
USED: Final = "Signature already used. Please sign the request anew"
ENDPOINT_UNSIGNED: Final = "Invalid signature. Endpoint update unauthorized"
ENDPOINT_SET: Final = "Endpoint for entity {hotkey} set successfully"
ONE_OF_TWO: Final = "Exactly one of these parameters is required: hl_address, subaccount"
NO_ENDPOINT: Final = "Entity {hotkey} has no endpoint"

_log = structlog.get_logger()


@blueprint.post("/request-api-key")
@open_to_all
@takes(models.KeyRequest)
@answers(models.KeyAnswer)
@fails(400, OLD_CLIENT)
@fails(400, UNKNOWN_CLIENT)
@fails(400, MISSING.format(name="entity_coldkey"))
@fails(400, rules.BAD_HOTKEY)
@fails(401, KEY_UNSIGNED)
@fails(401, USED)
@fails(403, NOT_OWNED)
@fails(403, rules.NOT_REGISTERED)
@says(500, "Internal server error requesting API key")
@says(503, rules.NOT_AVAILABLE)
def request_api_key() -> Small:
    """The entity's API key, signed for by the coldkey that owns its hotkey.

    It opens what tier 200 opens, REST and WebSocket, for this entity. It is the same one whenever it is asked
    for, and is not stored anywhere.
    """
    here, body = desk(), json_object()
    check_client(body)
    require(body, (*REGISTRATION, "signature"))
    hotkey = hotkey_of(body)
    signed_by_owner(plain_form(body, REGISTRATION), KEY_UNSIGNED)
    if here.entities.receipt(receipt_of(body)) is not None:
        raise Problem(401, USED, "signature_used")  # whoever saw the registration has this signature too
    if not here.entities.is_registered(hotkey):
        raise Problem(403, rules.NOT_REGISTERED.format(hotkey=hotkey), "not_registered")
    try:
        here.secret.make()
    except OSError as error:
        _log.error("the secret of entities' API keys cannot be made", problem=error.strerror)
        raise Problem(503, rules.NOT_AVAILABLE, "not_available") from None
    return Small(models.KeyAnswer(api_key=here.keys.text(hotkey)))


@blueprint.post("/entity/set-endpoint")
@open_to_all
@takes(models.EndpointRequest)
@answers(models.EndpointSet)
@fails(400, OLD_CLIENT)
@fails(400, UNKNOWN_CLIENT)
@fails(400, MISSING.format(name="entity_hotkey"))
@fails(400, rules.BAD_HOTKEY)
@fails(400, BAD_URL)
@fails(401, ENDPOINT_UNSIGNED)
@fails(403, NO_ACCESS)
@fails(403, NOT_YOURS)
@fails(403, NOT_OWNED)
@fails(404, rules.ENTITY_NOT_FOUND)
@says(500, "Internal server error setting endpoint")
@says(503, rules.NOT_AVAILABLE)
def set_endpoint() -> Small:
    """Note where an entity can be reached.

    With a tier-200 key, or signed by the coldkey that owns the hotkey. A signature that was used before
    changes nothing; the answer says what holds.
    """
    here, body, receipt = desk(), json_object(), None
    check_client(body)
    if not is_keyed():
        must_sign(body)
        require(body, (*ENDPOINT, "signature"))
    hotkey, url = hotkey_of(body), endpoint_of(body)
    if not is_keyed():
        signed_by_owner(plain_form(body, ENDPOINT), ENDPOINT_UNSIGNED)
        receipt = receipt_of(body)
    only_own(hotkey)
    try:
        entity = here.clerk.set_endpoint(hotkey, url, receipt)
    except Refused as refused:
        raise refusal(refused) from None
    return Small(
        {
            "status": "success",
            "message": ENDPOINT_SET.format(hotkey=hotkey),
            "entity_hotkey": hotkey,
            "endpoint_url": entity.endpoint_url,
        }
    )


@blueprint.get("/entity/endpoint")
@open_to_all
@query("hl_address", "A subaccount's Hyperliquid address.", type="string", minLength=1)
@query("subaccount", "A subaccount's synthetic hotkey.", type="string", minLength=1)
@answers(models.Endpoint)
@fails(400, ONE_OF_TWO)
@fails(404, rules.SUBACCOUNT_NOT_FOUND)
@fails(404, NO_ENDPOINT)
@says(500, "Internal server error retrieving endpoint")
@says(503, rules.NOT_AVAILABLE)
def endpoint() -> Small:
    """Where the entity of a subaccount can be reached. Give one of the two parameters."""
    here = desk()
    asked = {name: request.args[name] for name in ("hl_address", "subaccount") if request.args.get(name)}
    if len(asked) != 1:
        raise Problem(400, ONE_OF_TWO, "invalid_parameters")
    ((name, value),) = asked.items()
    find = here.entities.by_hl_address if name == "hl_address" else here.entities.subaccount
    found: Standing | None = find(value)
    if found is None:
        raise Problem(404, rules.SUBACCOUNT_NOT_FOUND.format(hotkey=value[:200]), "not_found")
    hotkey = found.record.entity_hotkey
    entity = here.entities.entity(hotkey)
    if entity is None or entity.record.endpoint_url is None:
        raise Problem(404, NO_ENDPOINT.format(hotkey=hotkey), "no_endpoint")
    url = entity.record.endpoint_url
    return Small(models.Endpoint(status="success", entity_hotkey=hotkey, endpoint_url=url))
