"""Asset classes: selecting one, and who selected which."""

from __future__ import annotations

from typing import Final

from flask import Blueprint

from rest_server.answers import Small
from rest_server.collateral_models import SelectionAnswer, SelectionRequest, Selections
from rest_server.errors import Problem
from rest_server.operation import answers, fails, needs_key, open_to_all, says, takes
from rest_server.posted import MISSING, OLD_CLIENT, UNKNOWN_CLIENT, check_client, json_object, require
from rest_server.services import services
from validator.assets import SelectionError
from validator.collateral.service import NotOwnedError, NotSignedError

blueprint: Final = Blueprint("assets", __name__)

SIGNED_FIELDS: Final = ("asset_selection", "miner_coldkey", "miner_hotkey")
NOT_SIGNED: Final = "Invalid signature. Asset selection request unauthorized"
NOT_OWNED: Final = "Coldkey does not own the specified hotkey"
NOT_AVAILABLE: Final = "Asset selection data not available"
SUCCESS: Final = "Miner {hotkey} successfully selected asset class: {asset_class}"


@blueprint.post("/asset-selection")
@open_to_all
@takes(SelectionRequest)
@answers(SelectionAnswer)
@fails(400, OLD_CLIENT)
@fails(400, UNKNOWN_CLIENT)
@fails(400, MISSING.format(name="asset_selection"))
@fails(401, NOT_SIGNED)
@fails(403, NOT_OWNED)
@says(500, "Internal server error processing asset selection")
@says(503, NOT_AVAILABLE)
def asset_selection() -> Small:
    """Select the asset class that a hotkey trades, for good; signed by the coldkey that owns it."""
    body = json_object()
    check_client(body)
    require(body, (*SIGNED_FIELDS, "signature"))
    here = services()
    try:
        coldkey, hotkey = here.collateral.check_owner(body, SIGNED_FIELDS, "miner_coldkey", "miner_hotkey")
        here.assets.select(hotkey.text, coldkey.text, body["asset_selection"])
    except NotSignedError:
        raise Problem(401, NOT_SIGNED, "invalid_signature") from None
    except NotOwnedError:
        raise Problem(403, NOT_OWNED, "not_owner") from None
    except SelectionError as error:
        return Small(SelectionAnswer(successfully_processed=False, error_message=str(error)))
    message = SUCCESS.format(hotkey=hotkey.text, asset_class=body["asset_selection"])
    return Small(SelectionAnswer(successfully_processed=True, success_message=message, error_message=""))


@blueprint.get("/miner-selections")
@needs_key
@answers(Selections)
@says(500, "Internal server error retrieving miner selections")
@says(503, NOT_AVAILABLE)
def miner_selections() -> Small:
    """The asset class of every hotkey that selected one."""
    here = services()
    found = here.assets.everything()
    return Small(Selections(miner_selections=found, total_miners=len(found), timestamp=here.clock.now_ms()))
