"""The server's secret that entities' API keys are derived from.

Rule 1: it is a file (or variable) that only the server's user reads; it is never logged, journalled or sent.
Rule 2: where none is configured, one random file is made when the first key is asked for; of several
processes that make it at once, all end up with the same one.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from typing import Final

from runtime.settings import read_secret

FILE_NAME: Final = "entity_api_key.secret"  # in the data directory
CHARACTERS_MIN: Final = 32  # of a configured secret: shorter ones can be guessed


class ServerSecret:
    """``reference`` is ``env:NAME`` or ``file:PATH``; None: a file of our own in ``directory``.

    Raises ValueError when the reference leads nowhere or to too short a secret.
    """

    def __init__(self, reference: str | None, directory: Path) -> None:
        self._reference = reference
        self._path = directory / FILE_NAME
        self._known: bytes | None = None
        if reference is not None:
            self._known = _configured(reference)

    def read(self) -> bytes | None:
        """The secret, or None while there is none. Raises OSError when our own file cannot be read."""
        if self._known is None:
            try:
                self._known = self._path.read_bytes().strip() or None
            except FileNotFoundError:
                return None
        return self._known

    def make(self) -> bytes:
        """The secret, made now if there is none. Raises OSError when it cannot be written or read."""
        known = self.read()
        if known is None:
            self._write(secrets.token_urlsafe(48).encode())
            known = self.read()
        if known is None:
            raise OSError(f"{self._path.name} is empty")
        return known

    def _write(self, secret: bytes) -> None:
        """Let the whole file appear at once, unless somebody else's is there already."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=f".{FILE_NAME}.")  # 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secret + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, self._path)
        except FileExistsError:
            pass  # another process was faster: its secret counts
        finally:
            os.unlink(temporary)


def _configured(reference: str) -> bytes:
    secret = read_secret(reference)
    if len(secret) < CHARACTERS_MIN:
        raise ValueError(f"entities.api_key_secret must have at least {CHARACTERS_MIN} characters")
    return secret.encode()
