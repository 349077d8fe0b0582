"""API tokens, partner accounts and their allowances, AMM allowances, and packs (parlays)."""

from __future__ import annotations

import json
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from venues.limitless.sandbox.accounts import SCOPES, Account
from venues.limitless.sandbox.desk import Desk, answer, refusal, whole
from venues.limitless.sandbox.markets import EXCHANGES, MILLI, Market, hex_of
from venues.limitless.sandbox.routes_portfolio import MAX_ALLOWANCE
from venues.limitless.sandbox.shapes import USDC
from venues.limitless.signing import iso_ms

CTF: Final = "0xC9c98965297Bc527861c898329Ee280632B76e18"
CHILDREN: Final = 2
LEGS: Final = 3
VIG: Final = 0.05


def routes(desk: Desk) -> list[web.RouteDef]:
    """The handlers of this module."""
    handlers = Partners(desk)
    return [
        web.get("/auth/api-tokens/capabilities", handlers.capabilities),
        web.get("/auth/api-tokens", handlers.tokens),
        web.get("/profiles/partner-accounts", handlers.accounts),
        web.get("/profiles/partner-accounts/{id}/allowances", handlers.allowances),
        web.post("/amm/allowances/check", handlers.amm_allowance),
        web.get("/parlay/packs", handlers.packs),
        web.get("/parlay/packs/search", handlers.search),
        web.get("/parlay/packs/{id}", handlers.pack),
        web.post("/parlay/partner/quote", handlers.quote),
        web.get("/parlay/partner/positions", handlers.positions),
        web.get("/parlay/partner/positions/{id}", handlers.position),
    ]


