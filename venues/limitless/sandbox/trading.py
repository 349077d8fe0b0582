"""Orders against the house's book: takers, resting orders, and their settlement on the chain."""

from __future__ import annotations

from typing import Final, Literal

from venues.limitless.sandbox import events
from venues.limitless.sandbox.accounts import Account, Match, Order
from venues.limitless.sandbox.book import LOT, fee_bps, touch, usd_of
from venues.limitless.sandbox.engine import Engine
from venues.limitless.sandbox.markets import MILLI, Market, hex_of
from venues.world import draw

MATCH_TO_MINE_MS: Final = 2000
CONFIRM_MS: Final = 8000
RETRY_MS: Final = 4000
REVERT_MS: Final = 10_000
SHORT_SHARE: Final = 0.15  # of FAK orders that find too little on the other side
SPLIT_SIZE: Final = 50 * LOT  # resting orders above this fill in two goes

Fate = Literal["mined", "retried", "failed", "reverted"]
Kind = Literal["GTC", "FAK", "FOK"]


def take(
    engine: Engine,
    account: Account,
    market: Market,
    outcome: int,
    shares: int,
    at_ms: int,
    *,
    is_buy: bool,
    kind: Kind = "FAK",
    fate: Fate = "mined",
) -> Order | None:
    """Trade against the house at its best price; None when it quotes none.

    Some FAK orders ask for more than is there: the rest of them is killed.
    """
    bid, ask = touch(engine.universe, market, outcome, at_ms)
    price = ask if is_buy else bid
    shares = shares // LOT * LOT
    if price is None or shares <= 0:
        return None
    is_short = kind == "FAK" and draw(engine.seed, account.number, account.counter, "depth") < SHORT_SHARE
    wanted = shares * 3 // 2 // LOT * LOT if is_short else shares
    order = _order(engine, account, market, outcome, wanted, price, at_ms, is_buy, kind)
    order.status, order.remaining, order.gross = "MATCHED", wanted - shares, shares
    order.usd = usd_of(shares, price, up=is_buy)
    order.effective_bps = fee_bps(account.fee_rate_bps, price)
    if is_buy and not market.series.takes_usd_fee:
        order.fee_shares = shares * order.effective_bps // 10_000
    else:
        order.fee_usd = order.usd * order.effective_bps // 10_000
    order.matches = _matches(engine, account, order, price)
    order.trade_event_id = engine.uuid(account)
    _Settlement(engine, account, order, price, fate).start(at_ms)
    return order


def rest(
    engine: Engine,
    account: Account,
    market: Market,
    outcome: int,
    shares: int,
    price: int,
    at_ms: int,
    *,
    is_buy: bool,
) -> Order | None:
    """Place a post-only GTC order; None when it would match or is worth nothing."""
    shares = shares // LOT * LOT
    if _is_reached(engine, market, outcome, price, at_ms, is_buy) or shares <= 0 or not 0 < price < MILLI:
        return None
    order = _order(engine, account, market, outcome, shares, price, at_ms, is_buy, "GTC")
    account.live[order.id] = order
    engine.emit(account, "orderEvent", events.book_event(account, order, at_ms, "PLACEMENT"))
    return order


def cancel(engine: Engine, account: Account, order: Order, at_ms: int) -> None:
    """Take a resting order off the book."""
    account.live.pop(order.id, None)
    order.status = "CANCELLED"
    engine.emit(account, "orderEvent", events.book_event(account, order, at_ms, "CANCELLATION"))


def fill_crossed(engine: Engine, account: Account, at_ms: int) -> None:
    """Fill resting orders that the house's quotes have reached; large ones in two goes."""
    for order in list(account.live.values()):
        assert order.price is not None
        if order.key in account.busy:
            continue
        if _is_reached(engine, order.market, order.outcome, order.price, at_ms, order.is_buy):
            is_whole = order.remaining < order.size or order.size <= SPLIT_SIZE
            part = order.remaining if is_whole else order.size * 2 // 5 // LOT * LOT
            _fill_maker(engine, account, order, part, at_ms)


def _is_reached(engine: Engine, market: Market, outcome: int, price: int, at_ms: int, is_buy: bool) -> bool:
    """Whether the house would trade with an order of that price now."""
    bid, ask = touch(engine.universe, market, outcome, at_ms)
    if is_buy:
        return ask is not None and ask <= price
    return bid is not None and bid >= price


def _order(
    engine: Engine,
    account: Account,
    market: Market,
    outcome: int,
    shares: int,
    price: int,
    at_ms: int,
    is_buy: bool,
    kind: Kind,
) -> Order:
    usd = usd_of(shares, price, up=is_buy)
    spend, get = (usd, shares) if is_buy else (shares, usd)
    order = Order(
        id=engine.uuid(account),
        created_ms=at_ms,
        market=market,
        outcome=outcome,
        is_buy=is_buy,
        kind=kind,
        price=None if kind == "FOK" else price,
        maker_amount=spend,
        taker_amount=1 if kind == "FOK" else get,
        size=shares,
        remaining=shares,
        fee_rate_bps=0 if market.series.takes_usd_fee else account.fee_rate_bps,
    )
    account.orders[order.id] = order
    account.orders_of[market.slug].append(order)
    engine.watch(account, market)
    return order


def _matches(engine: Engine, account: Account, order: Order, price: int) -> list[Match]:
    """One or two house orders; half of them for the opposite outcome (minting or merging a pair)."""
    roll = draw(engine.seed, account.number, order.id, "matches")
    first = order.gross if roll < 0.6 else order.gross // 3 // LOT * LOT
    is_mirrored = draw(engine.seed, account.number, order.id, "mirror") < 0.5
    return [
        Match(
            id=engine.uuid(account),
            order_id=engine.uuid(account),
            account=hex_of(20, engine.seed, "house", order.id, number),
            shares=part,
            outcome=1 - order.outcome if is_mirrored else order.outcome,
            is_buy=order.is_buy if is_mirrored else not order.is_buy,
            price=MILLI - price if is_mirrored else price,
        )
        for number, part in enumerate(part for part in (first, order.gross - first) if part)
    ]


