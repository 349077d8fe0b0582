"""What happens without an order: the AMM, and shares split, merged and converted on the chain."""

from __future__ import annotations

from venues.limitless.sandbox.accounts import Account
from venues.limitless.sandbox.book import LOT, amm_price, usd_of
from venues.limitless.sandbox.engine import Engine
from venues.limitless.sandbox.markets import MILLI, Market


def amm(
    engine: Engine, account: Account, market: Market, outcome: int, usd: int, at_ms: int, *, is_buy: bool
) -> None:
    """Buy for (or sell for about) ``usd`` at the AMM, mined at once."""
    price = amm_price(engine.universe, market, outcome, at_ms, is_buy=is_buy)
    stake, shares = account.stakes[(market.slug, outcome)], int(usd / price)
    if is_buy:
        stake.buy(shares, usd)
        stake.bought_usd += usd
        account.cash -= usd
    else:
        shares = min(shares, stake.shares)
        usd = int(shares * price)
        stake.sell(shares, usd)
        stake.sold_usd += usd
        account.cash += usd
    account.traded_usd += usd
    row = engine.row(account, market, outcome, usd, at_ms, strategy="Buy" if is_buy else "Sell")
    row.shares, row.tx_hash = shares, engine.tx(account)
    row.price = f"{usd / shares:.6f}" if shares else "0"


def split(engine: Engine, account: Account, market: Market, usd: int, at_ms: int) -> None:
    """Turn USDC into as many YES and NO shares."""
    usd = usd // LOT * LOT
    for outcome in (0, 1):
        account.stakes[(market.slug, outcome)].buy(usd, usd // 2)
    account.cash -= usd
    row = engine.row(account, market, 0, usd, at_ms, strategy="Split")
    row.shares, row.tx_hash = usd, engine.tx(account)


def merge(engine: Engine, account: Account, market: Market, pairs: int, at_ms: int) -> None:
    """Turn pairs of YES and NO shares back into USDC."""
    for outcome in (0, 1):
        account.stakes[(market.slug, outcome)].sell(pairs, pairs // 2)
    account.cash += pairs
    row = engine.row(account, market, 0, pairs, at_ms, strategy="Merge")
    row.shares, row.tx_hash = pairs, engine.tx(account)


def convert(engine: Engine, account: Account, market: Market, shares: int, at_ms: int) -> None:
    """Turn NO of one child of a group into YES of all the others, at the prices of the moment."""
    tx_hash = engine.tx(account)
    for sibling in engine.universe.listing(market.series, market.index):
        outcome = int(sibling.slug == market.slug)
        yes = engine.universe.yes(sibling, at_ms)
        price = MILLI - yes if outcome else yes
        stake, value = account.stakes[(sibling.slug, outcome)], usd_of(shares, price, up=False)
        if outcome:
            stake.sell(shares, value)
        else:
            stake.buy(shares, value)
        row = engine.row(account, sibling, outcome, 0, at_ms, strategy="Convert")
        row.shares, row.tx_hash, row.price = shares, tx_hash, f"{price / MILLI:g}"
