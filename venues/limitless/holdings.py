"""What an account holds, from the order-book and the AMM rows of its portfolio.

A resolved market is not a holding any more: a closing fill ended it, whether or not it was redeemed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from venues.errors import Broken
from venues.limitless import schemas
from venues.limitless.reading import MarketFacts, Reading
from venues.limitless.units import DUST, amm_is_raw, amm_shares, amount, instrument, price, raw
from venues.model import Holding
from venues.numbers import scaled

HIGHEST_AVERAGE: Final = Decimal(2)  # fees may lift what a share cost above the 1 USDC it can pay


def holdings_of(reading: Reading) -> dict[str, Holding]:
    """Holdings by instrument. Raises Broken."""
    found: dict[str, Holding] = {}
    for index, row in enumerate(reading.clob):
        facts = reading.markets[row.market.slug]
        if facts.payout is None:
            found |= _clob(f"positions.clob[{index}]", row, facts)
    for index, amm in enumerate(reading.portfolio.amm):
        facts = reading.markets[amm.market.slug]
        if facts.payout is None:
            found |= _amm(f"positions.amm[{index}]", amm, facts)
    return found


def _clob(path: str, row: schemas.ClobRow, facts: MarketFacts) -> dict[str, Holding]:
    decimals = row.market.collateral_token.decimals
    balances = [
        raw(f"{path}.tokensBalance.{name}", value, decimals)
        for name, value in (("yes", row.tokens_balance.yes), ("no", row.tokens_balance.no))
    ]
    if min(balances) < 0:
        raise Broken(f"{path}.tokensBalance", "balances of at least 0", str(min(balances)))
    status = _status(facts, is_hedged=min(balances) >= DUST)
    found = {}
    for outcome, (shares, side) in enumerate(
        zip(balances, (row.positions.yes, row.positions.no), strict=True)
    ):
        if shares > 0:
            name = instrument(facts.slug, outcome)
            found[name] = Holding(
                instrument=name,
                quantity=shares,
                average_entry_price=_average(f"{path}.positions", side, shares, decimals),
                realized_pnl=None
                if side.realised_pnl is None
                else raw(f"{path}.positions.realisedPnl", side.realised_pnl, decimals),
                status=status,
            )
    return found


def _average(path: str, side: schemas.ClobSide, shares: Decimal, decimals: int) -> Decimal | None:
    """The venue's average gross price; None when it knows neither price nor cost."""
    average = raw(f"{path}.fillPrice", side.fill_price, decimals)
    if average > 0:
        return _checked(f"{path}.fillPrice", average, shares)
    cost = raw(f"{path}.cost", side.cost, decimals)
    return _checked(f"{path}.cost", cost / shares, shares) if cost > 0 else None


def _amm(path: str, row: schemas.AmmRow, facts: MarketFacts) -> dict[str, Holding]:
    shares = amm_shares(path, row)
    if shares < 0:
        raise Broken(f"{path}.outcomeTokenAmount", "at least 0", str(shares))
    if shares == 0:
        return {}
    decimals = 6 if amm_is_raw(path, row) else 0

    def human(field: str, value: Decimal | None) -> Decimal | None:
        return None if value is None else scaled(amount(f"{path}.{field}", value), decimals)

    name = instrument(facts.slug, row.outcome_index)
    return {
        name: Holding(
            instrument=name,
            quantity=shares,
            average_entry_price=_checked(
                f"{path}.averageFillPrice", human("averageFillPrice", row.average_fill_price), shares
            ),
            realized_pnl=human("realizedPnl", row.realized_pnl),
            status=_status(facts, is_hedged=False),
        )
    }


def _checked(path: str, average: Decimal | None, shares: Decimal) -> Decimal | None:
    """The average itself. Raises Broken when it is in other units; of dust any rounding is believed."""
    return average if average is None or shares < DUST else price(path, average, HIGHEST_AVERAGE)


def _status(facts: MarketFacts, *, is_hedged: bool) -> str:
    """``hedged``: both outcomes are held, and a pair can be merged into 1 USDC."""
    if facts.is_expired:
        return "pending_resolution"
    return "hedged" if is_hedged else "open"
