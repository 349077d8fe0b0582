"""The format of the key file, and the table of keys that one valid file makes.

Rule 1: an entry that is not fully understood grants nothing.
Rule 2: secrets are held as SHA-256 only; what is shown, logged or counted is the id (first 8 hex of it).
Rule 3: a table is immutable; messages name users and reasons, never a key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from runtime.clock import Clock, SystemClock

LEGACY_TIER: Final = 100  # "user": "keystring" means this tier
SCOPES: Final = frozenset({"rest", "ws", "trade"})  # a key without "scopes" may use all of them
FILE_BYTES_MAX: Final = 4 * 1024 * 1024  # about 40 000 keys; anything longer is not a key file

PLACEHOLDER: Final = "REPLACE_WITH"  # api_keys.json.example is public, so its keys open nothing
EXPIRES_MS_MAX: Final = 253_402_300_799_999  # the end of the year 9999

_FIELDS = frozenset({"key", "key_sha256", "tier", "label", "expires", "scopes", "trade_pairs", "quota"})
_QUOTA_FIELDS = frozenset({"requests", "bytes", "messages"})

TradePairs = Literal["all", "vanta"]


class KeyFileError(ValueError):
    """The key file as a whole cannot be used; the text says why and never quotes its content."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What a key may use per UTC day; None is "as the server's settings say"."""

    requests: int | None = None
    bytes: int | None = None
    messages: int | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key's rights. ``id`` is safe to log; ``expires_ms`` is the first moment it no longer works."""

    id: str
    user: str
    tier: int
    label: str | None = None
    expires_ms: int | None = None
    scopes: frozenset[str] = SCOPES
    trade_pairs: TradePairs = "all"
    quota: Quota = Quota()

    def allows(self, scope: str) -> bool:
        """Whether the key may be used for ``scope`` (``rest``, ``ws`` or ``trade``)."""
        return scope in self.scopes


class KeyTable:
    """All keys of one valid file. ``warnings`` name the entries that were refused, never their keys."""

    def __init__(
        self,
        keys: Mapping[bytes, ApiKey] | None = None,
        warnings: tuple[str, ...] = (),
        clock: Clock | None = None,
    ) -> None:
        self._keys = dict(keys or {})
        self._by_id = {key.id: key for key in self._keys.values()}
        self._clock = clock or SystemClock()
        self.warnings = warnings

    def find(self, secret: str) -> ApiKey | None:
        """The key with this secret, or None when there is none or it has expired (constant time)."""
        digest = digest_of(secret)
        for known in (digest,) if digest in self._keys else ():
            if hmac.compare_digest(known, digest):
                return self._unexpired(self._keys[known])
        return None

    def get(self, key_id: str) -> ApiKey | None:
        """The key with this id, or None when there is none or it has expired."""
        key = self._by_id.get(key_id)
        return None if key is None else self._unexpired(key)

    def without_expired(self) -> KeyTable:
        """This table, or a smaller one when a key's time has come."""
        kept = {digest: key for digest, key in self._keys.items() if self._unexpired(key)}
        return self if len(kept) == len(self._keys) else KeyTable(kept, self.warnings, self._clock)

    def _unexpired(self, key: ApiKey) -> ApiKey | None:
        return None if key.expires_ms is not None and key.expires_ms <= self._clock.now_ms() else key

    def __iter__(self) -> Iterator[ApiKey]:
        return iter(self._keys.values())

    def __len__(self) -> int:
        return len(self._keys)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyTable) and self._keys == other._keys

    def __hash__(self) -> int:
        return hash(frozenset(self._keys))


def digest_of(secret: str) -> bytes:
    """SHA-256 of the secret's UTF-8 bytes (lone surrogates included, so that no input raises)."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def key_id_of(secret: str) -> str:
    """The id under which this secret appears in logs, metrics and usage."""
    return digest_of(secret).hex()[:8]


def parse(content: bytes, clock: Clock | None = None) -> KeyTable:
    """Read a key file's bytes. Raises KeyFileError; a single bad entry is only a warning."""
    keys: dict[bytes, ApiKey] = {}
    warnings: list[str] = []
    for user, entry in parse_document(content).items():
        try:
            digest, key, notes = _read_entry(user, entry)
        except ValueError as error:
            warnings.append(f"key of user {user!r} refused: {error}")
            continue
        warnings.extend(f"key of user {user!r}: {note}" for note in notes)
        if digest in keys:
            warnings.append(
                f"users {keys[digest].user!r} and {user!r} have the same key; the last one counts"
            )
        keys[digest] = key
    return KeyTable(keys, tuple(warnings), clock)


