"""Reads an account completely: portfolio, history, orders, executions, markets, books and wallet.

Invariant: portfolio and history of a payload belong together. They are two requests, so the newest page of
the history is read before and after the portfolio until both readings say the same (or the account trades
faster than that: then what was read last is given).
"""

from __future__ import annotations

import threading
from typing import Final

from runtime.clock import Clock
from runtime.settings import AccountSettings, VenueSettings, read_secret
from venues.errors import Broken, Rejected
from venues.http import Http
from venues.limitless import schemas
from venues.limitless.api import Api, Login
from venues.limitless.gather import (
    MAX_READ,
    Kept,
    MarketReader,
    Memory,
    OrderReader,
    Seen,
    WalletReader,
    is_before,
    see,
)
from venues.limitless.signing import Token
from venues.model import Payload
from venues.numbers import decode

HISTORY_PAGE: Final = 100  # the venue's largest
SAME_TRIES: Final = 4
PROFILE_TTL_MS: Final = 300_000
NODE_TIMEOUT_S: Final = 5.0


class LimitlessClient:
    """See ``venues.venue.VenueClient``. ``api`` has every endpoint by itself."""

    def __init__(self, settings: VenueSettings, clock: Clock) -> None:
        self._clock = clock
        rest = Http(
            settings.urls.get("rest", []),
            clock=clock,
            timeout_s=settings.timeout_s,
            requests_per_s=settings.requests_per_s,
        )
        urls = settings.urls.get("rpc")
        node = Http(urls, clock=clock, timeout_s=NODE_TIMEOUT_S) if urls else None
        self.api = Api(rest, clock)
        self._orders, self._markets = OrderReader(self.api, clock), MarketReader(self.api, clock)
        self._wallet = WalletReader(node, clock)
        self._memories: dict[str, Memory] = {}
        self._lock = threading.Lock()

    def fetch(self, account: AccountSettings, since_ms: int | None) -> Payload:
        """See ``VenueClient.fetch``. Without credentials only the public portfolio can be read.

        ``account.options``: ``address`` where the account's name is not its address, ``markets`` for slugs
        whose orders are to be read although nothing is held there.
        """
        memory = self._memory(account)
        try:
            return self._fetch(account, memory, since_ms)
        except Rejected as error:
            if error.status in (401, 403):
                with self._lock:  # the secrets may have been replaced: read them again next time
                    self._memories.pop(account.account, None)
            raise

    def close(self) -> None:
        """Nothing to do: connections belong to the threads that opened them."""

    def _fetch(self, account: AccountSettings, memory: Memory, since_ms: int | None) -> Payload:
        parts: dict[str, bytes] = {}
        if not memory.login.is_public:
            parts["profile"] = self._profile(memory)
        seen = self._read_together(memory, since_ms)
        observed_ms = self._clock.now_ms()
        parts |= seen.parts
        if not memory.login.is_public:
            parts |= self._orders.read(memory, seen, since_ms, account.options.get("markets", ()))
        ordered = {part.removeprefix("orders:") for part in parts if part.startswith("orders:")}
        recent = set(list(seen.named)[:MAX_READ])
        parts |= self._markets.pages(recent | ordered, seen.settled)
        held = {row.market.slug for row in seen.portfolio.clob}
        parts |= self._markets.books((held | memory.live_slugs) - seen.settled)
        parts |= self._wallet.read(memory, seen)
        return Payload(
            venue="limitless",
            account=account.account,
            observed_ms=observed_ms,
            since_ms=since_ms,
            parts=parts,
        )

    def _memory(self, account: AccountSettings) -> Memory:
        with self._lock:
            if account.account not in self._memories:
                address = str(account.options.get("address", account.account))
                self._memories[account.account] = Memory(_login(account), address)
            return self._memories[account.account]

    def _profile(self, memory: Memory) -> bytes:
        """The caller's profile. Raises Rejected when the credentials are somebody else's."""
        now_ms = self._clock.now_ms()
        if memory.profile is None or memory.profile.until_ms <= now_ms:
            body = self.api.get_current_profile(memory.login)
            profile = decode("profile", body, schemas.profile)
            owned = {profile.account.lower(), (profile.smart_wallet or "").lower()}
            if memory.address.startswith("0x") and memory.address.lower() not in owned:
                raise Rejected(f"the credentials given for {memory.address} belong to {profile.account}")
            memory.profile = Kept(body, now_ms + PROFILE_TTL_MS)
        return memory.profile.body

    def _read_together(self, memory: Memory, since_ms: int | None) -> Seen:
        if memory.login.is_public:
            return see({"positions": self.api.get_public_positions(memory.address)})
        newest = self.api.get_user_history(memory.login, "", HISTORY_PAGE)
        for _ in range(SAME_TRIES):
            parts = self._history(memory.login, newest, since_ms)
            parts["positions"] = self.api.get_positions(memory.login)
            again = self.api.get_user_history(memory.login, "", HISTORY_PAGE)
            if _facts(again) == _facts(newest):
                break
            newest = again
        return see(parts)

    def _history(self, login: Login, body: bytes, since_ms: int | None) -> dict[str, bytes]:
        """Pages from the newest back to ``since_ms``. Raises Broken when paging does not advance."""
        parts: dict[str, bytes] = {}
        cursors: set[str] = set()
        while True:
            part = f"history:{len(parts)}"
            page = decode(part, body, schemas.page_cursor)
            if body in parts.values():
                raise Broken(f"{part}.data", "the next page", "a page that was read already")
            parts[part] = body
            if not page.next_cursor or any(is_before(row.block_timestamp, since_ms) for row in page.data):
                return parts
            if page.next_cursor in cursors or not page.data:
                raise Broken(f"{part}.nextCursor", "a cursor that advances", repr(page.next_cursor[:40]))
            cursors.add(page.next_cursor)
            body = self.api.get_user_history(login, page.next_cursor, HISTORY_PAGE)


def _facts(body: bytes) -> list[schemas.PageRow]:
    """What a page says happened; details of its markets may differ from one reading to the next."""
    return decode("history:0", body, schemas.page_cursor).data


def _login(account: AccountSettings) -> Login:
    """The account's credentials. Raises Rejected naming a secret that is not there."""
    try:
        secrets = {name: read_secret(reference) for name, reference in account.secrets.items()}
    except ValueError as error:
        raise Rejected(str(error)) from None
    token = None
    if "hmac_token_id" in secrets and "hmac_secret" in secrets:
        token = Token(secrets["hmac_token_id"], secrets["hmac_secret"])
    return Login(token, secrets.get("api_key"), secrets.get("identity"))
