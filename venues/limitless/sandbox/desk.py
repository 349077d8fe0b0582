"""What every handler of the sandbox shares: the engine brought up to now, credentials, answers, refusals."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from runtime.clock import Clock
from venues.limitless.sandbox.accounts import Account
from venues.limitless.sandbox.engine import Engine
from venues.limitless.sandbox.markets import Market
from venues.limitless.signing import SKEW_MS, parse_iso_ms, signature

NAMES: Final = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}
HMAC_HEADERS: Final = ("lmts-api-key", "lmts-timestamp", "lmts-signature")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answer(data: Any, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.json_response(data, status=status)


def refusal(status: int, message: Any) -> web.HTTPException:
    """The venue's error envelope, to be raised."""
    body = json.dumps({"message": message, "error": NAMES.get(status, "Error"), "statusCode": status})
    kinds = {
        400: web.HTTPBadRequest,
        401: web.HTTPUnauthorized,
        403: web.HTTPForbidden,
        404: web.HTTPNotFound,
    }
    return kinds[status](text=body, content_type="application/json")


class Desk:
    """The engine and the clock behind the handlers."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.engine, self._clock = engine, clock

    def now(self) -> int:
        """Bring the world up to now and return the time in ms."""
        now_ms = self._clock.now_ms()
        self.engine.advance(now_ms)
        return now_ms

    def market(self, request: web.Request, *, clob: bool = False) -> Market:
        """The market a path names; refuses unknown ones, and groups and AMMs where a book is needed."""
        found = self.listing(request)
        if len(found) > 1 or (clob and found[0].is_amm):
            raise refusal(400, "Market is not a CLOB market")
        return found[0]

    def listing(self, request: web.Request) -> tuple[Market, ...]:
        """The market, or the children of the group, that a path names. Not listed yet is not found."""
        now_ms = self.now()
        found = self.engine.universe.find(request.match_info["market"], now_ms)
        if not found or found[0].created_ms > now_ms:
            raise refusal(404, "Market not found")
        return found

    async def account(self, request: web.Request, *, hmac_only: bool = False) -> Account:
        """Who signed the request. Refuses with 401 as the venue does."""
        self.now()
        headers = request.headers
        if any(name in headers for name in HMAC_HEADERS):
            return self._signed(request.method, request.raw_path, headers, await request.read())
        if hmac_only:
            raise refusal(401, "HMAC authentication is required")
        if "x-api-key" in headers:
            return self._by_secret(headers["x-api-key"], lambda account: account.api_key, "Invalid API key")
        return self.identified(request)

    def identified(self, request: web.Request) -> Account:
        """Who the identity token belongs to."""
        scheme, _, token = request.headers.get("identity", "").partition(" ")
        if scheme != "Bearer":
            raise refusal(401, "Unauthorized")
        return self._by_secret(token, lambda account: account.identity, "Invalid identity token")

    def connected(self, request: web.Request) -> Account | None:
        """Who opens a stream: None without credentials (public channels need none)."""
        headers = request.headers
        if any(name in headers for name in HMAC_HEADERS):
            return self._signed("GET", request.raw_path, headers, b"")
        if "x-api-key" in headers:
            return self._by_secret(headers["x-api-key"], lambda account: account.api_key, "Invalid API key")
        return None

    def find(self, address: str) -> Account | None:
        """The account with this address, its own or its smart wallet's."""
        wanted = address.lower()
        for account in self.engine.accounts:
            if wanted in (account.address.lower(), (account.smart_wallet or "").lower()):
                return account
        return None

    def _by_secret(self, given: str, secret_of: Callable[[Account], str], message: str) -> Account:
        for account in self.engine.accounts:
            if account.access != "public" and hmac.compare_digest(
                given.encode(), secret_of(account).encode()
            ):
                return account
        raise refusal(401, message)

    def _signed(self, method: str, target: str, headers: Any, body: bytes) -> Account:
        token_id, timestamp, given = (headers.get(name, "") for name in HMAC_HEADERS)
        account = next((a for a in self.engine.accounts if a.token.token_id == token_id), None)
        if account is None or account.access == "public":
            raise refusal(401, "Invalid API token")
        try:
            at_ms = parse_iso_ms(timestamp)
        except ValueError:
            raise refusal(401, "Invalid timestamp") from None
        if abs(at_ms - self._clock.now_ms()) > SKEW_MS:
            raise refusal(401, "Request timestamp expired")
        for candidate in targets(target):
            expected = signature(account.token.secret, timestamp, method, candidate, body)
            if hmac.compare_digest(expected.encode(), given.encode()):
                return account
        raise refusal(401, "Invalid signature")


def targets(raw: str) -> tuple[str, ...]:
    """The request target, and as it was before an HTTP library undid some of its quoting.

    The venue's own SDK signs ``?path=%2Fcrypto`` and its library then sends ``?path=/crypto``.
    """
    path, mark, query = raw.partition("?")
    if not mark:
        return (raw,)
    return raw, f"{path}?{urlencode(parse_qsl(query, keep_blank_values=True))}"


def whole(request: web.Request, name: str, default: int, low: int, high: int) -> int:
    """An integer query parameter between bounds. Refuses with the venue's list of field errors."""
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isdecimal() or not low <= int(text) <= high:
        constraint = f"{name} must be an integer between {low} and {high}"
        raise refusal(400, [{"property": name, "constraints": constraint}])
    return int(text)


def human(raw: int) -> str:
    """Raw units as a plain decimal: 10752000 is ``10.752``."""
    sign, digits = ("-" if raw < 0 else ""), f"{abs(raw) // 1_000_000}.{abs(raw) % 1_000_000:06d}"
    return sign + digits.rstrip("0").rstrip(".")
