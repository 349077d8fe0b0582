"""Ledgers: performance, penalties, emissions, and the debt that joins them."""

from __future__ import annotations

from typing import Any, Final, cast

from flask import Blueprint, request

from rest_server import rule_models as models
from rest_server.answers import OfState, of_state
from rest_server.audience import Audience, audience_of
from rest_server.auth import current_key
from rest_server.documents import Document, document
from rest_server.errors import Problem
from rest_server.gzip_join import Piece
from rest_server.operation import answers, fails, needs_key, path_example, query, says
from rest_server.papers import Papers, cut_of
from rest_server.published import Published
from rest_server.routes.state import state
from validator.debt import penalty_record
from validator.ledger.record import THROUGH_KEY
from validator.ledger.view import Shape

blueprint: Final = Blueprint("ledgers", __name__)

SHAPES: Final = ("bundle", "flat")
BAD_SHAPE: Final = "Invalid shape value. Allowed values are bundle or flat"
NO_PERF: Final = "Perf ledger data not found for miner {minerid}"
PERF_UNAVAILABLE: Final = "Perf ledger data not available"
NO_DEBT: Final = "Debt ledger data not found"
DEBT_UNAVAILABLE: Final = "Debt ledger data not available"
NO_PENALTIES: Final = "Penalty ledger data not found"
NO_EMISSIONS: Final = "Emissions ledger data not found"
RETRY_S: Final = "60"
EXAMPLE: Final = "o2:0xabc"
NOBODY: Final = b"{}"


@blueprint.get("/perf-ledger/<minerid>")
@needs_key
@path_example("minerid", EXAMPLE)
@query("shape", "`bundle` (default): with every trade pair's; `flat`: the portfolio's.", enum=list(SHAPES))
@answers(dict[str, dict[str, Any]], of_state=True)
@fails(400, BAD_SHAPE)
@fails(404, NO_PERF)
@fails(503, PERF_UNAVAILABLE)
@says(500, "Internal server error retrieving perf ledger data")
def perf_ledger(minerid: str) -> OfState:
    """The miner's performance, span by span; below tier 100 spans that ended over 24 hours ago.

    Keyed by the miner: a ledger (`flat`), or `portfolio` and every trade pair with a ledger each (`bundle`).
    A ledger's `cps` are its checkpoints: returns and fees are multipliers, gain and loss logarithms, P&L is
    USD, times are ms.
    """
    shape = request.args.get("shape", "bundle")
    if shape not in SHAPES:
        raise Problem(400, BAD_SHAPE, "invalid_shape")
    audience, published = audience_of(current_key()), state()
    if THROUGH_KEY not in published.ledger_bodies:
        raise Problem(503, PERF_UNAVAILABLE, headers={"Retry-After": RETRY_S})
    papers = published.papers.get(minerid)
    cut_ms = cut_of(audience, published.at_ms)
    piece = papers.perf_piece(cast(Shape, shape), audience, cut_ms) if papers is not None else None
    if piece is None:
        raise Problem(404, NO_PERF.format(minerid=minerid))
    return of_state(Document((piece,)), published, audience)


@blueprint.get("/penalty-ledger/<minerid>")
@needs_key
@path_example("minerid", EXAMPLE)
@answers(models.PenaltyLedger, of_state=True)
@fails(404, NO_PENALTIES)
def penalty_ledger(minerid: str) -> OfState:
    """The miner's penalties at the end of every span; below tier 100 with a delay of 24 hours."""
    audience, published, papers = _papers(minerid, NO_PENALTIES)
    return _answer(papers.penalty_piece(cut_of(audience, published.at_ms)), published, audience, NO_PENALTIES)


@blueprint.get("/emissions-ledger/<minerid>")
@needs_key
@path_example("minerid", EXAMPLE)
@answers(models.EmissionsLedger, of_state=True)
@fails(404, NO_EMISSIONS)
def emissions_ledger(minerid: str) -> OfState:
    """What the miner was paid, as the configured source says; below tier 100 with a delay of 24 hours."""
    audience, published, papers = _papers(minerid, NO_EMISSIONS)
    piece = papers.emissions_piece(cut_of(audience, published.at_ms))
    return _answer(piece, published, audience, NO_EMISSIONS)


@blueprint.get("/debt-ledger/<minerid>")
@needs_key
@path_example("minerid", EXAMPLE)
@answers(models.DebtLedger, of_state=True)
@fails(404, NO_DEBT)
def debt_ledger(minerid: str) -> OfState:
    """The miner's performance, penalties and emissions, joined; below tier 100 with a delay of 24 hours."""
    audience, published, papers = _papers(minerid, NO_DEBT)
    return _answer(papers.debt_piece(cut_of(audience, published.at_ms)), published, audience, NO_DEBT)


@blueprint.get("/debt-ledger")
@needs_key
@answers(dict[str, models.DebtSummary], of_state=True)
@fails(404, NO_DEBT)
@fails(503, DEBT_UNAVAILABLE)
@says(500, "Internal server error retrieving debt ledger data")
def debt_ledgers() -> OfState:
    """One row per miner with a debt ledger; below tier 100 with a delay of 24 hours."""
    audience, published = audience_of(current_key()), state()
    if penalty_record.THROUGH_KEY not in published.ledger_bodies:
        raise Problem(503, DEBT_UNAVAILABLE, headers={"Retry-After": RETRY_S})
    cut_ms = cut_of(audience, published.at_ms)
    made = published.document(("debt", cut_ms), lambda: _overview(published, cut_ms))
    if made.size <= len(NOBODY):
        raise Problem(404, NO_DEBT)
    return of_state(made, published, audience)


def _overview(published: Published, cut_ms: int | None) -> Document:
    found = (published.papers[hotkey].summary_member(cut_ms) for hotkey in sorted(published.papers))
    return document(b"{%b}" % b",".join([member for member in found if member is not None]))


def _papers(hotkey: str, sentence: str) -> tuple[Audience, Published, Papers]:
    """The reader, the state and the hotkey's papers. Raises Problem 404."""
    audience, published = audience_of(current_key()), state()
    papers = published.papers.get(hotkey)
    if papers is None:
        raise Problem(404, sentence)
    return audience, published, papers


def _answer(piece: Piece | None, published: Published, audience: Audience, sentence: str) -> OfState:
    if piece is None:
        raise Problem(404, sentence)
    return of_state(Document((piece,)), published, audience)
