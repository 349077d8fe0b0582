"""What can be traded."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, request

from rest_server.answers import Small
from rest_server.errors import Problem
from rest_server.models import TradePairs
from rest_server.operation import answers, fails, open_to_all, query
from rest_server.services import services
from validator.trade_pairs import ASSET_CLASSES, listing

blueprint: Final = Blueprint("trade_pairs", __name__)


@blueprint.get("/trade-pairs")
@open_to_all
@query("asset_class", "Only pairs of this class.", enum=list(ASSET_CLASSES))
@answers(TradePairs)
@fails(400, "Invalid asset class. Valid options are: " + ", ".join(ASSET_CLASSES))
def trade_pairs() -> Small:
    """Vanta's trade pairs, allowed and disabled."""
    try:
        return Small(listing(request.args.get("asset_class"), services().clock.now_ms()))
    except ValueError as error:
        raise Problem(400, str(error), "invalid_asset_class") from None
