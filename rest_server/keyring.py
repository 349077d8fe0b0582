"""Every key that opens something here: those of the watched file, and those that are derived for entities.

Rule: the file comes first; a derived key can never stand for one of the file's.
"""

from __future__ import annotations

from typing import Protocol

from runtime.api_keys import KeyTable
from validator.entities.keys import EntityKeys, JointTable


class FileKeys(Protocol):
    """The part of a KeyWatcher that is used here."""

    @property
    def table(self) -> KeyTable: ...

    @property
    def error(self) -> str | None: ...


class Keyring:
    """The keys of the watched file and of entities together."""

    def __init__(self, file: FileKeys, entities: EntityKeys) -> None:
        self._file, self._entities = file, entities

    @property
    def table(self) -> JointTable:
        """All keys that are good now."""
        return JointTable(self._file.table, self._entities)

    @property
    def error(self) -> str | None:
        """Why the file that is there is not the one in use."""
        return self._file.error
