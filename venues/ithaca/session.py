"""Logins: one session per account, shared by all threads, renewed when the venue no longer knows it.

Rule 1: at most one login per account is under way; whoever finds the session refused while another thread
has already renewed it uses the new one.
Rule 2: a nonce is signed once. The session is a cookie; the body's token is for the socket only.
Rule 3: secrets are read when a login needs them and are not kept.
"""

from __future__ import annotations

import re
import threading
from typing import Final

import msgspec

from runtime.settings import AccountSettings, read_secret
from venues.errors import Broken, Rejected
from venues.http import Answer, Http
from venues.ithaca import signing
from venues.ithaca.transport import ask
from venues.numbers import decode

NONCE_TRIES: Final = 3  # a nonce may have expired on the way
COOKIE_STARTS: Final = re.compile(r", (?=[^;,=\s]+=)")  # several Set-Cookie headers come joined by commas


class _Challenge(msgspec.Struct):
    nonce: str


class _Client(msgspec.Struct, rename="camel"):
    auth_token: str
    eth_address: str


class _Welcome(msgspec.Struct):
    payload: _Client


_challenge: Final = msgspec.json.Decoder(_Challenge)
_welcome: Final = msgspec.json.Decoder(_Welcome)


class Login(msgspec.Struct, frozen=True):
    """A session. ``cookie`` is the Cookie header, ``token`` what the socket is given."""

    cookie: str
    token: str

    def __repr__(self) -> str:
        return "Login(...)"  # a session is a secret


class Logins:
    """The sessions of all accounts of one client."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._locks: dict[str, threading.Lock] = {}
        self._logins: dict[str, Login] = {}
        self._lock = threading.Lock()

    def of(self, account: AccountSettings, refused: Login | None = None) -> Login:
        """The account's session, logging in when there is none or when it is the ``refused`` one.

        Raises Rejected for missing or wrong credentials, Retryable and Broken as any request.
        """
        with self._lock:
            lock = self._locks.setdefault(account.account, threading.Lock())
        with lock:
            known = self._logins.get(account.account)
            if known is None or known == refused:
                known = self._log_in(account)
                self._logins[account.account] = known
            return known

    def forget(self, account: AccountSettings) -> None:
        """Drop the session without telling the venue."""
        self._logins.pop(account.account, None)

    def _log_in(self, account: AccountSettings) -> Login:
        for attempt in range(NONCE_TRIES):
            try:
                return self._try(account)
            except Rejected as error:
                if error.code != "INVALID_NONCE" or attempt == NONCE_TRIES - 1:
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _try(self, account: AccountSettings) -> Login:
        address = _login_address(account)
        challenge = ask(self._http, "POST", "/auth/requestAuth", body={"ethAddress": address})
        nonce = decode("requestAuth", challenge.body, _challenge).nonce
        signature = _signature(account, nonce)
        body = {"nonce": nonce, "signature": signature}
        answer = ask(self._http, "POST", "/auth/validateAuth", body=body)
        return self._welcome(account, address, answer)

    def _welcome(self, account: AccountSettings, address: str, answer: Answer) -> Login:
        cookie = cookie_of(answer.headers.get("Set-Cookie", ""))
        if not cookie:
            raise Broken("validateAuth", "a session cookie", "none")
        client = decode("validateAuth", answer.body, _welcome).payload
        if _is_managed(account):
            wanted = {"addr": account.account.lower()}
            switched = ask(self._http, "POST", "/auth/switch", body=wanted, cookie=cookie)
            client = decode("switch", switched.body, _welcome).payload
            cookie = cookie_of(switched.headers.get("Set-Cookie", "")) or cookie
        if client.eth_address.lower() != account.account.lower():
            raise Rejected(f"the session acts for {client.eth_address}, not for {account.account}")
        return Login(cookie, client.auth_token)


def cookie_of(header: str) -> str:
    """The Cookie header that answers one or several (joined) Set-Cookie headers."""
    pairs = (cookie.partition(";")[0].strip() for cookie in COOKIE_STARTS.split(header))
    return "; ".join(pair for pair in pairs if "=" in pair)


def _is_managed(account: AccountSettings) -> bool:
    """True when the key is another wallet's that may act for this one."""
    return bool(account.options.get("managed", False))


def _secret(account: AccountSettings, name: str) -> str | None:
    if name not in account.secrets:
        return None
    try:
        return read_secret(account.secrets[name])
    except (ValueError, OSError) as error:
        raise Rejected(f"account {account.account}: {error}") from None


def _login_address(account: AccountSettings) -> str:
    """The address that logs in, checksummed when an Ethereum key says it."""
    key = _secret(account, "private_key")
    if key is None:
        return str(account.options.get("owner", account.account))
    try:
        address = signing.address_of(key)
    except ValueError as error:
        raise Rejected(f"account {account.account}: {error}") from None
    if not _is_managed(account) and address.lower() != account.account.lower():
        raise Rejected(f"account {account.account}: its private key belongs to {address}")
    return address


def _signature(account: AccountSettings, nonce: str) -> str:
    """The nonce signed by the RSA key where one is configured, else by the Ethereum key."""
    message = signing.login_message(nonce)
    rsa = _secret(account, "rsa_private_key")
    try:
        if rsa is not None:
            return signing.sign_rsa(rsa, message)
        key = _secret(account, "private_key")
        if key is not None:
            return signing.sign(key, message)
    except ValueError as error:
        raise Rejected(f"account {account.account}: {error}") from None
    raise Rejected(f"account {account.account}: no private_key or rsa_private_key is configured")
