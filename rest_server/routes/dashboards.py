"""A miner's dashboard in the compact form."""

from __future__ import annotations

from typing import Final

from flask import Blueprint

from rest_server.answers import OfState, of_state
from rest_server.audience import audience_of
from rest_server.auth import current_key
from rest_server.compact import compact_dashboard
from rest_server.dossier import SINCE, Dossier
from rest_server.errors import Problem
from rest_server.operation import answers, fails, needs_key, needs_tier, path_example, says
from rest_server.routes.state import state
from rest_server.services import services
from rest_server.since import BAD_TIME, takes_times, times
from rest_server.trader_models import MinerAnswer

blueprint: Final = Blueprint("dashboards", __name__)

NO_ACCESS: Final = "Your API key does not have access to tier 100 data"
NOT_FOUND: Final = "Miner {hotkey} not found"


@blueprint.get("/miner/<hotkey>")
@needs_key
@needs_tier(100, NO_ACCESS)
@path_example("hotkey", "o2:0xabc")
@takes_times(*SINCE)
@answers(MinerAnswer, of_state=True)
@fails(400, BAD_TIME)
@fails(404, NOT_FOUND)
@says(500, "Internal server error retrieving dashboard")
def miner(hotkey: str) -> OfState:
    """A miner's dashboard in short: what is new since the times that are sent.

    Send each `..._time_ms` of an answer back the next time. Something may be told twice, nothing is left out;
    open positions are always there. How the original works out drawdown and account figures is only partly
    known: here equity is the account size with realised and unrealised P&L less fees, a day begins at 00:00
    UTC, and the thresholds are those that this server acts on. `closed_orders` are those that ended after the
    time that was sent, each as often as that is asked.
    """
    since = times(SINCE)
    published, audience = state(), audience_of(current_key())
    one = Dossier(hotkey, published, audience, services())
    if not one.is_known:
        raise Problem(404, NOT_FOUND.format(hotkey=hotkey))
    return of_state(compact_dashboard(one, since), published, audience)
