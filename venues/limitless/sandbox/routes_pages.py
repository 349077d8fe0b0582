"""Navigation, market pages and their filters: a small fixed tree over the moving markets."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from venues.limitless.sandbox.desk import Desk, answer, refusal, whole
from venues.limitless.sandbox.markets import Market
from venues.limitless.sandbox.shapes import page

MADE: Final = "2026-01-05T00:00:00.000Z"
ASSETS: Final = ("BTC", "ETH", "SOL", "DOGE", "XRP")
MOVED: Final = {asset.lower(): f"/crypto/{asset.lower()}" for asset in ASSETS}  # old paths answer 301
SORTS: Final = frozenset({"createdAt", "updatedAt", "deadline", "id"})


def _page(number: int, name: str, path: str, asset: str | None) -> dict[str, Any]:
    steps = path.strip("/").split("/")
    return {
        "id": f"00000000-0000-4000-8000-{number:012d}",
        "name": name,
        "slug": steps[-1],
        "fullPath": path,
        "description": f"{name} markets",
        "baseFilter": {"ticker": asset} if asset else {},
        "filterGroups": [
            {
                "name": "Duration",
                "slug": "duration",
                "allowMultiple": True,
                "presentation": "chips",
                "options": [{"label": label, "value": label} for label in ("1-hour", "1-day", "1-week")],
                "source": None,
            }
        ],
        "metadata": {},
        "breadcrumb": [
            {
                "name": step.upper() if n else step.title(),
                "slug": step,
                "path": "/" + "/".join(steps[: n + 1]),
            }
            for n, step in enumerate(steps)
        ],
    }


PAGES: Final = [
    _page(1, "Crypto", "/crypto", None),
    *(_page(n + 2, asset, MOVED[asset.lower()], asset) for n, asset in enumerate(ASSETS)),
]


def _key(number: int, name: str, values: tuple[str, ...]) -> dict[str, Any]:
    key_id = f"10000000-0000-4000-8000-{number:012d}"
    return {
        "id": key_id,
        "name": name.title(),
        "slug": name,
        "type": "multi-select",
        "metadata": {},
        "isSystem": True,
        "createdAt": MADE,
        "updatedAt": MADE,
        "options": [
            {
                "id": f"2000000{number}-0000-4000-8000-{order:012d}",
                "propertyKeyId": key_id,
                "value": value,
                "label": value,
                "sortOrder": order,
                "parentOptionId": None,
                "metadata": {},
                "createdAt": MADE,
                "updatedAt": MADE,
            }
            for order, value in enumerate(values)
        ],
    }


KEYS: Final = [_key(1, "ticker", ASSETS), _key(2, "duration", ("1-hour", "1-day", "1-week", "6-day"))]


def routes(desk: Desk) -> list[web.RouteDef]:
    """The handlers of this module."""
    handlers = Pages(desk)
    return [
        web.get("/navigation", handlers.navigation),
        web.get("/market-pages/by-path", handlers.by_path),
        web.get("/market-pages/{page}/markets", handlers.markets),
        web.get("/property-keys", handlers.keys),
        web.get("/property-keys/{key}", handlers.key),
        web.get("/property-keys/{key}/options", handlers.options),
    ]


class Pages:
    """Handlers; each is named after its route."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def navigation(self, request: web.Request) -> web.Response:
        nodes = [
            {key: page[key] for key in ("id", "name", "slug")}
            | {"path": page["fullPath"], "icon": None, "children": []}
            for page in PAGES
        ]
        return answer([{**nodes[0], "children": nodes[1:]}])

    async def by_path(self, request: web.Request) -> web.Response:
        path = "/" + request.query.get("path", "").strip("/")
        for found in PAGES:
            if found["fullPath"] == path:
                return answer(found)
        moved = MOVED.get(path.strip("/").lower())
        if moved is None:
            raise refusal(404, "Market page not found")
        where = f"/market-pages/by-path?path={quote(moved, safe='')}"
        return web.json_response({}, status=301, headers={"Location": where})

    async def markets(self, request: web.Request) -> web.Response:
        """By page number or by cursor, never both; filters repeat their key."""
        found = next((page for page in PAGES if page["id"] == request.match_info["page"]), None)
        if found is None:
            raise refusal(404, "Market page not found")
        if "page" in request.query and "cursor" in request.query:
            raise refusal(400, "page and cursor are mutually exclusive")
        limit, at_ms = whole(request, "limit", 10, 1, 100), self._desk.now()
        listings = self._selected(request, found, at_ms)
        first = self._first(request, limit)
        shown = [page(self._desk.engine, li, at_ms) for li in listings[first : first + limit]]
        if "cursor" in request.query:
            is_last = first + limit >= len(listings)
            cursor = None if is_last else base64.b64encode(str(first + limit).encode()).decode()
            return answer({"data": shown, "cursor": {"nextCursor": cursor}})
        number, total = first // limit + 1, len(listings)
        pagination = {"page": number, "limit": limit, "total": total, "totalPages": -(-total // limit)}
        return answer({"data": shown, "pagination": pagination})

    def _selected(self, request: web.Request, found: dict[str, Any], at_ms: int) -> list[tuple[Market, ...]]:
        sort = request.query.get("sort", "id")
        if sort.lstrip("-") not in SORTS:
            raise refusal(400, [{"property": "sort", "constraints": "unknown sort"}])
        tickers = {found["baseFilter"].get("ticker"), *request.query.getall("ticker", [])} - {None}
        durations = set(request.query.getall("duration", []))
        chosen = [
            listing
            for listing in self._desk.engine.universe.active(at_ms)
            if (not tickers or listing[0].series.asset in tickers)
            and (not durations or listing[0].series.label in durations)
        ]
        chosen.sort(key=lambda listing: _sort_key(sort.lstrip("-"), listing[0]))
        return chosen[::-1] if sort.startswith("-") else chosen

    def _first(self, request: web.Request, limit: int) -> int:
        cursor = request.query.get("cursor")
        if not cursor:
            return (whole(request, "page", 1, 1, 10**6) - 1) * limit
        try:
            return max(0, int(base64.b64decode(cursor, validate=True)))
        except (binascii.Error, ValueError):
            raise refusal(400, "Invalid cursor") from None

    async def keys(self, request: web.Request) -> web.Response:
        return answer(KEYS)

    async def key(self, request: web.Request) -> web.Response:
        return answer(self._key(request))

    async def options(self, request: web.Request) -> web.Response:
        parent = request.query.get("parentId")
        return answer([o for o in self._key(request)["options"] if parent in (None, o["parentOptionId"])])

    def _key(self, request: web.Request) -> dict[str, Any]:
        found = next((key for key in KEYS if key["id"] == request.match_info["key"]), None)
        if found is None:
            raise refusal(404, "Property key not found")
        return found


def _sort_key(name: str, market: Market) -> tuple[int, int]:
    value = {"deadline": market.expires_ms, "id": market.id}.get(name, market.created_ms)
    return value, market.id
