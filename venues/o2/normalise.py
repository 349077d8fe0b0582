"""O2 payload → Snapshot. Pure.

Rule 1: a trade's ``side`` is the maker's; a taker did the opposite; ``both`` is two fills that cancel.
Rule 2: a coin's holding is ``total_unlocked + total_locked`` (the trading account is inside the first).
Rule 3: every price is USD. A dollar stablecoin is a dollar; a market quoted in another coin is converted
at that coin's mark, its trade is also a trade of that coin, and both fills are ``derived``.
Rule 4: nothing on a spot market is short. A sale of coins that no trade of the account's whole history
bought (they were deposited) is preceded by a ``transfer`` of the missing coins at the sale's price.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from venues.errors import Broken
from venues.model import Fill, Holding, Mark, OrderStatus, Payload, Snapshot, VenueOrder
from venues.numbers import decode
from venues.o2.markets import Market, assets, homes, read_markets, usd_rates
from venues.o2.schemas import (
    BookSides,
    OrderRow,
    TickerRow,
    TradeRow,
    balance_decoder,
    depth_decoder,
    hex_id,
    ids_decoder,
    moment,
    order_decoder,
    orders_decoder,
    ticker_decoder,
    trades_decoder,
    whole,
)

NEVER_RESTS = frozenset({"Market", "BoundedMarket", "FillOrKill"})


def normalise(payload: Payload) -> Snapshot:
    """Return the account's picture. Raises Broken with the field path on anything undocumented."""
    view = _View(payload)
    return Snapshot(
        venue=payload.venue,
        account=payload.account,
        observed_ms=payload.observed_ms,
        instruments=tuple(market.instrument() for market in view.markets.values()),
        fills=tuple(view.fills()),
        holdings=tuple(view.holdings()),
        holdings_complete=not view.moving,
        orders=tuple(view.orders()),
        marks=tuple(view.marks.values()),
        equity_usd=view.equity_usd(),
    )


