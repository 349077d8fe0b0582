"""Profiles and portfolios, the history among them."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from aiohttp import web

from venues.limitless.sandbox.accounts import Account
from venues.limitless.sandbox.desk import Desk, answer, refusal, whole
from venues.limitless.sandbox.portfolio import history_row, positions
from venues.limitless.signing import iso_ms
from venues.world import DAY_MS

MAX_ALLOWANCE: Final = str(2**256 - 1)
TIMEFRAMES: Final = {"1d": 1, "7d": 7, "30d": 30, "all": 60}
USDC_BALANCE: Final = "0x70a08231"  # selector of balanceOf(address)


def routes(desk: Desk) -> list[web.RouteDef]:
    """The handlers of this module."""
    handlers = Portfolio(desk)
    return [
        web.get("/profiles/me", handlers.me),
        web.get("/profiles/{address}", handlers.profile),
        web.get("/portfolio/positions", handlers.positions),
        web.get("/portfolio/{address}/positions", handlers.public_positions),
        web.get("/portfolio/trades", handlers.trades),
        web.get("/portfolio/history", handlers.history),
        web.get("/portfolio/pnl-chart", handlers.chart),
        web.get("/portfolio/{address}/pnl-chart", handlers.public_chart),
        web.get("/portfolio/points", handlers.points),
        web.get("/portfolio/{address}/traded-volume", handlers.volume),
        web.get("/portfolio/trading/allowance", handlers.allowance),
        web.post("/rpc", handlers.rpc),
    ]


class Portfolio:
    """Handlers; each is named after its route."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def me(self, request: web.Request) -> web.Response:
        return answer(profile(await self._desk.account(request), self._desk.engine.origin_ms))

    async def profile(self, request: web.Request) -> web.Response:
        await self._desk.account(request)
        return answer(profile(self._named(request), self._desk.engine.origin_ms))

    async def positions(self, request: web.Request) -> web.Response:
        account = await self._desk.account(request)
        return answer(positions(self._desk.engine, account, self._desk.now()))

    async def public_positions(self, request: web.Request) -> web.Response:
        at_ms = self._desk.now()
        return answer(positions(self._desk.engine, self._named(request), at_ms))

    async def trades(self, request: web.Request) -> web.Response:
        account, at_ms = await self._desk.account(request), self._desk.now()
        rows = [row for row in reversed(account.rows) if row.market.is_amm and row.strategy is not None]
        return answer([history_row(row, at_ms) for row in rows])

    async def history(self, request: web.Request) -> web.Response:
        """By cursor (empty on the first page), newest first; without ``cursor`` the older page mode."""
        account, at_ms = await self._desk.account(request), self._desk.now()
        limit = whole(request, "limit", 20, 1, 100)
        rows = account.rows[::-1]
        if "cursor" not in request.query:
            first = (whole(request, "page", 1, 1, 10**6) - 1) * limit
            shown = rows[first : first + limit]
            return answer({"data": [history_row(row, at_ms) for row in shown], "totalCount": len(rows)})
        before = _cursor_number(request.query["cursor"])
        left = rows if before is None else [row for row in rows if row.number < before]
        shown, has_more = left[:limit], len(left) > limit
        cursor = base64.b64encode(f"row:{shown[-1].number}".encode()).decode() if has_more else None
        return answer({"data": [history_row(row, at_ms) for row in shown], "nextCursor": cursor})

    async def chart(self, request: web.Request) -> web.Response:
        return self._chart(request, await self._desk.account(request))

    async def public_chart(self, request: web.Request) -> web.Response:
        return self._chart(request, self._named(request))

    async def points(self, request: web.Request) -> web.Response:
        await self._desk.account(request)
        return answer({"totalPoints": "0.00000000", "epochs": []})

    async def volume(self, request: web.Request) -> web.Response:
        self._desk.now()
        return answer({"totalVolume": str(self._named(request).traded_usd)})

    async def allowance(self, request: web.Request) -> web.Response:
        account, kind = await self._desk.account(request), request.query.get("type")
        if kind not in ("clob", "negrisk"):
            raise refusal(400, [{"property": "type", "constraints": "type must be clob or negrisk"}])
        shape = {"allowance": MAX_ALLOWANCE, "hasMinimumAllowance": True, "type": kind}
        spender = request.query.get("spender", "0x05c748E2f4DcDe0ec9Fa8DDc40DE6b867f923fa5")
        return answer({**shape, "spender": spender, "checkedAddress": account.wallet})

    async def rpc(self, request: web.Request) -> web.Response:
        """The chain's node: USDC balances, which the exchange itself does not report."""
        self._desk.now()
        call = await request.json()
        data = str(call["params"][0].get("data", "")) if call.get("method") == "eth_call" else ""
        account = self._desk.find("0x" + data[-40:]) if data.startswith(USDC_BALANCE) else None
        head = {"jsonrpc": "2.0", "id": call.get("id")}
        if account is None:
            return answer({**head, "error": {"code": -32601, "message": "unsupported call"}})
        return answer({**head, "result": f"0x{account.cash:064x}"})

    def _named(self, request: web.Request) -> Account:
        account = self._desk.find(request.match_info["address"])
        if account is None:
            raise refusal(404, "Profile not found")
        return account

    def _chart(self, request: web.Request, account: Account) -> web.Response:
        """Realised profit of settled markets, summed up day by day, in USD."""
        timeframe = request.query.get("timeframe", "7d")
        if timeframe not in TIMEFRAMES:
            raise refusal(400, [{"property": "timeframe", "constraints": f"one of {', '.join(TIMEFRAMES)}"}])
        at_ms = self._desk.now()
        settled = [(row.at_s * 1000, row.pnl) for row in account.rows if row.pnl is not None]
        days = range(at_ms - TIMEFRAMES[timeframe] * DAY_MS, at_ms + 1, DAY_MS)
        values = [(day, sum(pnl for when, pnl in settled if when <= day) / 1e6) for day in days]
        first, last = values[0][1], values[-1][1]
        unrealised = sum(
            stake.shares * self._desk.engine.universe.yes(account.markets[slug], at_ms) / 1e9
            - stake.cost / 1e6
            for (slug, outcome), stake in account.stakes.items()
            if outcome == 0
        )
        shape: dict[str, Any] = {
            "timeframe": timeframe,
            "data": [{"timestamp": day, "value": value} for day, value in values],
            "currentValue": last,
            "previousValue": first,
            "percentChange": (last - first) / abs(first) * 100 if first else 0,
            "current": {"realised": last, "unrealized": unrealised, "total": last + unrealised},
        }
        return answer(shape)


