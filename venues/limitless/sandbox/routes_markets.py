"""Public market data: lists, pages, books, prices, trades."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from venues.limitless.sandbox.book import LOT
from venues.limitless.sandbox.desk import Desk, answer, refusal, whole
from venues.limitless.sandbox.markets import MILLI, Market, hex_of
from venues.limitless.sandbox.shapes import order_book, page
from venues.limitless.signing import iso_ms
from venues.world import DAY_MS, HOUR_MS, draw

PAGE: Final = 25
EVERY_MS: Final = 17_000  # the house trades with itself this often
INTERVALS: Final = {
    "1m": 60_000,
    "1h": HOUR_MS,
    "6h": 6 * HOUR_MS,
    "1d": DAY_MS,
    "1w": 7 * DAY_MS,
    "all": HOUR_MS,
}
SORTS: Final = frozenset({"lp_rewards", "ending_soon", "newest", "high_value", "liquidity"})
CATEGORIES: Final = {"1": "Crypto", "2": "Economy"}


def routes(desk: Desk) -> list[web.RouteDef]:
    """The handlers of this module."""
    handlers = Markets(desk)
    return [
        web.get("/markets/active", handlers.active),
        web.get("/markets/active/slugs", handlers.slugs),
        web.get("/markets/active/{category}", handlers.active),
        web.get("/markets/search", handlers.search),
        web.get("/markets/categories/count", handlers.count),
        web.get("/markets/{market}", handlers.market),
        web.get("/markets/{market}/orderbook", handlers.book),
        web.get("/markets/{market}/historical-price", handlers.prices),
        web.get("/markets/{market}/events", handlers.trades),
        web.get("/markets/{market}/get-feed-events", handlers.feed),
    ]


class Markets:
    """Handlers; each is named after its route."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def active(self, request: web.Request) -> web.Response:
        limit, number = whole(request, "limit", 10, 1, PAGE), whole(request, "page", 1, 1, 10**6)
        if request.query.get("sortBy", "newest") not in SORTS:
            raise refusal(400, [{"property": "sortBy", "constraints": f"one of {', '.join(sorted(SORTS))}"}])
        at_ms, engine = self._desk.now(), self._desk.engine
        category = CATEGORIES.get(request.match_info.get("category", ""))
        if "category" in request.match_info and category is None:
            raise refusal(404, "Category not found")
        listings = sorted(engine.universe.active(at_ms), key=lambda li: self._order(request, li))
        kind = request.query.get("tradeType")
        listings = [li for li in listings if kind in (None, _kind(li)) and category in (None, _category(li))]
        shown = listings[(number - 1) * limit : number * limit]
        return answer({"data": [page(engine, li, at_ms) for li in shown], "totalMarketsCount": len(listings)})

    def _order(self, request: web.Request, listing: tuple[Market, ...]) -> tuple[int, int]:
        market = listing[0]
        is_soon = request.query.get("sortBy") == "ending_soon"
        return (market.expires_ms if is_soon else -market.created_ms), market.id

    async def slugs(self, request: web.Request) -> web.Response:
        at_ms = self._desk.now()
        rows: list[dict[str, Any]] = []
        for listing in self._desk.engine.universe.active(at_ms):
            first = listing[0]
            row = {"slug": first.group or first.slug, "ticker": first.series.asset}
            row["deadline"] = iso_ms(first.expires_ms)
            if first.group is None:
                rows.append({**row, "strikePrice": str(first.strike)})
            else:
                rows.append({**row, "markets": [{"slug": market.slug} for market in listing]})
        return answer(rows)

    async def search(self, request: web.Request) -> web.Response:
        query = request.query.get("query", "").lower()
        if not query:
            raise refusal(400, ["query should not be empty"])
        limit, number = whole(request, "limit", 10, 1, 50), whole(request, "page", 1, 1, 10**6)
        at_ms, engine = self._desk.now(), self._desk.engine
        found = [li for li in engine.universe.active(at_ms) if any(query in m.title.lower() for m in li)]
        shown = found[(number - 1) * limit : number * limit]
        return answer({"markets": [page(engine, listing, at_ms) for listing in shown]})

    async def count(self, request: web.Request) -> web.Response:
        listings = list(self._desk.engine.universe.active(self._desk.now()))
        counts = {
            number: sum(_category(li) == name for li in listings) for number, name in CATEGORIES.items()
        }
        return answer({"category": counts, "totalCount": len(listings)})

    async def market(self, request: web.Request) -> web.Response:
        listing = self._desk.listing(request)
        return answer(page(self._desk.engine, listing, self._desk.now()))

    async def book(self, request: web.Request) -> web.Response:
        market = self._desk.market(request, clob=True)
        return answer(order_book(self._desk.engine, market, self._desk.now()))

    async def prices(self, request: web.Request) -> web.Response:
        """Newest first; at most 200 points; a list of series for a group."""
        listing, at_ms = self._desk.listing(request), self._desk.now()
        step = INTERVALS.get(request.query.get("interval", "all"))
        if step is None:
            raise refusal(400, [{"property": "interval", "constraints": f"one of {', '.join(INTERVALS)}"}])
        series = [{"title": m.title, "prices": self._points(m, at_ms, step)} for m in listing]
        return answer({"data": series[0]["prices"]} if len(listing) == 1 else series)

    def _points(self, market: Market, at_ms: int, step: int) -> list[dict[str, Any]]:
        newest = min(at_ms, market.expires_ms - 1)
        times = range(newest - newest % step, market.created_ms - 1, -step)[:200]
        return [
            {"timestamp": at, "price": self._desk.engine.universe.yes(market, at) / MILLI} for at in times
        ]

    async def trades(self, request: web.Request) -> web.Response:
        market, at_ms = self._desk.market(request), self._desk.now()
        limit, number = whole(request, "limit", 20, 1, 100), whole(request, "page", 1, 1, 10**6)
        first, newest = _buckets(market, at_ms)
        total = max(0, newest - first + 1)
        shown = range(newest - (number - 1) * limit, first - 1, -1)[:limit]
        return answer(
            {
                "events": [self._trade(market, bucket) for bucket in shown],
                "limit": limit,
                "page": number,
                "totalPages": -(-total // limit),
                "totalRows": total,
            }
        )

    async def feed(self, request: web.Request) -> web.Response:
        market, at_ms = self._desk.market(request), self._desk.now()
        limit, number = whole(request, "limit", 10, 1, 100), whole(request, "page", 1, 1, 10**6)
        first, newest = _buckets(market, at_ms)
        rows = []
        for bucket in range(newest - (number - 1) * limit, first - 1, -1)[:limit]:
            trade = self._trade(market, bucket)
            user = {"account": trade["profile"]["account"]}
            rows.append(
                {"eventType": "NEW_TRADE", "timestamp": trade["createdAt"], "user": user, "data": trade}
            )
        pages = -(-max(0, newest - first + 1) // limit)
        return answer({"data": {"data": rows, "totalPages": pages}})

    def _trade(self, market: Market, bucket: int) -> dict[str, Any]:
        """One public trade of the house."""
        seed, at_ms = self._desk.engine.seed, bucket * EVERY_MS
        shares = LOT * (1000 + int(99_000 * draw(seed, market.slug, bucket, "size")))
        price, side = (
            self._desk.engine.universe.yes(market, at_ms),
            int(draw(seed, market.slug, bucket) < 0.5),
        )
        usd = shares * price // MILLI
        return {
            "createdAt": iso_ms(at_ms),
            "makerAmount": usd if side == 0 else shares,
            "takerAmount": shares if side == 0 else usd,
            "matchedSize": shares,
            "price": price / MILLI,
            "profile": {"account": hex_of(20, seed, "crowd", bucket % 50)},
            "side": side,
            "title": market.title,
            "tokenId": market.yes_token,
            "txHash": hex_of(32, seed, market.slug, bucket, "tx"),
        }


def _buckets(market: Market, at_ms: int) -> tuple[int, int]:
    """Numbers of the first and the newest public trade."""
    return -(-(market.created_ms + 60_000) // EVERY_MS), (min(at_ms, market.expires_ms) - 1) // EVERY_MS


def _kind(listing: tuple[Market, ...]) -> str:
    return "group" if listing[0].group else "amm" if listing[0].is_amm else "clob"


def _category(listing: tuple[Market, ...]) -> str:
    return "Economy" if listing[0].group else "Crypto"
