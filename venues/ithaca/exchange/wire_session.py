"""Routes of logins, linked keys and linked wallets."""

from __future__ import annotations

from typing import Any, Final

from venues.ithaca import signing
from venues.ithaca.exchange.failure import malformed, refuse, unauthorized
from venues.ithaca.exchange.wire import Call, Route, TopLevel


def request_auth(call: Call) -> Any:
    address = call.field("ethAddress", str)
    if len(address) != 42 or not address.startswith("0x"):
        malformed("ethAddress: expected an address")
    return TopLevel(nonce=call.sessions.request_nonce(address, call.now_ms))


def validate_auth(call: Call) -> Any:
    cookie, session = call.sessions.log_in(
        call.field("nonce", str), call.field("signature", str), call.now_ms
    )
    call.set_cookie = cookie
    return call.sessions.wire(session)


def session_info(call: Call) -> Any:
    return call.sessions.wire(call.session())


def log_out(call: Call) -> Any:
    call.session()
    assert call.cookie is not None
    call.sessions.log_out(call.cookie)
    return TopLevel()


def switch(call: Call) -> Any:
    """Act for another wallet from now on; for one's own again by naming it."""
    session, wanted = call.session(), call.field("addr", str)
    if wanted != session.owner and wanted not in call.sessions.managed_by(session.owner):
        refuse("INVALID_ACCOUNT", "this wallet is not managed by you")
    session.address = wanted
    return call.sessions.wire(session)


def linked(call: Call) -> Any:
    """Addresses that may act for the caller's wallet."""
    return sorted(call.sessions.managers.get(call.session().address, set()))


def switch_list(call: Call) -> Any:
    return call.sessions.managed_by(call.session().owner)


def request_link(call: Call) -> Any:
    """Start letting the caller act for the wallet ``addr``."""
    owner, wallet = call.session().owner, call.field("addr", str).lower()
    if owner in call.sessions.managers.get(wallet, set()):
        refuse("INVALID_ACCOUNT", "already linked")
    return call.sessions.request_nonce(owner, call.now_ms, "link wallet", wallet)


def confirm_link(call: Call) -> Any:
    owner, nonce = call.session().owner, call.field("nonce", str)
    challenge = call.sessions.use_nonce(nonce, "link wallet", call.now_ms)
    call.sessions.check(owner, nonce, call.field("signature", str))
    call.sessions.managers.setdefault(challenge.subject, set()).add(owner)
    return "linked"


def unlink_wallet(call: Call) -> Any:
    owner, wallet = call.session().owner, call.field("addr", str).lower()
    call.sessions.managers.get(wallet, set()).discard(owner)
    return "unlinked"


def request_rsa(call: Call) -> Any:
    owner, key = call.session().owner, call.field("rsaPublicKey", str)
    if owner in call.sessions.rsa_keys:
        refuse("INVALID_REQUEST_DATA", "a key is already linked")
    return call.sessions.request_nonce(owner, call.now_ms, "link key", key)


def confirm_rsa(call: Call) -> Any:
    """Both keys sign the same challenge."""
    owner, nonce = call.session().owner, call.field("nonce", str)
    challenge = call.sessions.use_nonce(nonce, "link key", call.now_ms)
    call.sessions.check(owner, nonce, call.field("signature", str))
    proof = call.field("rsaSignature", str)
    if not signing.verify_rsa(challenge.subject, signing.login_message(nonce), proof):
        unauthorized("INVALID_SIGNATURE", "the RSA signature is not this key's")
    call.sessions.rsa_keys[owner] = challenge.subject
    return "linked"


def rsa_key(call: Call) -> Any:
    return call.sessions.rsa_keys.get(call.session().owner)


def unlink_rsa(call: Call) -> Any:
    call.sessions.rsa_keys.pop(call.session().owner, None)
    return "unlinked"


def add_account_data(call: Call) -> Any:
    name, value = call.field("name", str), call.field("value", str)
    call.sessions.data[call.session().address, name] = value
    return None


ROUTES: Final[dict[str, Route]] = {
    "POST /auth/requestAuth": request_auth,
    "POST /auth/validateAuth": validate_auth,
    "GET /auth/getSessionInfo": session_info,
    "POST /auth/logout": log_out,
    "POST /auth/switch": switch,
    "GET /linked_wallets/list": linked,
    "GET /linked_wallets/switch_list": switch_list,
    "POST /linked_wallets/request_link": request_link,
    "POST /linked_wallets/confirm_link": confirm_link,
    "POST /linked_wallets/unlink": unlink_wallet,
    "POST /keys/requestLinkRsaKey": request_rsa,
    "POST /keys/confirmLinkRsaKey": confirm_rsa,
    "GET /keys/getRsaKey": rsa_key,
    "POST /keys/unlink": unlink_rsa,
    "POST /clientapi/addAccountData": add_account_data,
}
