"""Who is out, and reports that may put somebody out."""

from __future__ import annotations

from typing import Final

from flask import Blueprint

from rest_server.answers import OfState, json_of_state
from rest_server.audience import audience_of
from rest_server.auth import current_key
from rest_server.operation import answers, needs_key
from rest_server.routes.state import state
from rest_server.rule_models import Eliminations
from validator.tiers import LAG_MS

blueprint: Final = Blueprint("eliminations", __name__)


@blueprint.get("/eliminations")
@needs_key
@answers(Eliminations, of_state=True)
def eliminations() -> OfState:
    """Everybody who is out, oldest first; below tier 100 those of the last 24 hours are not in it yet."""
    audience, published = audience_of(current_key()), state()
    rows = published.registered.eliminations
    if not audience.is_live:
        before_ms = published.at_ms - LAG_MS
        rows = [row for row in rows if row["elimination_initiated_time_ms"] < before_ms]
    return json_of_state({"eliminations": rows}, published, audience)
