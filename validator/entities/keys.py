"""API keys of entities: derived from the server's secret, so that nothing secret is ever stored.

Rule 1: a key is ``<prefix>.<entity hotkey>.<HMAC-SHA256 of the hotkey under the server's secret>``; whoever
asks again gets the same one, and changing the secret revokes them all.
Rule 2: it opens what tier 200 opens, for its own entity: ``ApiKey.entity`` says whose it is. It never trades.
Rule 3: it works while its entity is registered, and is found in constant time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Final, Protocol

from runtime.api_key_file import ApiKey, key_id_of
from validator.entities.directory import Entities
from validator.entities.hotkeys import is_entity_hotkey

PREFIX: Final = "vek1"
TIER: Final = 200
SCOPES: Final = frozenset({"rest", "ws"})
LENGTH_MAX: Final = 256  # characters; longer texts are not looked at
_PURPOSE: Final = b"entity api key\0"


class NoSecretError(Exception):
    """The server has no secret to derive keys from."""


class Table(Protocol):
    """A table of API keys."""

    def find(self, secret: str) -> ApiKey | None: ...

    def get(self, key_id: str) -> ApiKey | None: ...


def derive(secret: bytes, entity_hotkey: str) -> str:
    """The entity's API key under the server's secret."""
    code = hmac.new(secret, _PURPOSE + entity_hotkey.encode(), hashlib.sha256).digest()
    return f"{PREFIX}.{entity_hotkey}.{base64.urlsafe_b64encode(code).decode().rstrip('=')}"


def rights(text: str, entity_hotkey: str) -> ApiKey:
    """What an entity's key may do."""
    user = f"entity {entity_hotkey}"
    return ApiKey(id=key_id_of(text), user=user, tier=TIER, scopes=SCOPES, entity=entity_hotkey)


class EntityKeys:
    """The keys of all registered entities. ``secret`` returns the server's secret, or None without one."""

    def __init__(self, secret: Callable[[], bytes | None], entities: Entities) -> None:
        self._secret, self._entities = secret, entities
        self._seen: dict[str, str] = {}  # id of a key that was presented → its entity

    def find(self, secret: str) -> ApiKey | None:
        """The key with this text, or None. Raises JournalError."""
        if len(secret) > LENGTH_MAX or not secret.startswith(PREFIX + "."):
            return None
        hotkey = secret[len(PREFIX) + 1 :].rpartition(".")[0]
        server_secret = self._secret()
        if server_secret is None or not secret.isascii() or not is_entity_hotkey(hotkey):
            return None
        is_right = hmac.compare_digest(derive(server_secret, hotkey), secret)
        if not is_right or not self._entities.is_registered(hotkey):
            return None
        key = rights(secret, hotkey)
        self._seen[key.id] = hotkey
        return key

    def get(self, key_id: str) -> ApiKey | None:
        """The key with this id if it was presented before and still holds, or None. Raises JournalError."""
        hotkey = self._seen.get(key_id)
        if hotkey is None or self._secret() is None or not self._entities.is_registered(hotkey):
            return None
        key = self.of(hotkey)
        return key if key.id == key_id else None

    def of(self, entity_hotkey: str) -> ApiKey:
        """What the entity's key may do, for an entity that proved in another way who it is.

        Raises NoSecretError.
        """
        key = rights(self.text(entity_hotkey), entity_hotkey)
        self._seen[key.id] = entity_hotkey
        return key

    def text(self, entity_hotkey: str) -> str:
        """The entity's API key. Raises NoSecretError."""
        secret = self._secret()
        if secret is None:
            raise NoSecretError("there is no secret to derive API keys from")
        return derive(secret, entity_hotkey)


class JointTable:
    """The key file's keys and the entities' as one table; the file's come first."""

    def __init__(self, file: Table, entities: Table) -> None:
        self._tables = (file, entities)

    def find(self, secret: str) -> ApiKey | None:
        """The key with this text, or None."""
        return next((key for table in self._tables if (key := table.find(secret)) is not None), None)

    def get(self, key_id: str) -> ApiKey | None:
        """The key with this id, or None."""
        return next((key for table in self._tables if (key := table.get(key_id)) is not None), None)
