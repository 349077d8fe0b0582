"""Entities at the door: who proves to be one, and which API keys are theirs.

Rule 1: what must be remembered of an accepted proof (its nonce) is durable before it is accepted.
Rule 2: cheap checks come first; a stranger cannot make the journal be written without a valid signature.
Rule 3: nothing here runs in the loop's thread but looking keys up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from journal.appending import Appending
from journal.entry import JournalError, UnavailableError
from journal.fold import TrimmedError
from journal.layout import boot_state, open_journal, open_reader
from runtime.api_keys import ApiKey
from runtime.clock import Clock
from runtime.settings import Settings
from validator.entities.directory import Entities
from validator.entities.keys import EntityKeys, JointTable, Table
from validator.entities.secret import ServerSecret
from validator.nonces import NonceError, Nonces, TooManyError
from validator.registry import Registry
from validator.signing import is_signed
from vanta_api import entity_frames
from vanta_api.client_frames import FrameError
from vanta_api.entity_frames import SIGNED_FIELDS, EntityAuth

STREAM: Final = "ws"  # in the place of a coldkey: nonces of this door are nobody else's

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Proved:
    """An entity that proved itself: what its key opens, and how many of its subaccounts are active."""

    key: ApiKey
    subaccounts: int


class EntityDoor:
    """``prefix`` is the network of addresses that are believed."""

    def __init__(
        self, entities: Entities, keys: EntityKeys, secret: ServerSecret, nonces: Nonces, prefix: int
    ) -> None:
        self.entities, self.keys = entities, keys
        self._secret, self._nonces, self._prefix = secret, nonces, prefix

    def prove(self, auth: EntityAuth) -> Proved | FrameError:
        """Judge a proof. Blocks on the journal. Raises JournalError when it is damaged."""
        hotkey = auth.entity_hotkey
        found = self.entities.entity(hotkey)
        if found is None:
            return entity_frames.not_registered(hotkey)
        if not is_signed(auth.body, SIGNED_FIELDS, "entity_hotkey", self._prefix):
            return entity_frames.invalid_signature()
        try:
            self._nonces.use(STREAM, hotkey, auth.nonce, auth.timestamp)
            self._secret.make()
        except TooManyError:
            return entity_frames.unavailable()
        except NonceError as error:
            return entity_frames.stale(str(error))
        except (UnavailableError, OSError) as error:
            _log.warning("an entity cannot be believed now", entity=hotkey, problem=str(error))
            return entity_frames.unavailable()
        return Proved(self.keys.of(hotkey), len(found.active))


class Opened:
    """A door with the journal behind it."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Raises ValueError for a secret that cannot be used, JournalError."""
        self._reader = open_reader(settings)
        self._appending = Appending(self._reader, lambda: open_journal(settings, clock=clock))
        registry = self._registry(settings)
        secret = ServerSecret(settings.entities.api_key_secret, settings.data_dir)
        entities = Entities(registry)
        keys = EntityKeys(secret.read, entities)
        nonces = Nonces(registry, clock)
        self.door = EntityDoor(entities, keys, secret, nonces, settings.collateral.ss58_prefix)

    def join(self, file: Table) -> JointTable:
        """The key file's keys and the entities' together."""
        return JointTable(file, QuietKeys(self.door.keys))

    def close(self) -> None:
        """Close the journal."""
        self._appending.close()
        self._reader.close()

    def _registry(self, settings: Settings) -> Registry:
        registry = Registry(self._appending)
        try:
            registry.get("")  # everything is read now, not when the first stranger comes
        except TrimmedError:  # a journal that was made from a checkpoint: its facts are in there
            return Registry(self._appending, boot_state(settings, self._reader))
        return registry


class QuietKeys:
    """The entities' keys for a server's loop: a journal that cannot be read now opens nothing."""

    def __init__(self, keys: EntityKeys) -> None:
        self._keys = keys

    def find(self, secret: str) -> ApiKey | None:
        """The key with this text, or None."""
        return _quietly(lambda: self._keys.find(secret))

    def get(self, key_id: str) -> ApiKey | None:
        """The key with this id, or None."""
        return _quietly(lambda: self._keys.get(key_id))


def _quietly(look: Callable[[], ApiKey | None]) -> ApiKey | None:
    try:
        return look()
    except (JournalError, OSError) as error:
        _log.warning("entities' keys cannot be looked up", problem=str(error))
        return None