class Partners:
    """Handlers; each is named after its route."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def capabilities(self, request: web.Request) -> web.Response:
        self._desk.now()
        account = self._desk.identified(request)
        return answer(
            {
                "partnerProfileId": account.profile_id,
                "tokenManagementEnabled": True,
                "allowedScopes": list(SCOPES),
            }
        )

    async def tokens(self, request: web.Request) -> web.Response:
        account, at_ms = await self._desk.account(request), self._desk.now()
        token = {
            "tokenId": account.token.token_id,
            "label": "sandbox",
            "scopes": list(SCOPES),
            "createdAt": iso_ms(self._desk.engine.origin_ms),
            "lastUsedAt": iso_ms(at_ms),
        }
        return answer([token])

    async def accounts(self, request: web.Request) -> web.Response:
        account = await self._desk.account(request, hmac_only=True)
        limit, number = whole(request, "limit", 25, 1, 25), whole(request, "page", 1, 1, 10**6)
        wanted = request.query.get("account", "").lower()
        rows = [row for row in self._children(account) if wanted in ("", row["account"].lower())]
        shown = rows[(number - 1) * limit : number * limit]
        has_more = number * limit < len(rows)
        return answer({"data": shown, "page": number, "limit": limit, "hasMore": has_more})

    async def allowances(self, request: web.Request) -> web.Response:
        account = await self._desk.account(request, hmac_only=True)
        child = self._child(account, request.match_info["id"])
        targets = [
            {
                "type": kind,
                "tokenAddress": token,
                "spenderOrOperator": EXCHANGES[0],
                "label": f"{needed.title()} on the order book",
                "requiredFor": needed,
                "confirmed": True,
                "status": "confirmed",
                "retryable": False,
            }
            for kind, token, needed in (("USDC_ALLOWANCE", USDC, "BUY"), ("CTF_APPROVAL", CTF, "SELL"))
        ]
        summary = {"total": 2, "confirmed": 2, "missing": 0, "submitted": 0, "failed": 0}
        return answer(
            {
                "profileId": child["profileId"],
                "partnerProfileId": account.profile_id,
                "chainId": 8453,
                "walletAddress": child["account"],
                "ready": True,
                "summary": summary,
                "targets": targets,
            }
        )

    async def amm_allowance(self, request: web.Request) -> web.Response:
        is_identified = "identity" in request.headers and "lmts-api-key" not in request.headers
        account = (
            self._desk.identified(request)
            if is_identified
            else await self._desk.account(request, hmac_only=True)
        )
        body = await _body(request)
        found = self._desk.engine.universe.find(str(body.get("market", "")), self._desk.now())
        if not found or not found[0].is_amm:
            raise refusal(404, "AMM market not found")
        side = body.get("side")
        if side not in ("BUY", "SELL"):
            raise refusal(400, [{"property": "side", "constraints": "side must be BUY or SELL"}])
        shape = {
            "status": "confirmed",
            "confirmed": True,
            "market": found[0].slug,
            "marketAddress": found[0].address,
            "side": side,
            "walletAddress": account.wallet,
            "tokenAddress": USDC if side == "BUY" else CTF,
            "spenderOrOperator": found[0].address,
        }
        return answer(shape | ({"currentAllowance": MAX_ALLOWANCE} if side == "BUY" else {}))

    async def packs(self, request: web.Request) -> web.Response:
        return answer(self._packs())

    async def search(self, request: web.Request) -> web.Response:
        query = request.query.get("query", "").lower()
        return answer([pack for pack in self._packs() if query in pack["name"].lower()])

    async def pack(self, request: web.Request) -> web.Response:
        return answer(self._pack(request.match_info["id"]))

    async def quote(self, request: web.Request) -> web.Response:
        await self._desk.account(request, hmac_only=True)
        body = await _body(request)
        pack, stake = self._pack(str(body.get("packId"))), str(body.get("stakeAmount"))
        if not stake.isdecimal() or not int(stake):
            raise refusal(
                400, [{"property": "stakeAmount", "constraints": "a positive integer of micro-USDC"}]
            )
        raw = 1.0
        for leg in pack["legs"]:
            raw /= leg["price"]
        multiplier = raw * (1 - VIG)
        payout = int(int(stake) * multiplier)
        return answer(
            {
                "eligible": True,
                "parlayType": pack["parlayType"],
                "rawMultiplier": raw,
                "multiplier": multiplier,
                "potentialPayout": str(payout),
                "collateralRequired": str(payout - int(stake)),
                "vigPercent": VIG * 100,
                "legs": pack["legs"],
                "ineligibleReasons": [],
            }
        )

    async def positions(self, request: web.Request) -> web.Response:
        child = await self._on_behalf(request)
        limit, offset = whole(request, "limit", 20, 1, 50), whole(request, "offset", 0, 0, 5000)
        rows = [self._held(child)]
        shown = rows[offset : offset + limit]
        return answer({"data": shown, "total": len(rows), "limit": limit, "offset": offset})

    async def position(self, request: web.Request) -> web.Response:
        held = self._held(await self._on_behalf(request))
        if held["id"] != request.match_info["id"]:
            raise refusal(404, "Pack position not found")
        return answer(held)

    async def _on_behalf(self, request: web.Request) -> dict[str, Any]:
        account = await self._desk.account(request, hmac_only=True)
        return self._child(account, request.headers.get("x-on-behalf-of", ""))

    def _children(self, account: Account) -> list[dict[str, Any]]:
        seed = self._desk.engine.seed
        return [
            {
                "profileId": 9_000_000 + account.number * CHILDREN + child,
                "account": hex_of(20, seed, account.number, child, "child"),
                "displayName": f"Child {child}",
            }
            for child in range(CHILDREN)
        ]

    def _child(self, account: Account, profile_id: str) -> dict[str, Any]:
        for child in self._children(account):
            if str(child["profileId"]) == profile_id:
                return child
        raise refusal(403, "Profile does not belong to this partner")

    def _packs(self) -> list[dict[str, Any]]:
        """One pack per long-running series, made of its newest order-book markets."""
        at_ms, universe = self._desk.now(), self._desk.engine.universe
        by_asset: dict[str, list[Market]] = {}
        for market in universe.tradeable(at_ms):
            if market.series.kind == "above" and market.series.label == "1-week":
                by_asset.setdefault(market.series.asset, []).append(market)
        return [
            {
                "id": self._uuid("pack", asset),
                "name": f"{asset} ladder",
                "status": "ACTIVE",
                "eligible": True,
                "parlayType": "STANDARD",
                "legs": [self._leg(m, n, at_ms) for n, m in enumerate(markets[-LEGS:])],
            }
            for asset, markets in by_asset.items()
        ]

    def _leg(self, market: Market, number: int, at_ms: int) -> dict[str, Any]:
        price = self._desk.engine.universe.yes(market, at_ms) / MILLI
        return {
            "id": self._uuid("leg", market.slug),
            "legIndex": number,
            "resolutionStatus": "PENDING",
            "marketSlug": market.slug,
            "marketId": market.id,
            "conditionId": market.condition_id,
            "marketType": "CLOB",
            "outcome": "YES",
            "price": price,
            "bookPrice": price,
            "livePrice": price,
        }

    def _pack(self, pack_id: str) -> dict[str, Any]:
        for pack in self._packs():
            if pack["id"] == pack_id:
                return pack
        raise refusal(404, "Pack not found")

    def _held(self, child: dict[str, Any]) -> dict[str, Any]:
        pack = self._packs()[0]
        return {
            "id": self._uuid("held", child["profileId"]),
            "status": "ACTIVE",
            "stakeAmount": "1000000",
            "collateralDeposited": "2500000",
            "multiplierOffered": "3.5",
            "vigPercent": f"{VIG * 100:g}",
            "txHash": hex_of(32, child["profileId"], "tx"),
            "claimTxHash": None,
            "wallet": child["account"],
            "createdAt": iso_ms(self._desk.engine.origin_ms),
            "legs": pack["legs"],
            "sourcePack": {"id": pack["id"], "name": pack["name"]},
            "payoutAmount": None,
        }

    def _uuid(self, *names: object) -> str:
        return str(UUID(hex=hex_of(16, self._desk.engine.seed, *names)[2:], version=4))


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise refusal(400, "a JSON object is required")
    return body