def parse_document(content: bytes) -> dict[str, Any]:
    """The file's JSON object as it stands. Raises KeyFileError."""
    try:
        document = json.loads(content.decode("utf-8"), object_pairs_hook=_unique)
    except UnicodeDecodeError:
        raise KeyFileError("the key file is not UTF-8") from None
    except RecursionError:
        raise KeyFileError("the key file is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise KeyFileError(f"the key file is not JSON (line {error.lineno}, column {error.colno})") from None
    except KeyFileError:
        raise
    except ValueError:
        raise KeyFileError("the key file holds a number that is too long") from None
    if not isinstance(document, dict):
        raise KeyFileError("the key file must hold one JSON object: user → key")
    return document


def read_file(path: Path) -> bytes:
    """The file's bytes. Raises KeyFileError when it is missing, unreadable, special or far too long."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO must not block us
    except FileNotFoundError:
        raise KeyFileError("the key file is missing") from None
    except OSError as error:
        raise KeyFileError(f"the key file cannot be opened: {error.strerror}") from None
    try:
        return _read_regular(descriptor)
    except OSError as error:
        raise KeyFileError(f"the key file cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)


def _read_regular(descriptor: int) -> bytes:
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        raise KeyFileError("the key file is not a regular file")
    if facts.st_size > FILE_BYTES_MAX:
        raise KeyFileError(f"the key file is longer than {FILE_BYTES_MAX} bytes")
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read(FILE_BYTES_MAX)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise KeyFileError(f"the key file names {name!r} twice")
        found[name] = value
    return found


def _read_entry(user: str, entry: object) -> tuple[bytes, ApiKey, list[str]]:
    """One user's digest, rights and notes. Raises ValueError with the reason."""
    if isinstance(entry, str):
        entry = {"key": entry, "tier": LEGACY_TIER}
    if not isinstance(entry, dict):
        raise ValueError("an entry is a key string or an object")
    digest = _read_digest(entry)
    key = ApiKey(
        id=digest.hex()[:8],
        user=user,
        tier=_read_tier(entry.get("tier", 0)),
        label=_read_label(entry.get("label")),
        expires_ms=read_expiry(entry.get("expires")),
        scopes=_read_scopes(entry.get("scopes")),
        trade_pairs=_read_trade_pairs(entry.get("trade_pairs", "all")),
        quota=_read_quota(entry.get("quota")),
    )
    return digest, key, [f"unknown field {name!r} ignored" for name in entry if name not in _FIELDS]


def _read_digest(entry: Mapping[str, Any]) -> bytes:
    secret, hashed = entry.get("key"), entry.get("key_sha256")
    if secret is not None and (not isinstance(secret, str) or not secret):
        raise ValueError("key must be a non-empty string")
    if isinstance(secret, str) and secret.startswith(PLACEHOLDER):
        raise ValueError("the key is still the example's; put a random one in its place")
    if hashed is None:
        if secret is None:
            raise ValueError("no key")
        return digest_of(secret)
    if not isinstance(hashed, str) or len(hashed) != 64 or set(hashed.lower()) - set("0123456789abcdef"):
        raise ValueError("key_sha256 must be 64 hexadecimal digits")
    digest = bytes.fromhex(hashed)
    if secret is not None and digest_of(secret) != digest:
        raise ValueError("key and key_sha256 differ")
    return digest


def _read_tier(value: object) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("tier must be a number: 0, 30, 50, 100, 200 or 500")
    return value


def _read_label(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError("label must be a string")
    return value


def read_expiry(value: object) -> int | None:
    """Milliseconds UTC from an integer (ms) or an ISO 8601 date or time (UTC where it names no zone)."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= EXPIRES_MS_MAX:
        return value
    if not isinstance(value, str):
        raise ValueError("expires must be ms UTC or an ISO 8601 time")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("expires must be ms UTC or an ISO 8601 time") from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


def _read_scopes(value: object) -> frozenset[str]:
    if value is None:
        return SCOPES
    if not isinstance(value, list) or not all(isinstance(scope, str) for scope in value):
        raise ValueError("scopes must be a list of strings")
    if unknown := set(value) - SCOPES:
        raise ValueError(f"unknown scopes {sorted(unknown)}; allowed are {sorted(SCOPES)}")
    return frozenset(value)


def _read_trade_pairs(value: object) -> TradePairs:
    if value == "all":
        return "all"
    if value == "vanta":
        return "vanta"
    raise ValueError('trade_pairs must be "all" or "vanta"')


def _read_quota(value: object) -> Quota:
    if value is None:
        return Quota()
    if not isinstance(value, dict) or set(value) - _QUOTA_FIELDS:
        raise ValueError(f"quota must be an object of {sorted(_QUOTA_FIELDS)}")
    for amount in value.values():
        if isinstance(amount, bool) or not isinstance(amount, int) or amount < 0:
            raise ValueError("a quota is a whole number per day")
    return Quota(**value)
