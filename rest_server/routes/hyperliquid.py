"""Hyperliquid traders: subaccounts by their address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from flask import Blueprint, request

from rest_server.answers import OfState, Small, of_state
from rest_server.audience import Audience, audience_of
from rest_server.auth import optional_key
from rest_server.compact import compact_dashboard
from rest_server.documents import Document, document
from rest_server.dossier import SINCE, Dossier
from rest_server.entity_auth import desk
from rest_server.errors import Problem
from rest_server.leaderboard import Trader, leaderboard
from rest_server.operation import answers, fails, open_to_all, path_example, query, says
from rest_server.published import Published
from rest_server.routes.state import NOT_READY, state
from rest_server.services import services
from rest_server.since import BAD_TIME, takes_times, times
from rest_server.trader_models import Leaderboard, Limits, NoTrader, TraderAnswer
from validator.challenge.record import SUBACCOUNT_CHALLENGE
from validator.entities import rules
from validator.entities.records import Standing, subaccount_row
from validator.leverage import pair_multiple, portfolio_multiple, tier_of

blueprint: Final = Blueprint("hyperliquid", __name__)

NOT_FOUND: Final = "HL address not found"
ADDRESS: Final = "0x5b38da6a701c568545dcfcb03fcb875f56beddc4"
ASSET_CLASS: Final = "hl_all"  # what Hyperliquid traders may trade
FAILED: Final = "Internal error"

_encode: Final = msgspec.json.Encoder().encode


@blueprint.get("/hl-traders/<hl_address>")
@open_to_all
@path_example("hl_address", ADDRESS)
@takes_times(*SINCE[:2])
@answers(TraderAnswer, of_state=True)
@fails(400, BAD_TIME)
@fails(404, NOT_FOUND, body=NoTrader)
@says(500, FAILED)
@says(503, rules.NOT_AVAILABLE)
def hl_trader(hl_address: str) -> OfState:
    """The dashboard of the subaccount with this address, without ledger and statistics.

    Without a key it is as of 24 hours ago, unless the operator opened it (`rest.open_tier`); a key shows what
    its tier shows. The original shows everybody everything at once. `payouts` and `pending_payout`, which
    some clients look for, are not documented anywhere and absent.
    """
    since = (*times(SINCE[:2]), 0, 0)
    standing, published, audience = _found(hl_address), state(), _audience()
    one = _dossier(standing, published, audience)
    info = {
        **subaccount_row(standing),
        "status": "eliminated" if one.elimination is not None else standing.record.status,
        "eliminated_at_ms": one.elimination.elimination_initiated_time_ms if one.elimination else None,
        "entity_hotkey": standing.record.entity_hotkey,
    }
    made = compact_dashboard(one, since, {"subaccount_info": info}, without=("ledger", "statistics"))
    return of_state(made, published, audience)


@blueprint.get("/hl-traders/<hl_address>/limits")
@open_to_all
@path_example("hl_address", ADDRESS)
@answers(Limits)
@fails(404, NOT_FOUND, body=NoTrader)
@fails(503, NOT_READY)
@says(500, FAILED)
@says(503, rules.NOT_AVAILABLE)
def hl_trader_limits(hl_address: str) -> Small:
    """What the subaccount with this address may hold.

    Half the account in one pair in the challenge, once the account after it, 1.5 times from 200,000 USD on
    and twice from a million; 4, 7, 10 and 12 times in all. The original's own descriptions of the portfolio's
    multiple contradict each other; these are its newest.
    """
    standing, published = _found(hl_address), state()
    one = _dossier(standing, published, _audience())
    size = one.account_size if one.account_size is not None else standing.record.account_size
    is_in_challenge = one.bucket in (None, SUBACCOUNT_CHALLENGE)
    tier = tier_of(SUBACCOUNT_CHALLENGE if is_in_challenge else one.bucket, size)
    return Small(
        Limits(
            status="success",
            hl_address=hl_address,
            account_size=size,
            tier=tier,
            asset_class=ASSET_CLASS,
            max_position_per_pair_usd=size * pair_multiple(tier),
            max_portfolio_usd=size * portfolio_multiple(ASSET_CLASS, tier),
            in_challenge_period=is_in_challenge,
            timestamp=services().clock.now_ms(),
        )
    )


@blueprint.get("/hl-leaderboard")
@open_to_all
@query("entity_hotkey", "Only this entity's traders.", type="string")
@answers(Leaderboard, of_state=True)
@says(500, FAILED)
@says(503, rules.NOT_AVAILABLE)
def hl_leaderboard() -> OfState:
    """All Hyperliquid traders: those who passed the challenge by P&L, the others by theirs.

    Only partly known: its keys are those that clients read. Without a key it is as of 24 hours ago, unless
    the operator opened it (`rest.open_tier`). Payouts are not made here and stand at 0; `sharpe` is null for
    less than seven days.
    """
    desk()
    entity_hotkey = request.args.get("entity_hotkey") or None
    published, audience = state(), _audience()
    name = ("hl-leaderboard", audience, entity_hotkey, services().registry.sequence)
    made = published.document(name, lambda: _leaderboard(published, audience, entity_hotkey))
    return of_state(made, published, audience)


def _leaderboard(published: Published, audience: Audience, entity_hotkey: str | None) -> Document:
    gain = services().settings.rules.subaccount_gain_percent / 100
    return document(_encode(leaderboard(_traders(published, audience, entity_hotkey), gain, published.at_ms)))


def _traders(published: Published, audience: Audience, entity_hotkey: str | None) -> Iterator[Trader]:
    for entity in desk().entities.everybody():
        if entity_hotkey not in (None, entity.record.entity_hotkey):
            continue
        for standing in entity.subaccounts.values():
            if standing.record.hl_address is not None:
                yield standing, _dossier(standing, published, audience)


def _found(hl_address: str) -> Standing:
    """The newest subaccount with this address. Raises Problem 404 or 503."""
    standing = desk().entities.by_hl_address(hl_address)
    if standing is None:
        raise Problem(404, NOT_FOUND, extra={"status": "error", "message": NOT_FOUND})
    return standing


def _dossier(standing: Standing, published: Published, audience: Audience) -> Dossier:
    record = standing.record
    return Dossier(
        record.synthetic_hotkey, published, audience, services(), record.asset_class, record.account_size
    )


def _audience() -> Audience:
    """What the reader's key shows, at least what is open to everybody."""
    key, tier = optional_key(), services().settings.rest.open_tier
    if key is None:
        return Audience(tier)
    found = audience_of(key)
    return found._replace(tier=max(found.tier, tier))
