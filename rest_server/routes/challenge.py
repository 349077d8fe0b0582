"""The bucket a hotkey is in, and those it was in."""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, request

from rest_server.answers import Small
from rest_server.audience import audience_of
from rest_server.auth import current_key
from rest_server.errors import Problem
from rest_server.operation import answers, fails, needs_key, path_example, query, says
from rest_server.routes.state import NOT_READY, state
from rest_server.rule_models import ChallengePeriodAnswer
from rest_server.services import services
from validator.challenge import record
from validator.challenge.record import Challenge, Step
from validator.tiers import LAG_MS

blueprint: Final = Blueprint("challenge", __name__)

NOT_FOUND: Final = "Miner ID {minerid} not found"


@blueprint.get("/challenge-period/<minerid>")
@needs_key
@path_example("minerid", "o2:0xabc")
@query("history", "`true`: every bucket the miner was in, oldest first.", type="string")
@answers(ChallengePeriodAnswer)
@fails(404, NOT_FOUND)
@fails(503, NOT_READY)
@says(500, "Internal server error retrieving challenge period data")
def challenge_period(minerid: str) -> Small:
    """The miner's bucket; below tier 100 as of 24 hours ago. Who was eliminated has a reason."""
    found = _seen(minerid)
    if found is None or not found.history:
        raise Problem(404, NOT_FOUND.format(minerid=minerid))
    answer: dict[str, Any] = {
        "status": "success",
        "hotkey": minerid,
        "timestamp": services().clock.now_ms(),
    }
    if request.args.get("history", "false").lower() == "true":
        return Small(answer | {"history": [_row(step) for step in found.history]})
    return Small(answer | {"challenge_period": _row(found.history[-1])})


def _seen(hotkey: str) -> Challenge | None:
    """The fact as this reader may know it."""
    audience, published = audience_of(current_key()), state()
    body = published.registered.body(record.key_of(hotkey))
    known = None if body is None else record.decode(body)
    if known is None or audience.is_live:
        return known
    return record.as_of(known, published.at_ms - LAG_MS)


def _row(step: Step) -> dict[str, Any]:
    row: dict[str, Any] = {"bucket": step.bucket, "start_time_ms": step.start_time_ms}
    if step.bucket == record.ELIMINATED and step.reason is not None:
        row["reason"] = step.reason
    return row
