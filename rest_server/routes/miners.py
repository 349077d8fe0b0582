"""Positions, by miner."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, request

from rest_server.answers import OfState, Small, of_state
from rest_server.audience import audience_of
from rest_server.auth import current_key
from rest_server.errors import Problem
from rest_server.models import Dashboard
from rest_server.operation import answers, fails, needs_key, path_example, query
from rest_server.routes.state import state
from rest_server.services import services

blueprint: Final = Blueprint("miners", __name__)

TIER_TEXTS: Final = ("0", "30", "50", "100")
BAD_TIER: Final = "Invalid tier value. Allowed values are 0, 30, 50, or 100"
NO_ACCESS: Final = "Your API key does not have access to tier {tier} data"
NO_HOTKEYS: Final = "No miner hotkeys found"


@blueprint.get("/miner-positions")
@needs_key
@query("tier", "Data freshness; without it 100. It may not be above the key's own.", enum=list(TIER_TEXTS))
@answers(dict[str, Dashboard], of_state=True)
@fails(400, BAD_TIER)
@fails(403, NO_ACCESS)
def miner_positions() -> OfState:
    """Positions of all miners at a tier, hotkeys by falling returns."""
    text = request.args.get("tier", "100")
    if text not in TIER_TEXTS:
        raise Problem(400, BAD_TIER, "invalid_tier")
    if current_key().tier < int(text):
        raise Problem(403, NO_ACCESS.format(tier=text), "insufficient_tier")
    audience = audience_of(current_key(), int(text))
    published = state()
    return of_state(published.miner_positions(audience), published, audience)


@blueprint.get("/miner-positions/<minerid>")
@needs_key
@path_example("minerid", "o2:0xabc")
@answers(Dashboard, of_state=True)
@fails(404, "Miner ID {minerid} not found")
def one_miner(minerid: str) -> OfState:
    """Positions of one miner at the key's own tier."""
    audience = audience_of(current_key())
    published = state()
    document = published.one_miner(minerid, audience)
    if document is None:
        raise Problem(404, f"Miner ID {minerid} not found", extra={"positions": []})
    return of_state(document, published, audience)


@blueprint.get("/miner-hotkeys")
@needs_key
@answers(list[str])
@fails(404, NO_HOTKEYS)
@fails(503, "The server is not ready yet")
def miner_hotkeys() -> Small:
    """All hotkeys: the metagraph's, those of tracked accounts and those that have traded here."""
    here = services()
    tracked = (
        account.hotkey or f"{name}:{account.account}"
        for name, venue in here.settings.venues.items()
        for account in venue.accounts
    )
    hotkeys = sorted({*state().hotkeys, *here.metagraph.hotkeys(), *tracked})
    if not hotkeys:
        raise Problem(404, NO_HOTKEYS)
    return Small(hotkeys)
