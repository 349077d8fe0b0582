"""What a subaccount's owner looks at: its dashboard, and what it earned."""

from __future__ import annotations

from typing import Final

from flask import Blueprint

from rest_server import entity_models as models
from rest_server.answers import OfState, Small, of_state
from rest_server.audience import audience_of
from rest_server.auth import current_key
from rest_server.compact import compact_dashboard
from rest_server.documents import Document
from rest_server.dossier import SINCE, Dossier
from rest_server.entity_auth import NO_ACCESS, NOT_YOURS, desk, only_own
from rest_server.entity_bodies import (
    BAD_TIMES,
    BAD_UUID,
    NEGATIVE_TIMES,
    WRONG_ORDER,
    payout_of,
)
from rest_server.errors import Problem
from rest_server.operation import answers, fails, needs_key, needs_tier, path_example, says, takes
from rest_server.posted import MISSING, json_object
from rest_server.routes.state import state
from rest_server.services import services
from rest_server.since import BAD_TIME, takes_times, times
from rest_server.subaccount_dashboard import dossier_of, info_of, whole
from rest_server.trader_models import TraderAnswer
from validator.entities import payout as payouts
from validator.entities import rules
from validator.entities.records import Standing
from validator.ledger.shapes import checkpoint_values

blueprint: Final = Blueprint("subaccounts", __name__)

EXAMPLE: Final = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY_0"
NO_LEDGER: Final = "Subaccount {uuid} not found or has no debt ledger data"


@blueprint.get("/entity/subaccount/<synthetic_hotkey>")
@needs_key
@needs_tier(200, NO_ACCESS)
@path_example("synthetic_hotkey", EXAMPLE)
@answers(models.DashboardAnswer, of_state=True)
@fails(403, NOT_YOURS)
@fails(404, rules.SUBACCOUNT_NOT_FOUND)
@says(500, "Internal server error retrieving dashboard")
@says(503, rules.NOT_AVAILABLE)
def subaccount(synthetic_hotkey: str) -> OfState:
    """A subaccount's dashboard, with its open positions."""
    standing, one = _subaccount(synthetic_hotkey)
    return _answer(one, whole(standing, one))


@blueprint.get("/v2/entity/subaccount/<synthetic_hotkey>")
@needs_key
@needs_tier(200, NO_ACCESS)
@path_example("synthetic_hotkey", EXAMPLE)
@takes_times(*SINCE)
@answers(TraderAnswer, of_state=True)
@fails(400, BAD_TIME)
@fails(403, NOT_YOURS)
@fails(404, rules.SUBACCOUNT_NOT_FOUND)
@says(500, "Internal server error retrieving dashboard")
@says(503, rules.NOT_AVAILABLE)
def subaccount_news(synthetic_hotkey: str) -> OfState:
    """A subaccount's dashboard in short: only what is new since the times that are sent."""
    since = times(SINCE)
    standing, one = _subaccount(synthetic_hotkey)
    return _answer(one, compact_dashboard(one, since, {"subaccount_info": info_of(standing)}))


@blueprint.post("/entity/subaccount/payout")
@needs_key
@needs_tier(200, NO_ACCESS)
@takes(models.PayoutRequest)
@answers(models.PayoutAnswer)
@fails(400, MISSING.format(name="subaccount_uuid"))
@fails(400, BAD_UUID)
@fails(400, BAD_TIMES)
@fails(400, NEGATIVE_TIMES)
@fails(400, WRONG_ORDER)
@fails(403, NOT_YOURS)
@fails(404, NO_LEDGER)
@fails(503, "The server is not ready yet")
@says(500, "Internal server error calculating payout", detail=None)
@says(503, rules.NOT_AVAILABLE)
def payout() -> Small:
    """What a subaccount earned, by weeks from Monday 00:00 UTC, above its highest settled balance.

    A week's payout is what its balance at the end exceeds that by, less open losses. Vanta does not publish
    what becomes of the height after a week with open losses: here it rises by what was paid.
    """
    here = desk()
    uuid, start_ms, end_ms = payout_of(json_object())
    standing = here.entities.by_uuid(uuid)
    if standing is not None:
        only_own(standing.record.entity_hotkey)
    one = None if standing is None else _of(standing)
    if one is None or not one.checkpoints or one.account_size is None:
        raise Problem(404, NO_LEDGER.format(uuid=uuid), "not_found")
    settled = payouts.settlements(one.checkpoints, one.positions, one.account_size, start_ms, end_ms)
    checkpoints = payouts.within(one.checkpoints, start_ms, end_ms)
    data = models.Payout(
        hotkey=one.hotkey,
        total_checkpoints=len(checkpoints),
        checkpoints=[checkpoint_values(checkpoint) for checkpoint in checkpoints],
        weekly_settlements=settled,
        payout=sum(week.payout for week in settled),
    )
    return Small(models.PayoutAnswer(status="success", data=data, timestamp=services().clock.now_ms()))


def _subaccount(synthetic_hotkey: str) -> tuple[Standing, Dossier]:
    """The subaccount, if it is there and the key's business. Raises Problem 403, 404 or 503."""
    standing = desk().entities.subaccount(synthetic_hotkey)
    if standing is None:
        raise Problem(404, rules.SUBACCOUNT_NOT_FOUND.format(hotkey=synthetic_hotkey), "not_found")
    only_own(standing.record.entity_hotkey)
    return standing, _of(standing)


def _of(standing: Standing) -> Dossier:
    return dossier_of(standing, state(), audience_of(current_key()), services())


def _answer(one: Dossier, document: Document) -> OfState:
    return of_state(document, one.published, one.audience)