class _View:
    """One payload with its markets, marks and rates at hand."""

    def __init__(self, payload: Payload) -> None:
        self.parts = payload.parts
        self.observed_ms = payload.observed_ms
        self.is_whole = payload.since_ms is None
        listed = read_markets(self._part("markets"))
        followed = {key: market for key, market in listed.items() if f"trades/{key}/0" in payload.parts}
        prices = {key: price for key in followed if (price := self._price(followed[key])) is not None}
        self.rates = usd_rates(followed, {key: price[0] for key, price in prices.items()})
        # A market whose quote has no dollar price cannot be valued: it is left out as a whole.
        self.markets = {key: market for key, market in followed.items() if market.quote.id in self.rates}
        self.homes = homes(self.markets.values())
        self.marks = {
            key: self._mark(self.markets[key], *price) for key, price in prices.items() if key in self.markets
        }
        self.balances = {key: self._balance(key) for key in assets(self.markets.values())}
        self.moving = self._moving()

    def _part(self, name: str) -> bytes:
        if name not in self.parts:
            raise Broken(name, "a part of the payload", "nothing")
        return self.parts[name]

    def _moving(self) -> frozenset[str]:
        moving = decode("moving", self.parts.get("moving", b"[]"), ids_decoder)
        return frozenset(moving)

    def _pages(self, prefix: str) -> Iterator[str]:
        index = 0
        while (name := f"{prefix}/{index}") in self.parts:
            yield name
            index += 1

    def _price(self, market: Market) -> tuple[Decimal, Decimal | None, Decimal | None, int] | None:
        """(mark, bid, ask, time) in the quote currency; None when the book is empty and nothing traded."""
        name = f"ticker/{market.id}"
        answer = decode(name, self._part(name), ticker_decoder)
        rows = answer if isinstance(answer, list) else [answer]
        last, bid, ask = _quotes(name, market, rows[0]) if rows else (None, None, None)
        if last is None and (bid is None or ask is None):
            bid, ask = self._best(market)
        price = _mark_price(last, bid, ask)
        if price is None:
            return None
        at = rows[0].timestamp if rows else None
        return price, bid, ask, self.observed_ms if at is None else moment(f"{name}.timestamp", at)

    def _best(self, market: Market) -> tuple[Decimal | None, Decimal | None]:
        name = f"depth/{market.id}"
        if name not in self.parts:
            return None, None
        body = decode(name, self.parts[name], depth_decoder)
        sides = body.orders or body.view or BookSides()
        buys = [whole(f"{name}.buys", level.price) for level in sides.buys]
        sells = [whole(f"{name}.sells", level.price) for level in sides.sells]
        return (
            market.price(max(buys)) if buys else None,
            market.price(min(sells)) if sells else None,
        )

    def _mark(
        self, market: Market, price: Decimal, bid: Decimal | None, ask: Decimal | None, at: int
    ) -> Mark:
        rate = self.rates[market.quote.id]
        return Mark(
            instrument=market.name,
            price=price * rate,
            time_ms=at,
            bid=None if bid is None else bid * rate,
            ask=None if ask is None else ask * rate,
        )

    def _balance(self, asset_id: str) -> int:
        name = f"balance/{asset_id}"
        body = decode(name, self._part(name), balance_decoder)
        inside = whole(f"{name}.trading_account_balance", body.trading_account_balance)
        unlocked = whole(f"{name}.total_unlocked", body.total_unlocked)
        if unlocked < inside:
            raise Broken(
                f"{name}.total_unlocked", f"at least trading_account_balance {inside}", str(unlocked)
            )
        return unlocked + whole(f"{name}.total_locked", body.total_locked)

    def holdings(self) -> Iterator[Holding]:
        """One per coin held, at its home instrument; coins that moved while being read say nothing."""
        for asset_id, home in self.homes.items():
            if self.balances[asset_id] and asset_id not in self.moving:
                yield Holding(instrument=home.name, quantity=home.base.amount(self.balances[asset_id]))

    def equity_usd(self) -> Decimal:
        """Everything the account owns, at marks; what has no price counts nothing."""
        known = assets(self.markets.values())
        return sum(
            (
                known[key].amount(chain) * self.rates.get(key, Decimal(0))
                for key, chain in self.balances.items()
            ),
            Decimal(0),
        )

    def fills(self) -> list[Fill]:
        """All fills, oldest first; a trade that two pages repeat is taken once."""
        dated: list[tuple[int, int, int, list[Fill]]] = []
        for market in self.markets.values():
            seen: set[str] = set()
            for name in self._pages(f"trades/{market.id}"):
                answer = decode(name, self.parts[name], trades_decoder)
                rows = answer if isinstance(answer, list) else answer.trades
                for index, row in enumerate(rows):
                    key = str(row.trade_id)
                    if key not in seen:
                        seen.add(key)
                        path = f"{name}.trades[{index}]"
                        at = moment(f"{path}.timestamp", row.timestamp)
                        number = int(key) if key.isascii() and key.isdigit() else 0
                        # Pages are newest first, so of two trades of one millisecond the later row is older.
                        dated.append((at, number, -len(seen), self._trade(path, market, row, at)))
        dated.sort(key=lambda item: item[:3])
        found = [fill for *_, legs in dated for fill in legs]
        return list(_covered(found)) if self.is_whole else found

    def _trade(self, path: str, market: Market, row: TradeRow, at: int) -> list[Fill]:
        maker_sign = _sign(f"{path}.side", row.side)
        role = row.trader_side.lower()
        if role == "maker":
            return self._leg(path, market, row, at, maker_sign, market.maker_fee, "")
        if role == "taker":
            return self._leg(path, market, row, at, -maker_sign, market.taker_fee, "")
        if role != "both":
            raise Broken(f"{path}.trader_side", "maker, taker or both", repr(row.trader_side[:80]))
        bought_fee, sold_fee = market.maker_fee, market.taker_fee
        if maker_sign < 0:
            bought_fee, sold_fee = sold_fee, bought_fee
        # The purchase first: a self trade out of an empty account must not look like a short sale.
        return [
            *self._leg(path, market, row, at, 1, bought_fee, "-buy"),
            *self._leg(path, market, row, at, -1, sold_fee, "-sell"),
        ]

    def _leg(
        self, path: str, market: Market, row: TradeRow, at: int, sign: int, fee: Decimal, suffix: str
    ) -> list[Fill]:
        """The coin's fill, and that of the quote coin when the market is not quoted in dollars.

        O2 reports no fee per trade: it is estimated as total × fee rate, which the venue charges takers.
        """
        rate = self.rates[market.quote.id]
        quantity = market.base.amount(whole(f"{path}.quantity", row.quantity))
        total = market.quote.amount(whole(f"{path}.total", row.total))
        identity = f"{market.id[2:18]}-{row.trade_id}{suffix}"
        legs = []
        if market.base.id in self.homes:
            legs.append(
                Fill(
                    fill_id=identity,
                    instrument=self.homes[market.base.id].name,
                    quantity=sign * quantity,
                    price=market.price(whole(f"{path}.price", row.price)) * rate,
                    time_ms=at,
                    fee=total * fee * rate,
                    derived=not market.quote.is_usd,
                )
            )
        if market.quote.id in self.homes:
            legs.append(
                Fill(
                    fill_id=f"{identity}-quote",
                    instrument=self.homes[market.quote.id].name,
                    quantity=-sign * total,
                    price=rate,
                    time_ms=at,
                    derived=True,
                )
            )
        return legs

    def orders(self) -> Iterator[VenueOrder]:
        """Orders that can rest; where two pages list one order, the later page knows better."""
        for market in self.markets.values():
            latest: dict[str, VenueOrder] = {}
            for path, row in self._order_rows(market):
                kind = row.order_type if isinstance(row.order_type, str) else next(iter(row.order_type), "")
                if kind not in NEVER_RESTS:
                    order = self._order(path, market, row)
                    latest[order.order_id] = order
            yield from latest.values()

    def _order_rows(self, market: Market) -> Iterator[tuple[str, OrderRow]]:
        for name in self._pages(f"orders/{market.id}"):
            answer = decode(name, self.parts[name], orders_decoder)
            rows = answer if isinstance(answer, list) else answer.orders
            yield from ((f"{name}.orders[{index}]", row) for index, row in enumerate(rows))
        for name in self._pages(f"order/{market.id}"):
            yield f"{name}.order", decode(name, self.parts[name], order_decoder).order

    def _order(self, path: str, market: Market, row: OrderRow) -> VenueOrder:
        quantity = market.base.amount(whole(f"{path}.quantity", row.quantity))
        filled = market.base.amount(whole(f"{path}.quantity_fill", row.quantity_fill))
        status, venue_status = _status(row, quantity - filled, filled, market.dust)
        return VenueOrder(
            order_id=hex_id(f"{path}.order_id", row.order_id),
            instrument=market.name,
            quantity=_sign(f"{path}.side", row.side) * quantity,
            price=market.price(whole(f"{path}.price", row.price)) * self.rates[market.quote.id],
            created_ms=moment(f"{path}.timestamp", row.timestamp),
            filled=filled,
            status=status,
            venue_status=venue_status,
        )


