"""What a validator restores from."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, request

from rest_server.answers import OfState, of_state
from rest_server.audience import audience_of
from rest_server.auth import current_key
from rest_server.checkpoint_document import Form, checkpoint
from rest_server.errors import Problem
from rest_server.models import Checkpoint
from rest_server.operation import answers, fails, needs_key, needs_tier, query
from rest_server.routes.state import state

blueprint: Final = Blueprint("checkpoint", __name__)

ORDER_SHAPES: Final = ("by_pair", "by_hotkey")
LEDGER_SHAPES: Final = ("flat", "bundle")
PAIRS: Final = ("all", "vanta")
FACTS: Final = ("none", "all")
FACTS_TIER: Final = 200
ONLY_WHOLE: Final = "Registered facts cannot be limited to Vanta's pairs"
NO_FACTS: Final = "Registered facts require tier 200 access"


@blueprint.get("/validator-checkpoint")
@needs_key
@needs_tier(100, "Validator checkpoint data requires tier 100 access")
@query(
    "limit_orders",
    "By pair and hotkey as Vanta writes them, or by hotkey as Vanta's restore reads them.",
    enum=list(ORDER_SHAPES),
    default="by_pair",
)
@query(
    "perf_ledgers",
    "The portfolio's ledger of each hotkey, or a bundle with each trade pair's.",
    enum=list(LEDGER_SHAPES),
    default="flat",
)
@query(
    "trade_pairs",
    "`vanta`: only what a plain Vanta validator knows; it refuses a checkpoint with any other pair.",
    enum=list(PAIRS),
    default="all",
)
@query(
    "facts",
    "`all`: with every registered fact and ledger entry, for a restore that lacks nothing (tier 200).",
    enum=list(FACTS),
    default="none",
)
@answers(Checkpoint, of_state=True)
@fails(400, "Invalid query parameter")
@fails(400, ONLY_WHOLE)
@fails(403, NO_FACTS)
def validator_checkpoint() -> OfState:
    """The whole state at one position of every stream; entries after it make it live.

    `python -m journal restore` reads it. The file's digest is in the headers, each section's in `digests`.
    """
    key = current_key()
    has_facts = _choice("facts", FACTS) == "all"
    if has_facts and key.tier < FACTS_TIER:
        raise Problem(403, NO_FACTS, "insufficient_tier")
    audience = audience_of(key)
    if _choice("trade_pairs", PAIRS) == "vanta":
        audience = audience._replace(only_vanta=True)
    if has_facts and audience.only_vanta:
        raise Problem(400, ONLY_WHOLE, "invalid_facts")
    form = Form(
        "by_pair" if _choice("limit_orders", ORDER_SHAPES) == "by_pair" else "by_hotkey",
        "flat" if _choice("perf_ledgers", LEDGER_SHAPES) == "flat" else "bundle",
        has_facts,
    )
    published = state()
    return of_state(checkpoint(published, audience, form), published, audience, is_digested=True)


def _choice(name: str, allowed: tuple[str, ...]) -> str:
    """The parameter's value, the first of ``allowed`` when it is absent. Raises Problem 400."""
    value = request.args.get(name, allowed[0])
    if value not in allowed:
        raise Problem(400, f"Invalid {name}. Valid values are: {', '.join(allowed)}", f"invalid_{name}")
    return value
