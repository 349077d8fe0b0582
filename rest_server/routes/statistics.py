"""How everybody does, alone and against each other."""

from __future__ import annotations

from typing import Any, Final, cast

from flask import Blueprint, current_app, request

from rest_server.answers import OfState, of_state
from rest_server.audience import audience_of
from rest_server.auth import current_key
from rest_server.errors import Problem
from rest_server.operation import answers, fails, needs_key, path_example, query
from rest_server.routes.state import state
from rest_server.rule_models import Statistics
from rest_server.statistics_shelf import StatisticsShelf

blueprint: Final = Blueprint("statistics", __name__)

EXTENSION: Final = "vanta-statistics"
NO_STATISTICS: Final = "Statistics data not found"
NOT_FOUND: Final = "Miner ID {minerid} not found"


@blueprint.get("/statistics")
@needs_key
@query("checkpoints", "Anything but `true` (the default): without the ledgers' checkpoints.", type="string")
@answers(Statistics, of_state=True)
@fails(404, NO_STATISTICS)
def statistics() -> OfState:
    """Statistics of every miner with a ledger; below tier 100 made from what was known 24 hours ago."""
    audience, published = audience_of(current_key()), state()
    with_checkpoints = request.args.get("checkpoints", "true").lower() == "true"
    made = _shelf().everybody(published, audience, checkpoints=with_checkpoints)
    if made is None:
        raise Problem(404, NO_STATISTICS)
    return of_state(made, published, audience)


@blueprint.get("/statistics/<minerid>/", strict_slashes=False)
@needs_key
@path_example("minerid", "o2:0xabc")
@query("checkpoints", "`false`: without the ledger's checkpoints.", type="string")
@answers(dict[str, Any], of_state=True)
@fails(404, NO_STATISTICS)
@fails(404, NOT_FOUND)
def miner_statistics(minerid: str) -> OfState:
    """One miner's element of `/statistics`; below tier 100 made from what was known 24 hours ago."""
    audience, published = audience_of(current_key()), state()
    with_checkpoints = request.args.get("checkpoints", "true").lower() != "false"
    made = _shelf().one(published, audience, minerid, checkpoints=with_checkpoints)
    if made is None:
        is_empty = _shelf().is_empty(published, audience)
        raise Problem(404, NO_STATISTICS if is_empty else NOT_FOUND.format(minerid=minerid))
    return of_state(made, published, audience)


def _shelf() -> StatisticsShelf:
    return cast(StatisticsShelf, current_app.extensions[EXTENSION])