def _covered(fills: list[Fill]) -> Iterator[Fill]:
    """The fills, and before every sale of more than was there the arrival of what it lacked."""
    net: dict[str, Decimal] = {}
    for fill in fills:
        after = net.get(fill.instrument, Decimal(0)) + fill.quantity
        if after < 0:
            yield Fill(
                fill_id=f"{fill.fill_id}-deposit",
                instrument=fill.instrument,
                quantity=-after,
                price=fill.price,
                time_ms=fill.time_ms,
                kind="transfer",
                derived=True,
            )
        net[fill.instrument] = max(after, Decimal(0))
        yield fill


def _status(row: OrderRow, rest: Decimal, filled: Decimal, dust: Decimal) -> tuple[OrderStatus, str]:
    """(our status, the venue's in words): the venue has only flags. ``close`` is set on cancelled ones too.

    A remainder below the market's dust is closed by the venue itself: such an order counts as filled.
    """
    if row.cancel:
        return "cancelled", "cancelled_partially_filled" if filled else "cancelled"
    if not row.close:
        return "open", "partially_filled" if filled or row.partially_filled else "open"
    if rest <= 0:
        return "filled", "filled"
    if filled and rest < dust:
        return "filled", "closed_as_dust"
    return "cancelled", "expired_partially_filled" if filled else "expired"


def _sign(path: str, side: str) -> int:
    signs = {"buy": 1, "sell": -1}
    if side.lower() not in signs:
        raise Broken(path, "Buy or Sell", repr(side[:80]))
    return signs[side.lower()]


def _quotes(
    name: str, market: Market, row: TickerRow
) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    """(last, bid, ask) in the quote currency: chain integers where given, else the human fields."""
    chain = {"last": row.last, "bid": row.bid, "ask": row.ask}
    human = {"last": row.last_price, "bid": row.best_bid, "ask": row.best_ask}
    found: list[Decimal | None] = []
    for field, value in chain.items():
        raw = value if value is not None else human[field]
        if raw is not None and (not raw.is_finite() or raw < 0 or raw.adjusted() > 40):
            raise Broken(f"{name}.{field}", "a price", str(raw)[:80])
        found.append(None if not raw else market.price(raw) if value is not None else raw)
    return found[0], found[1], found[2]


def _mark_price(last: Decimal | None, bid: Decimal | None, ask: Decimal | None) -> Decimal | None:
    """The last trade, held inside the spread; without one the middle, or the only side there is."""
    if last is not None:
        high = last if ask is None else min(last, ask)
        return high if bid is None else max(high, bid)
    if bid is not None and ask is not None:
        return (bid + ask) / 2
    return bid if bid is not None else ask