def _cursor_number(cursor: str) -> int | None:
    """The row a cursor points to; None for the empty cursor of the first page. Refuses others."""
    if not cursor:
        return None
    try:
        kind, _, number = base64.b64decode(cursor, validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        kind, number = "", ""
    if kind != "row" or not number.isdecimal():
        raise refusal(400, "Invalid cursor")
    return int(number)


def profile(account: Account, created_ms: int) -> dict[str, Any]:
    """A profile as its owner and others see it."""
    rank = {"id": 1, "name": "Bronze", "feeRateBps": account.fee_rate_bps}
    is_ranked = account.access != "public"  # the venue leaves newcomers without a rank
    return {
        "id": account.profile_id,
        "account": account.address,
        "client": "etherspot" if account.smart_wallet else "eoa",
        "rank": rank if is_ranked else None,
        "tradeWalletOption": "smartWallet" if account.smart_wallet else "eoa",
        "smartWallet": account.smart_wallet,
        "embeddedAccount": None,
        "username": f"trader{account.number}",
        "displayName": f"Trader {account.number}",
        "pfpUrl": None,
        "points": 0,
        "accumulativePoints": 0,
        "leaderboardPosition": account.number + 1,
        "isTop100": True,
        "isCaptain": False,
        "referralData": [],
        "referredUsersCount": 0,
        "createdAt": iso_ms(created_ms),
    }
