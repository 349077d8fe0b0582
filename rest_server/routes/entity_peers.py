"""What other nodes tell this one."""

from __future__ import annotations

from typing import Final

from flask import Blueprint

from rest_server import entity_models as models
from rest_server.answers import Small
from rest_server.entity_auth import NO_ACCESS, NOT_YOURS, desk, only_operators
from rest_server.entity_bodies import told_of
from rest_server.operation import answers, fails, needs_key, needs_tier, says, takes
from rest_server.posted import json_object
from rest_server.routes.entities import refusal
from validator.entities import rules
from validator.entities.outbox import Told
from validator.entities.rules import Refused

blueprint: Final = Blueprint("entity_peers", __name__)

PATH: Final = "/v1/entity/subaccounts"


@blueprint.post(PATH)
@needs_key
@needs_tier(200, NO_ACCESS)
@takes(Told)
@answers(models.Taken)
@fails(400, rules.BAD_SUBACCOUNT)
@fails(403, NOT_YOURS)
@fails(409, rules.OTHER_UUID)
@fails(409, rules.OTHER_ID)
@says(500, "Internal server error creating subaccount")
@says(503, rules.NOT_AVAILABLE)
def receive_subaccount() -> Small:
    """Take over a subaccount that was created on another node.

    Telling twice changes nothing: the uuid says which subaccount it is. Another uuid for an id that is known
    here, or another id for a uuid, is refused. An entity that is not known here is entered with defaults, and
    its next id lies above every id that was told. This is how the nodes named in `entities.peers` of each
    other's settings keep the same subaccounts.
    """
    here, record = desk(), told_of(json_object())
    only_operators()
    try:
        is_new = here.clerk.receive(record)
    except Refused as refused:
        raise refusal(refused) from None
    return Small(models.Taken(status="success", is_new=is_new))
