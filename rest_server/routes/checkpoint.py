"""What a validator restores from."""

from __future__ import annotations

from typing import Final

from flask import Blueprint

from rest_server.answers import OfState, of_state
from rest_server.audience import audience_of
from rest_server.auth import current_key
from rest_server.models import Checkpoint
from rest_server.operation import answers, needs_key, needs_tier
from rest_server.routes.state import state

blueprint: Final = Blueprint("checkpoint", __name__)


@blueprint.get("/validator-checkpoint")
@needs_key
@needs_tier(100, "Validator checkpoint data requires tier 100 access")
@answers(Checkpoint, of_state=True)
def validator_checkpoint() -> OfState:
    """The whole state at one position of every stream; entries after it make it live."""
    audience, published = audience_of(current_key()), state()
    return of_state(published.checkpoint(audience), published, audience)
