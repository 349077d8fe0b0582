"""The witness: a small file, best on another disk, that remembers the journal's epoch and heads.

Rule: it is written after the entries it tells of are durable. So a witness that is ahead of the journal, or
that names an epoch the journal never had, means that an older copy or another journal was put in its place.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import structlog

from journal.entry import Epoch

log = structlog.get_logger()


class Witness(msgspec.Struct, frozen=True):
    """What the journal had reached at ``written_ms``."""

    epoch: str
    heads: dict[str, int]
    written_ms: int

    def is_ahead_of(self, heads: Mapping[str, int], epochs: Sequence[Epoch]) -> bool:
        """True when the journal with these heads and epochs is not the one, or not all, that was seen."""
        known = any(epoch.id == self.epoch for epoch in epochs)
        return not known or any(head > heads.get(stream, 0) for stream, head in self.heads.items())


def read(path: Path) -> Witness | None:
    """Return the witness, or None when there is none or it cannot be read (which is logged)."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Witness)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        log.warning("witness cannot be read", path=str(path), error=str(error))
        return None


def write(path: Path, epoch: str, heads: Mapping[str, int], now_ms: int) -> None:
    """Replace the witness in one step, unless the one that is there knows more of the same epoch."""
    seen = read(path)
    if seen is not None and seen.epoch == epoch:
        heads = {stream: max(head, seen.heads.get(stream, 0)) for stream, head in heads.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, msgspec.json.encode(Witness(epoch, dict(heads), now_ms)))


def replace_file(path: Path, content: bytes) -> None:
    """Write the file so that after a crash either the old or the new content is there, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