def _fill_maker(engine: Engine, account: Account, order: Order, shares: int, at_ms: int) -> None:
    assert order.price is not None
    price, key = order.price, order.key
    order.remaining -= shares
    order.settlement = "MATCHED"
    if order.remaining == 0:
        order.status = "MATCHED"
        account.live.pop(order.id, None)
    account.busy.add(key)
    engine.emit(account, "orderEvent", events.book_event(account, order, at_ms, "UPDATE"))

    def mined(when_ms: int) -> None:
        order.gross += shares
        order.usd += usd_of(shares, price, up=order.is_buy)
        order.settlement = "MINED"
        account.busy.discard(key)
        _move(engine, account, order, shares, price, when_ms, engine.tx(account))

    engine.at(at_ms + MATCH_TO_MINE_MS, mined)


class _Settlement:
    """A taker's trade on its way to the chain: DELAYED, MATCHED, RETRYING, then MINED and CONFIRMED, or
    FAILED, before or after it was mined."""

    def __init__(self, engine: Engine, account: Account, order: Order, price: int, fate: Fate) -> None:
        self._engine, self._account, self._order = engine, account, order
        self._price, self._fate = price, fate
        self._cost = 0

    def start(self, at_ms: int) -> None:
        """Match now or after the market's delay, and mine soon after."""
        order, delay_ms = self._order, self._order.market.series.delay_ms
        self._account.busy.add(order.key)
        mine_ms = at_ms + delay_ms + MATCH_TO_MINE_MS
        if delay_ms:
            order.settlement, order.eligible_ms = "DELAYED", at_ms + delay_ms
            self._engine.at(at_ms + delay_ms, self._matched)
        else:
            self._matched(at_ms)
        if self._fate == "retried":
            self._engine.at(mine_ms, self._retrying)
            mine_ms += RETRY_MS
        self._engine.at(mine_ms, self._failed if self._fate == "failed" else self._mined)

    def _matched(self, at_ms: int) -> None:
        terminal = events.terminal(self._account, self._order, at_ms, self._price)
        self._engine.emit(self._account, "orderEvent", terminal)
        self._become("MATCHED", at_ms)

    def _retrying(self, at_ms: int) -> None:
        self._order.settlement = "RETRYING"

    def _mined(self, at_ms: int) -> None:
        order = self._order
        order.tx_hash = self._engine.tx(self._account)
        self._cost = _move(
            self._engine,
            self._account,
            order,
            order.gross,
            self._price,
            at_ms,
            order.tx_hash,
            fee_shares=order.fee_shares,
            fee_usd=order.fee_usd,
        )
        self._become("MINED", at_ms)
        if self._fate == "reverted":
            self._engine.at(at_ms + REVERT_MS, self._reverted)
        else:
            self._engine.at(at_ms + CONFIRM_MS, self._confirmed)

    def _confirmed(self, at_ms: int) -> None:
        self._order.settlement = "CONFIRMED"
        self._account.busy.discard(self._order.key)
        self._engine.emit(
            self._account, "tx", events.transaction(self._account, self._order, at_ms, self._price)
        )

    def _failed(self, at_ms: int) -> None:
        self._account.busy.discard(self._order.key)
        self._become("FAILED", at_ms)

    def _reverted(self, at_ms: int) -> None:
        """The chain dropped the block: undo what was mined."""
        account, order = self._account, self._order
        account.rows = [row for row in account.rows if row.tx_hash != order.tx_hash]
        stake = account.stakes[order.key]
        if order.is_buy:
            stake.shares -= order.gross - order.fee_shares
            stake.cost -= self._cost
            stake.bought_usd -= order.usd
            account.cash += order.usd + order.fee_usd
        else:
            stake.buy(order.gross, self._cost)
            stake.realised -= order.usd - order.fee_usd - self._cost
            stake.sold_usd -= order.usd
            account.cash -= order.usd - order.fee_usd
        account.traded_usd -= order.usd
        self._failed(at_ms)

    def _become(self, status: str, at_ms: int) -> None:
        self._order.settlement = status
        settled = events.settled(self._account, self._order, at_ms, self._price, status)
        self._engine.emit(self._account, "orderEvent", settled)


def _move(
    engine: Engine,
    account: Account,
    order: Order,
    shares: int,
    price: int,
    at_ms: int,
    tx_hash: str,
    *,
    fee_shares: int = 0,
    fee_usd: int = 0,
) -> int:
    """Move shares and USDC and write the history row; returns the cost moved into or out of the stake."""
    usd = usd_of(shares, price, up=order.is_buy)
    stake = account.stakes[order.key]
    if order.is_buy:
        cost = usd_of(shares - fee_shares, price, up=False)
        stake.buy(shares - fee_shares, cost)
        stake.bought_usd += usd
        account.cash -= usd + fee_usd
    else:
        cost = stake.sell(shares, usd - fee_usd)
        stake.sold_usd += usd
        account.cash += usd - fee_usd
    account.traded_usd += usd
    strategy = ("Market " if order.kind == "FOK" else "Limit ") + ("Buy" if order.is_buy else "Sell")
    row = engine.row(account, order.market, order.outcome, usd, at_ms, strategy=strategy, shares=shares)
    row.tx_hash, row.price = tx_hash, f"{price / MILLI:g}"
    return cost
