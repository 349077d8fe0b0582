"""Logins: nonces that are signed once, sessions that expire, linked keys and wallets.

Invariant: a nonce is used at most once, by the address that asked for it; a session acts for exactly one
account at a time.
"""

from __future__ import annotations

import secrets
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from venues.ithaca import signing
from venues.ithaca.exchange.failure import Failure, refuse, unauthorized
from venues.ithaca.exchange.ledger import Account
from venues.ithaca.exchange.world import World

COOKIE: Final = "SESSION"
NONCE_TTL_MS: Final = 5 * 60_000
SESSION_TTL_MS: Final = 30 * 60_000
KEPT: Final = 10_000  # nonces and sessions remembered at most


@dataclass(slots=True)
class Session:
    """A login. ``address`` is the account acted for, ``owner`` the one that logged in."""

    token: str
    owner: str
    address: str
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Nonce:
    """A challenge: who asked for it, what for, and until when it may be answered."""

    address: str
    purpose: str
    expires_ms: int
    subject: str = ""


class Sessions:
    """Who is logged in, which RSA keys are linked, and who manages whose wallet."""

    def __init__(self, world: World, ttl_ms: int = SESSION_TTL_MS) -> None:
        self._world, self.ttl_ms = world, ttl_ms
        self._nonces: OrderedDict[str, Nonce] = OrderedDict()
        self._sessions: OrderedDict[str, Session] = OrderedDict()  # by cookie
        self._by_token: dict[str, Session] = {}
        self.rsa_keys: dict[str, str] = {}  # address → base64 DER public key
        self.managers: dict[str, set[str]] = {}  # wallet → addresses that may act for it
        self.data: dict[tuple[str, str], str] = {}
        self.logins = 0

    def request_nonce(self, address: str, now_ms: int, purpose: str = "login", subject: str = "") -> str:
        """A fresh challenge for ``address``."""
        nonce = str(uuid.uuid4())
        self._nonces[nonce] = Nonce(address.lower(), purpose, now_ms + NONCE_TTL_MS, subject)
        while len(self._nonces) > KEPT:
            self._nonces.popitem(last=False)
        return nonce

    def log_in(self, nonce: str, signature: str, now_ms: int) -> tuple[str, Session]:
        """Answer a login challenge: ``(cookie value, session)``. Raises Failure."""
        challenge = self.use_nonce(nonce, "login", now_ms)
        self.check(challenge.address, nonce, signature)
        if challenge.address not in self._world.by_address:
            refuse("UNKNOWN_ETH_ADDRESS", "no deposit has been made yet")
        session = Session(str(uuid.uuid4()), challenge.address, challenge.address, now_ms + self.ttl_ms)
        cookie = secrets.token_urlsafe(24)
        self._sessions[cookie] = session
        self._by_token[session.token] = session
        self.logins += 1
        while len(self._sessions) > KEPT:
            _, oldest = self._sessions.popitem(last=False)
            self._by_token.pop(oldest.token, None)
        return cookie, session

    def use_nonce(self, nonce: str, purpose: str, now_ms: int) -> Nonce:
        """Take a challenge out of the list. Raises Failure when it is not there (any more)."""
        challenge = self._nonces.pop(nonce, None)
        if challenge is None or challenge.purpose != purpose or challenge.expires_ms < now_ms:
            unauthorized("INVALID_NONCE", "the nonce is unknown, used or too old")
        return challenge

    def check(self, address: str, nonce: str, signature: str) -> None:
        """Raise Failure unless ``signature`` is ``address``'s (or its linked RSA key's) of the nonce."""
        message = signing.login_message(nonce)
        if signature.startswith(signing.RSA_PREFIX):
            key = self.rsa_keys.get(address)
            if key is not None and signing.verify_rsa(key, message, signature):
                return
        elif signing.recover(message, signature) == address:
            return
        unauthorized("INVALID_SIGNATURE", "the signature is not this address's")

    def find(self, cookie: str | None, now_ms: int) -> Session:
        """The session of a cookie. Raises Failure 401 when there is none or it has expired."""
        session = self._sessions.get(cookie or "")
        if session is None or session.expires_ms < now_ms:
            unauthorized()
        return session

    def by_token(self, token: str, now_ms: int) -> Session | None:
        """The session of an authToken, as the socket is given it."""
        session = self._by_token.get(token)
        return session if session is not None and session.expires_ms >= now_ms else None

    def log_out(self, cookie: str) -> None:
        """End a session."""
        session = self._sessions.pop(cookie)
        self._by_token.pop(session.token, None)

    def end_all(self) -> None:
        """End every session at once, as a restart of the venue does."""
        self._sessions.clear()
        self._by_token.clear()

    def managed_by(self, address: str) -> list[str]:
        """Wallets that ``address`` may act for."""
        return sorted(wallet for wallet, managers in self.managers.items() if address in managers)

    def account_of(self, session: Session) -> Account:
        """The account a session acts for."""
        account = self._world.by_address.get(session.address)
        if account is None:
            raise Failure(404, "UNKNOWN_ETH_ADDRESS", "the wallet has no account")
        return account

    def wire(self, session: Session) -> dict[str, Any]:
        """The session as the venue describes it."""
        row: dict[str, Any] = {
            "authToken": session.token,
            "clientId": self.account_of(session).client_id,
            "ethAddress": session.address,
            "riskScoreValidationStatus": "PENDING",
            "accountInfos": {},
        }
        if session.owner != session.address:
            row["origAddr"] = session.owner
        return row
