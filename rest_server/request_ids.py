"""Every request has an id: the client's own where it is harmless, else a new one.

It stands in the answer's header, in every error body and in the access log.
"""

from __future__ import annotations

import itertools
import re
import secrets
from typing import Final

from flask import g

HEADER: Final = "X-Request-ID"
_HARMLESS: Final = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")  # nothing that could break a log line or a header

_PREFIX: Final = secrets.token_hex(3)
_numbers = itertools.count(1)


def choose(offered: str | None) -> str:
    """The offered id when it is harmless, else a new one."""
    return offered if offered and _HARMLESS.match(offered) else new()


def new() -> str:
    """An id that no other request has: 16 hexadecimal digits, the first six drawn once per process."""
    return f"{_PREFIX}{next(_numbers):010x}"


def current() -> str:
    """The id of the request being answered."""
    request_id: str = g.request_id
    return request_id
