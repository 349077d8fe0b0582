"""Who is asking: the key of the ``Authorization`` header, and nothing else.

Rule 1: ``Authorization: Bearer <key>``, split at the first space; the key is taken as it is, never trimmed.
A key in the query string or the body is not looked at (it would end up in logs).
Rule 2: no key, a wrong key, an expired and a revoked key are answered exactly alike.
Rule 3: this happens before anything else is done for the request.
"""

from __future__ import annotations

from typing import Final

from flask import g, request

from rest_server.addresses import rate_unit
from rest_server.errors import Problem, unauthorized
from rest_server.services import services
from runtime.api_keys import ApiKey

SCOPE: Final = "rest"


def presented() -> str | None:
    """The key in the request, or None when there is none in the right form."""
    scheme, space, secret = request.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if not space or scheme.lower() != "bearer":
        return None
    return str(secret).encode("latin-1").decode("utf-8", "replace")  # WSGI gives header bytes as latin-1


def client_address() -> str:
    """The client's address as far as it can be believed."""
    environ = request.environ
    peer = environ.get("REMOTE_ADDR", "")
    return services().addresses.client(peer, environ.get("HTTP_X_FORWARDED_FOR"))


def require_key() -> None:
    """Let only a good key pass, within its limits. Raises Problem 401, 403 or 429."""
    here = services()
    address = rate_unit(client_address())
    secret = presented()
    key = here.keys.table.find(secret) if secret is not None else None
    if key is None:
        g.allowance = here.limiter.take_failed(address)
        raise unauthorized()
    g.allowance = here.limiter.take_key(key, address)
    if not key.allows(SCOPE):
        raise Problem(403, "This API key may not be used for REST", "scope_missing")
    g.key = key


def accept_key() -> None:
    """Count an open request; a key that came with it must be good. Raises Problem 401, 403 or 429."""
    if "HTTP_AUTHORIZATION" in request.environ:
        require_key()
    else:
        here = services()
        g.allowance = here.limiter.take_open(rate_unit(client_address()))


def current_key() -> ApiKey:
    """The key that passed ``require_key``."""
    key: ApiKey = g.key
    return key


def optional_key() -> ApiKey | None:
    """The key that passed, or None on an open route."""
    key: ApiKey | None = g.get("key")
    return key
