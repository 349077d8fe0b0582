"""How positions end at this venue: a market resolves, and its shares are redeemed or worth nothing.

Rule 1: an instrument ends once, with one fill named after it, however the end is learnt: from the history,
from shares still listed in a resolved market, or from a claim.
Rule 2: the end is the resolution. Redemption only moves money, sometimes days later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from venues.errors import Broken
from venues.limitless import schemas
from venues.limitless.reading import Reading
from venues.limitless.units import DUST, ONE, ZERO, amm_shares, instrument, raw, row_shares, seconds
from venues.model import Fill, FillKind

LOST: Final = frozenset({"loss", "lost", "lose"})
WON: Final = frozenset({"win", "won"})
CLAIMED: Final = frozenset({"claim", "claimed", "redeem", "redeemed", "redemption"})


@dataclass(slots=True)
class Closing:
    """The end of one instrument for this account: resolved, or redeemed. ``shares`` unknown is 0."""

    time_ms: int
    kind: FillKind
    price: Decimal
    shares: Decimal = ZERO


def closing_fills(reading: Reading, trades: Iterable[Fill]) -> list[Fill]:
    """One fill per closed instrument; its quantity is the venue's, else what the whole history adds up to."""
    closings: dict[str, Closing] = {}
    for path, row in reading.history:
        if is_settlement(row):
            _settle(reading, path, row, closings)
    _settle_holdings(reading, closings)
    total: dict[str, Decimal] = defaultdict(Decimal)
    if reading.since_ms is None:
        for fill in trades:
            total[fill.instrument] += fill.quantity
    return [
        Fill(
            fill_id=f"resolution:{name}",
            instrument=name,
            quantity=-(closing.shares or max(total[name], ZERO)),
            price=closing.price,
            time_ms=closing.time_ms,
            kind=closing.kind,
        )
        for name, closing in closings.items()
    ]


def is_settlement(row: schemas.HistoryRow) -> bool:
    """Whether a history row ends something instead of trading it."""
    return row.strategy is None or row.strategy.lower() in CLAIMED


def _settle(reading: Reading, path: str, row: schemas.HistoryRow, closings: dict[str, Closing]) -> None:
    """Note what a settlement row closes. Its outcome index is the winning one."""
    action = (row.action or row.strategy or "").lower()
    if row.market is None or action not in LOST | WON | CLAIMED:
        return
    facts = reading.markets[row.market.slug]
    payout = facts.payout
    if payout is None:
        if row.outcome_index is None:
            raise Broken(f"{path}.outcomeIndex", "0 or 1", "null")
        payout = (ONE, ZERO) if row.outcome_index == 0 else (ZERO, ONE)
    time_ms = seconds(f"{path}.blockTimestamp", row.block_timestamp)
    for outcome, price in enumerate(payout):
        if (price == 0) != (action in LOST) and 0 in payout:
            continue
        name = instrument(facts.slug, outcome)
        if action in CLAIMED:
            claim = Closing(time_ms, "redemption", price, row_shares(path, row) if price == ONE else ZERO)
            if not 0 < claim.shares < DUST:
                known = closings.setdefault(name, claim)
                known.shares = known.shares or claim.shares
        else:
            claimed = closings.get(name)
            closings[name] = Closing(time_ms, "resolution", price, claimed.shares if claimed else ZERO)


def _settle_holdings(reading: Reading, closings: dict[str, Closing]) -> None:
    """A resolved market closes what is still held of it, redeemed or not."""
    for slug, outcome, shares in _resolved_balances(reading):
        facts = reading.markets[slug]
        if facts.payout is None or shares < DUST:
            continue
        name = instrument(slug, outcome)
        time_ms = facts.resolved_ms or facts.deadline_ms or reading.observed_ms
        known = closings.get(name)
        if known is not None and known.kind == "resolution":
            time_ms = known.time_ms
        closings[name] = Closing(time_ms, "resolution", facts.payout[outcome], shares)


def unredeemed(reading: Reading) -> Decimal:
    """USD that resolved shares will pay once they are redeemed."""
    return sum(
        (
            shares * payout[outcome]
            for slug, outcome, shares in _resolved_balances(reading)
            if (payout := reading.markets[slug].payout) is not None
        ),
        ZERO,
    )


def _resolved_balances(reading: Reading) -> list[tuple[str, int, Decimal]]:
    """Slug, outcome and shares of everything in the portfolio whose market has a payout."""
    held: list[tuple[str, int, Decimal]] = []
    for index, row in enumerate(reading.clob):
        path, decimals = f"positions.clob[{index}].tokensBalance", row.market.collateral_token.decimals
        for outcome, balance in enumerate((row.tokens_balance.yes, row.tokens_balance.no)):
            held.append((row.market.slug, outcome, raw(path, balance, decimals)))
    for index, amm in enumerate(reading.portfolio.amm):
        held.append((amm.market.slug, amm.outcome_index, amm_shares(f"positions.amm[{index}]", amm)))
    return [balance for balance in held if reading.markets[balance[0]].payout is not None]
