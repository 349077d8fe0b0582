"""The live stream: token validation, heartbeats, auctions, and reports of one's own orders.

Frames go out as binary UTF-8 JSON, as the venue sends them; text and binary are both accepted. There are no
sequence numbers and no replay: whoever reconnects reads its state again.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

import orjson
from aiohttp import WSMsgType, web

from venues.ithaca.exchange import views
from venues.ithaca.exchange.ledger import Account
from venues.ithaca.exchange.sessions import Session
from venues.ithaca.exchange.wire import Exchange

TICK_S: Final = 0.1  # how often the world is looked at while somebody listens
MAX_FRAME: Final = 64 * 1024
SUBSCRIPTIONS: Final = frozenset({"SUBSCRIBE_ALL_LINKED_ACCOUNTS", "subscribe_linked_accounts"})


def add_socket(app: web.Application, exchange: Exchange) -> None:
    """Serve ``/wss``."""

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=MAX_FRAME)
        await socket.prepare(request)
        listener = _Listener(exchange, socket)
        ticking = asyncio.create_task(listener.tick())
        try:
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await listener.receive(message.data)
        finally:
            ticking.cancel()
            with suppress(asyncio.CancelledError):
                await ticking
        return socket

    app.router.add_get("/wss", handle)


class _Listener:
    """One connection."""

    def __init__(self, exchange: Exchange, socket: web.WebSocketResponse) -> None:
        self._exchange, self._socket = exchange, socket
        self._session: Session | None = None
        self._follows_linked = False
        self._seen: dict[str, int] = {}  # address → last report sent
        self._auction_ms = self._last_auction_ms(exchange.now_ms())

    async def receive(self, data: str | bytes) -> None:
        """Answer one frame."""
        try:
            frame = orjson.loads(data)
        except orjson.JSONDecodeError:
            frame = None
        action = frame.get("action") if isinstance(frame, dict) else None
        if action == "VALIDATE_AUTH_TOKEN":
            await self._validate(frame.get("payload"))
        elif action == "HEARTBEAT_REQUEST":
            await self._send("HEARTBEAT_RESPONSE", None)
        elif action in SUBSCRIPTIONS:
            self._follows_linked = True
        else:
            await self._send("UNKNOWN", None, error=True, cause=f"unexpected action {str(action)[:40]}")

    async def tick(self) -> None:
        """Tell of auctions and of what changed, until cancelled or the connection is gone."""
        with suppress(ConnectionError):
            while not self._socket.closed:
                await self._tell(self._exchange.now_ms())
                await asyncio.sleep(TICK_S)

    async def _validate(self, payload: Any) -> None:
        token = payload.get("authToken") if isinstance(payload, dict) else payload
        session = self._exchange.sessions.by_token(str(token), self._exchange.now_ms())
        if session is None:
            await self._send("VALIDATE_AUTH_TOKEN_RESPONSE", None, error=True, cause="INVALID_TOKEN")
            return
        self._session = session
        self._seen = {account.address: account.reported for account in self._exchange.world.accounts}
        await self._send("VALIDATE_AUTH_TOKEN_RESPONSE", {"clientId": self._account(session).client_id})

    async def _tell(self, now_ms: int) -> None:
        if self._session is None:
            return
        auction_ms = self._last_auction_ms(now_ms)
        if auction_ms <= self._auction_ms:
            return
        self._auction_ms = auction_ms
        await self._send("AUCTION_STARTED", {"auctionTime": auction_ms})
        changed = False
        for account in self._followed(self._session):
            changed = await self._report(account, now_ms) or changed
        await self._send("AUCTION_FINISHED", {"auctionTime": auction_ms})
        await self._send("MM_ORDERBOOK_UPDATED", None)
        if changed:
            await self._send("FUNDLOCK_UPDATED", None)

    async def _report(self, account: Account, now_ms: int) -> bool:
        last = self._seen.get(account.address, account.reported)
        fresh = [order_id for number, order_id in account.reports if number > last]
        self._seen[account.address] = account.reported
        for order_id in dict.fromkeys(fresh):
            row = views.order(account.by_id[order_id], account.client_id, now_ms)
            await self._send("EXEC_REPORT", {**row, "totalOpenOrdersCount": len(account.live)})
        return bool(fresh)

    def _followed(self, session: Session) -> list[Account]:
        addresses = [session.address]
        if self._follows_linked:
            addresses += self._exchange.sessions.managed_by(session.owner)
        found = (self._exchange.world.by_address.get(address) for address in dict.fromkeys(addresses))
        return [account for account in found if account is not None]

    def _account(self, session: Session) -> Account:
        return self._exchange.sessions.account_of(session)

    def _last_auction_ms(self, now_ms: int) -> int:
        engine = next(iter(self._exchange.world.engines.values()))
        return engine.auction_ms(now_ms) - engine.pace_ms(now_ms)

    async def _send(self, kind: str, payload: Any, *, error: bool = False, cause: str = "") -> None:
        frame = {"error": error, "cause": cause, "details": "", "responseType": kind, "payload": payload}
        await self._socket.send_bytes(orjson.dumps(frame))
