"""Settings: command line over environment (``VANTA_*``) over ``config.toml`` over defaults.

Invariant: a setting that is unknown or has a bad value is refused with its key, the value and what is
allowed. Secrets are never settings: an account names where its secret lives (``env:NAME``, ``file:PATH``).
"""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tracked account. ``hotkey`` defaults to ``<venue>:<account>``; ``account_size`` is USD."""

    account: str
    hotkey: str | None = None
    account_size: Decimal | None = None
    secrets: dict[str, str] = {}
    options: dict[str, Any] = {}


class VenueSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One venue. ``urls`` maps an endpoint's role (``rest``, ``ws``, ``subgraph``, ...) to its URLs, tried
    in order. ``requests_per_s`` is our own pace; the venue's 429 slows it further."""

    urls: dict[str, list[str]] = {}
    accounts: list[AccountSettings] = []
    poll_interval_s: float = 5.0
    timeout_s: float = 10.0
    requests_per_s: float = 10.0
    options: dict[str, Any] = {}


def read_secret(reference: str, environ: dict[str, str] | None = None) -> str:
    """Return the secret that ``env:NAME`` or ``file:PATH`` points to. Raises ValueError naming it."""
    scheme, _, rest = reference.partition(":")
    values = os.environ if environ is None else environ
    if scheme == "env" and values.get(rest):
        return values[rest].strip()
    if scheme == "file" and Path(rest).is_file():
        return Path(rest).read_text(encoding="utf-8").strip()
    if scheme not in ("env", "file"):
        raise ValueError("a secret must be given as env:NAME or file:PATH, never as itself")
    raise ValueError(f"secret {reference} is not there: set the variable or create the file")
