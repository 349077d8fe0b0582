"""Resting orders, by miner."""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, request

from rest_server.answers import OfState, json_of_state
from rest_server.audience import audience_of
from rest_server.auth import current_key
from rest_server.errors import Problem
from rest_server.models import LimitOrder, OrdersByStatus
from rest_server.operation import answers, fails, needs_key, needs_tier, path_example, query
from rest_server.resting import STATUSES, Status, by_status, dashboard_row
from rest_server.routes.state import state

blueprint: Final = Blueprint("orders", __name__)

BAD_STATUS: Final = "Invalid status values: {values}. Valid values are: unfilled, filled, cancelled"
STATUS_QUERY: Final = "Comma-separated list of statuses."
STATUS_SCHEMA: Final = {"type": "array", "items": {"enum": list(STATUSES)}, "minItems": 1}


@blueprint.get("/limit-orders/<minerid>")
@needs_key
@path_example("minerid", "o2:0xabc")
@query("status", STATUS_QUERY + " Without it: the unfilled ones as a plain list.", **STATUS_SCHEMA)
@answers(list[LimitOrder] | dict[Status, list[LimitOrder]], of_state=True)
@fails(400, BAD_STATUS)
@fails(404, "No limit orders found for miner {minerid}")
def limit_orders(minerid: str) -> OfState:
    """Resting orders of one miner, delayed below tier 100."""
    wanted = _statuses()
    audience, published = audience_of(current_key()), state()
    orders = published.resting(minerid, audience)
    found = by_status(orders, wanted or ("unfilled",))
    if not any(found.values()):
        raise Problem(404, f"No limit orders found for miner {minerid}")
    rows = {status: [dashboard_row(order) for order in those] for status, those in found.items()}
    body: Any = rows if wanted else rows["unfilled"]
    return json_of_state(body, published, audience)


@blueprint.get("/orders/<minerid>")
@needs_key
@needs_tier(100, "Your API key does not have access to tier 100 data")
@path_example("minerid", "o2:0xabc")
@query("status", STATUS_QUERY + " Without it: all of them.", **STATUS_SCHEMA)
@answers(OrdersByStatus, of_state=True)
@fails(400, BAD_STATUS)
@fails(404, "No orders found for miner {minerid}")
def orders(minerid: str) -> OfState:
    """Every known resting order of one miner by status, oldest first."""
    wanted = _statuses() or STATUSES
    audience, published = audience_of(current_key()), state()
    found = by_status(published.resting(minerid, audience), wanted)
    if not any(found.values()):
        raise Problem(404, f"No orders found for miner {minerid}")
    return json_of_state(found, published, audience)


def _statuses() -> tuple[Status, ...] | None:
    """The wanted statuses; None when the parameter is absent. Raises Problem 400."""
    text = request.args.get("status")
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if unknown := sorted(set(names) - set(STATUSES)):
        raise Problem(400, BAD_STATUS.format(values=_listed(unknown)), "invalid_status")
    return tuple(status for status in STATUSES if status in names)


def _listed(names: list[str]) -> str:
    """At most a few of the client's own words, shortened."""
    return "{" + ", ".join(repr(name[:40]) for name in names[:5]) + "}"
