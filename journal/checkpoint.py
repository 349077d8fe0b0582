"""Checkpoints: a State at its position in every stream, as one file.

Format ``vanta-checkpoint/1``: one line of JSON (the header: digest and size of the rest, epoch, vector,
time), then gzip of MessagePack. Written to a temporary name, synced, renamed, directory synced: a checkpoint
that has its name is whole.
Rule: a checkpoint that is damaged, or that does not belong to the journal at hand, is passed over with a
logged reason; it is never half used.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
import structlog
from isal import igzip

from journal.codec import NOT_DEFLATED
from journal.entry import JournalError
from journal.fold import TrimmedError, catch_up
from journal.state import WINDOW_MS, Dropped, Latest, State, Totals
from journal.store import HistoryReader
from journal.witness import replace_file

FORMAT: Final = "vanta-checkpoint/1"
PREFIX: Final = "checkpoint-"
SUFFIX: Final = ".gz"
LEFTOVER_S: Final = 3600  # a temporary file of this age belongs to nobody
HEADER_BYTES: Final = 64 * 1024  # far above what any header needs

log = structlog.get_logger()


class CheckpointError(JournalError):
    """A checkpoint file cannot be used; the text says why."""


class Header(msgspec.Struct, frozen=True):
    """A checkpoint's first line."""

    format: str
    sha256: str
    bytes: int
    epoch: str
    vector: dict[str, int]
    created_ms: int


class _Image(msgspec.Struct, frozen=True):
    epoch: str
    vector: dict[str, int]
    latest: dict[str, dict[str, Latest]]
    dropped: dict[str, dict[str, Dropped]]
    totals: dict[str, dict[str, Totals]]


_image = msgspec.msgpack.Decoder(_Image)
_header = msgspec.json.Decoder(Header)


def write(directory: Path, state: State, now_ms: int) -> Path:
    """Write a checkpoint of the State and return its file. Raises OSError (disk full, ...)."""
    directory.mkdir(parents=True, exist_ok=True)
    image = _Image(state.epoch, state.vector, state.latest, state.dropped, state.totals)
    payload = igzip.compress(msgspec.msgpack.encode(image), compresslevel=1)
    header = Header(FORMAT, sha256(payload).hexdigest(), len(payload), state.epoch, state.vector, now_ms)
    path = directory / f"{PREFIX}{now_ms:015d}-{state.vector.get('positions', 0):015d}{SUFFIX}"
    replace_file(path, msgspec.json.encode(header) + b"\n" + payload)
    return path


def load(path: Path, *, window_ms: int = WINDOW_MS) -> tuple[Header, State]:
    """Read a checkpoint completely. Raises CheckpointError when it is damaged."""
    header, payload = _read(path)
    if len(payload) != header.bytes or sha256(payload).hexdigest() != header.sha256:
        raise CheckpointError(f"{path}: its content does not have the digest in its header")
    try:
        image = _image.decode(igzip.decompress(payload))  # type: ignore[no-untyped-call]
    except (msgspec.DecodeError, UnicodeDecodeError, EOFError, OSError, NOT_DEFLATED) as error:
        raise CheckpointError(f"{path}: {error}") from error
    if (image.epoch, image.vector) != (header.epoch, header.vector):
        raise CheckpointError(f"{path}: its header does not fit its content")
    state = State(window_ms=window_ms)
    state.restore(image.epoch, image.vector, image.latest, image.dropped, image.totals)
    return header, state


def digest(state: State) -> str:
    """Return a digest that two States share when, and only when, they are equal."""
    return sha256(msgspec.msgpack.encode(state.parts(), order="deterministic")).hexdigest()


def read_header(path: Path) -> Header:
    """Read only the first line. Raises CheckpointError."""
    return _read(path, HEADER_BYTES)[0]


def files(directory: Path) -> list[Path]:
    """Return the checkpoint files, newest first."""
    return sorted(directory.glob(f"{PREFIX}*{SUFFIX}"), key=lambda path: path.name, reverse=True)


def usable(
    reader: HistoryReader, directory: Path, *, window_ms: int = WINDOW_MS
) -> Iterator[tuple[Path, State]]:
    """Yield the whole checkpoints of this journal, newest first; the others are passed over, logged."""
    known = {epoch.id for epoch in reader.epochs()}
    for path in files(directory):
        try:
            header, state = load(path, window_ms=window_ms)
        except CheckpointError as error:
            log.warning("checkpoint passed over", reason=str(error))
            continue
        if (reason := _foreign(header, known, reader.heads())) is not None:
            log.warning("checkpoint passed over", file=path.name, reason=reason)
            continue
        yield path, state


def boot(reader: HistoryReader, directory: Path, *, window_ms: int = WINDOW_MS) -> State:
    """Return the journal's present State: the newest usable checkpoint and the entries after it.

    Raises TrimmedError when neither a checkpoint nor the kept entries reach back far enough.
    """
    for path, state in usable(reader, directory, window_ms=window_ms):
        try:
            count = catch_up(state, reader)
        except TrimmedError as error:
            log.warning("checkpoint passed over", file=path.name, reason=str(error))
            continue
        log.info("state loaded", checkpoint=path.name, entries_after=count)
        return state
    state = State(window_ms=window_ms)
    count = catch_up(state, reader)
    log.info("state loaded", checkpoint=None, entries_after=count)
    return state


def prune(directory: Path, keep: int) -> list[Path]:
    """Remove all but the newest ``keep`` checkpoints and interrupted writes; returns what went."""
    gone = files(directory)[max(1, keep) :]
    stale_s = time.time() - LEFTOVER_S
    gone += [path for path in directory.glob(f".{PREFIX}*.tmp") if path.stat().st_mtime < stale_s]
    for path in gone:
        path.unlink(missing_ok=True)
    return gone


def _foreign(header: Header, epochs: set[str], heads: Mapping[str, int]) -> str | None:
    if header.epoch not in epochs:
        return "it is of an epoch this journal never had"
    ahead = [stream for stream, number in header.vector.items() if number > heads.get(stream, 0)]
    return f"it is ahead of the journal in {', '.join(ahead)}" if ahead else None


def _read(path: Path, limit: int = -1) -> tuple[Header, bytes]:
    try:
        with open(path, "rb") as file:
            line = file.readline(HEADER_BYTES)
            payload = file.read(limit) if limit < 0 else b""
        header = _header.decode(line)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: its first line is no header: {error}") from error
    if header.format != FORMAT:
        raise CheckpointError(f"{path}: unknown format {header.format!r}")
    return header, payload
