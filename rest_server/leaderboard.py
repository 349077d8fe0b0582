"""The leaderboard of Hyperliquid traders, made from what one audience may see of each."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from rest_server.dossier import Dossier
from rest_server.trader_models import ChallengeTrader, FundedTrader, Leaderboard, Totals
from validator.account import volume_of
from validator.aggregates import aggregates
from validator.challenge import record
from validator.entities.records import Standing
from validator.statistics.constants import DAYS_IN_YEAR, MINIMUM_DAYS_LEAST, OVERALL
from validator.statistics.days import complete_days
from validator.statistics.metrics import sharpe

FUNDED: Final = frozenset((record.SUBACCOUNT_FUNDED, record.MAINCOMP, "SUBACCOUNT_ALPHA", "PRO_FUNDED"))

Trader = tuple[Standing, Dossier]


def leaderboard(traders: Iterable[Trader], gain: float, at_ms: int) -> Leaderboard:
    """Everybody by rank; ``gain``: the share that passes the challenge."""
    found = list(traders)
    inside = [(standing, one) for standing, one in found if one.elimination is None]
    funded = [_funded(*trader) for trader in inside if trader[1].bucket in FUNDED]
    others = [_in_challenge(*trader, gain) for trader in inside if trader[1].bucket not in FUNDED]
    funded.sort(key=lambda row: (-row.pnl, row.address))
    for rank, row in enumerate(funded, 1):
        row.rank = rank
    others.sort(key=lambda row: (row.noTrades is True, -(row.pnl or 0.0), row.address))
    totals = Totals(
        totalPaidOut=0.0,
        totalTraders=len(found),
        fundedTraders=len(funded),
        inChallenge=len(others),
        eliminated=len(found) - len(inside),
        totalVolume=sum(row.volume for row in funded) + sum(row.volume for row in others),
    )
    return Leaderboard(summary=totals, fundedTraders=funded, challengeTraders=others, timestamp=at_ms)


def _funded(standing: Standing, one: Dossier) -> FundedTrader:
    return FundedTrader(
        **_traded(standing, one),
        pnl=round(one.account.total_realized_pnl, 2) if one.account is not None else 0.0,
        funding=one.account_size or standing.record.account_size,
        payouts=0.0,
        rank=0,
    )


def _in_challenge(standing: Standing, one: Dossier, gain: float) -> ChallengeTrader:
    traded = _traded(standing, one)
    if not one.positions or one.account is None:
        return ChallengeTrader(**traded, pnl=None, progress=None, drawdown=None, noTrades=True)
    size = one.account.account_size
    value = one.account.balance / size if size > 0 else 1.0
    highest = max(one.account.max_return, value)
    return ChallengeTrader(
        **traded,
        pnl=round(one.account.total_realized_pnl, 2),
        progress=round(min(100.0, max(0.0, 100.0 * (value - 1.0) / gain)), 1),
        drawdown=round(max(0.0, 100.0 * (1.0 - value / highest)), 1),
    )


def _traded(standing: Standing, one: Dossier) -> dict[str, Any]:
    """What both kinds of rows have."""
    figures = aggregates(one.positions, one.published.at_ms)
    begun = datetime.fromtimestamp(standing.record.created_at_ms / 1000, UTC)
    return {
        "address": standing.record.hl_address or "",
        "sharpe": _sharpe(one),
        "trades": figures["n_positions"],
        "winRate": round(100.0 * figures["percentage_profitable"], 1) if one.positions else None,
        "volume": volume_of(one.positions),
        "since": f"{_MONTHS[begun.month - 1]} {begun.year}",
    }


def _sharpe(one: Dossier) -> float | None:
    """Over complete days; None while there are too few of them."""
    days = complete_days(one.checkpoints)
    if len(days) < MINIMUM_DAYS_LEAST:
        return None
    return round(sharpe([day.log_return for day in days], DAYS_IN_YEAR[OVERALL]), 2)


_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
