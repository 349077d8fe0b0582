"""Making a journal beside the old one and putting it in its place.

Rule 1: the new journal is whole, verified and on disk before anything of the old one is touched.
Rule 2: one rename of one file is the switch. Before it a killed process leaves the old journal, after it the
new one; what lies around them (witness, checkpoints) fits both or is passed over by whoever reads it.
Rule 3: the witness goes before the switch and comes back after it: in between, no start can take the one
journal for an old copy of the other.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from journal import checkpoint, witness
from journal.entry import Draft, Epoch, JournalError
from journal.schema import sync_directory
from journal.sqlite import SqliteJournal
from journal.verify import verify
from runtime.clock import Clock, SystemClock
from runtime.settings import Settings

STAGE: Final = "restore.partial"  # folder in the data directory; what a killed restore left is removed
BACKUPS: Final = "backups"
BATCH: Final = 250  # drafts a transaction; at most 256 rows may be held
_BESIDE: Final = ("-wal", "-shm")

Progress = Callable[[int], None]
"""Called with the entries written since the last call."""


class InstallError(JournalError):
    """The new journal could not be made or put in place; the old one is untouched."""


class Staged(NamedTuple):
    """A finished journal that is not in its place yet. ``entries``: stream → how many it holds."""

    path: Path
    epoch: Epoch
    heads: Mapping[str, int]
    entries: Mapping[str, int]


class _As(SystemClock):
    """The moment that entries say they are of."""

    def __init__(self, at_ms: int) -> None:
        self.at_ms = at_ms

    def now_ms(self) -> int:
        return self.at_ms


def stage(
    settings: Settings,
    drafts: Iterable[Draft],
    known: Mapping[str, int],
    *,
    at_ms: int,
    clock: Clock,
    progress: Progress,
) -> Staged:
    """Write a journal with these entries in an epoch above all ``known`` numbers. Raises JournalError.

    Entries get the time ``at_ms``, when what they say was true: so nothing leaves the State's window that
    had not left it where the checkpoint was made, and delayed readers need not wait for old facts.
    """
    now_ms = clock.now_ms()
    moment = _As(now_ms)
    directory = settings.data_dir / STAGE
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    path = directory / settings.journal_path.name
    journal = SqliteJournal(path, clock=moment)
    try:
        epoch = journal.new_epoch("restore", known)
        moment.at_ms = min(at_ms, now_ms)
        remaining = iter(drafts)
        while batch := list(islice(remaining, BATCH)):
            journal.append(batch)
            progress(len(batch))
        heads = journal.heads()
    except ValueError as error:  # a body larger than any record
        raise InstallError(str(error)) from None
    finally:
        journal.close()
    report = verify(path)
    if not report.is_clean:
        raise InstallError(f"the new journal is not what was written: {report.findings[0]}")
    settle(path)
    return Staged(path, epoch, heads, report.entries)


def back_up(settings: Settings, clock: Clock) -> Path | None:
    """Keep what a restore replaces in ``backups/<time>``; returns the folder, None when there is nothing."""
    sources = _replaced(settings)
    if not sources:
        return None
    moment = datetime.fromtimestamp(clock.now_ms() / 1000, UTC).strftime("%Y%m%d_%H%M%S")
    folder = _fresh(settings.data_dir / BACKUPS, moment)
    for name, source in sources.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        _link_or_copy(source, target)
        sync_directory(target)
    sync_directory(folder)
    sync_directory(folder.parent)
    return folder


def switch(settings: Settings, staged: Staged, clock: Clock) -> None:
    """Put the staged journal in the old one's place, then what belongs to it. Raises OSError."""
    target = settings.journal_path
    old_checkpoints = checkpoint.files(settings.checkpoint_dir)
    target.parent.mkdir(parents=True, exist_ok=True)
    for suffix in _BESIDE:  # only a journal too damaged to be opened still has them
        _beside(target, suffix).unlink(missing_ok=True)
    settings.witness_path.unlink(missing_ok=True)
    os.replace(staged.path, target)
    sync_directory(target)
    witness.write(settings.witness_path, staged.epoch.id, staged.heads, clock.now_ms())
    for old in old_checkpoints:  # they are of an epoch this journal never had: passed over, but noisily
        old.unlink(missing_ok=True)
    shutil.rmtree(staged.path.parent, ignore_errors=True)


def settle(path: Path) -> None:
    """Leave no write-ahead log beside the journal: SQLite would take it for that of the next file there.

    Raises InstallError while another process has the journal open.
    """
    if not path.is_file():
        return
    SqliteJournal(path).close()  # the last to close it folds the log
    if has_log(path):
        raise InstallError(f"another process has {path} open: stop it first")


def has_log(path: Path) -> bool:
    """Whether the journal is more than one file now."""
    return any(_beside(path, suffix).exists() for suffix in _BESIDE)


def discard(settings: Settings) -> None:
    """Remove a stage that is not going to be installed."""
    shutil.rmtree(settings.data_dir / STAGE, ignore_errors=True)


def _replaced(settings: Settings) -> dict[str, Path]:
    """What a restore replaces, by its place in a backup."""
    journal, seen = settings.journal_path, settings.witness_path
    files = {f"journal/{journal.name}{suffix}": _beside(journal, suffix) for suffix in ("", *_BESIDE)}
    files |= {f"checkpoints/{path.name}": path for path in checkpoint.files(settings.checkpoint_dir)}
    return {name: path for name, path in {**files, seen.name: seen}.items() if path.is_file()}


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _fresh(parent: Path, name: str) -> Path:
    """A new folder; two restores within a second get different ones."""
    for number in range(1000):
        folder = parent / (name if number == 0 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
    raise InstallError(f"{parent} has a thousand backups of this second")


def _link_or_copy(source: Path, target: Path) -> None:
    """The switch gives the name to another file and leaves this one as it is, so a second name is a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
        with open(target, "rb") as file:
            os.fsync(file.fileno())
