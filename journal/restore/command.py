"""``python -m journal restore``: from the command line to a restored directory, or to a clear refusal."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from journal.entry import ORDERS, POSITIONS, JournalError, UnavailableError
from journal.restore import download, install, source, standing
from journal.restore.content import Reader, Summary
from journal.restore.own import OwnCheckpoint
from journal.restore.problem import Refused
from journal.restore.shape import OWN
from journal.restore.standing import Standing
from journal.restore.vanta import VantaCheckpoint
from runtime.boot import CannotBoot, claim_data_dir
from runtime.clock import Clock, SystemClock
from runtime.settings import Settings

DONE: Final = 0
REFUSED: Final = 1
COULD_NOT_RUN: Final = 2
TOO_OLD: Final = 3
EPILOG: Final = """exit codes:
  0   restored (with --dry-run: it could be)
  1   refused: the checkpoint is damaged or incomplete, or the new journal could not be made
  2   wrong usage, or it could not run (no such file, no answer, directory in use, no access)
  3   refused: the checkpoint is older than what is here; --force restores it all the same

Whatever the exit code, the directory is as before unless it is 0. FILE is a checkpoint of this product or of
a Vanta validator, plain or gzip. FILE.sha256 beside it is heeded. URL is a server (its checkpoint is asked
for) or a checkpoint's own address; with a tier-200 key registered facts come along."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("source", metavar="FILE|URL", help="the checkpoint")
    parser.add_argument("--api-key-env", metavar="NAME", help="environment variable with the API key for URL")
    parser.add_argument("--dry-run", action="store_true", help="read and check everything, change nothing")
    parser.add_argument("--no-backup", action="store_true", help="do not keep what is replaced")
    parser.add_argument(
        "--force", action="store_true", help="restore a checkpoint that is older than the data"
    )


def restore(settings: Settings, options: argparse.Namespace) -> int:
    """Restore; returns the exit code."""
    run = _Run(settings, options, SystemClock())
    try:
        code, facts = DONE, run.restore()
    except Refused as error:
        code, facts = REFUSED, {"path": error.path or None, "problem": error.problem}
    except _TooOldError as error:
        code, facts = TOO_OLD, {"path": None, "problem": str(error)}
    except install.InstallError as error:
        code, facts = REFUSED, {"path": None, "problem": str(error)}
    except (JournalError, CannotBoot, OSError, ValueError) as error:
        code, facts = COULD_NOT_RUN, {"path": None, "problem": str(error)}
    except KeyboardInterrupt:
        code, facts = COULD_NOT_RUN, {"path": None, "problem": "interrupted"}
    _tell(code, {"warnings": run.warnings, **facts}, as_json=options.json)
    return code


class _TooOldError(Exception):
    """What is here is younger than the checkpoint."""


@dataclass
class _Run:
    """One restore."""

    settings: Settings
    options: argparse.Namespace
    clock: Clock
    warnings: list[str] = field(default_factory=list)

    def restore(self) -> dict[str, Any]:
        """Read, check, make, switch; returns what came of it. Raises Refused, JournalError, OSError, ..."""
        with _bars(self.options.json) as bars:
            reader, found = self._read(bars)
            if self.options.dry_run:
                return self._facts(found, self._judge(found))
            with _claimed(self.settings.data_dir):
                return self._install(reader, found, self._judge(found), bars)

    def _read(self, bars: _Bars) -> tuple[Reader, Summary]:
        content, digest = self._content(bars)
        source.check_digest(content, digest)
        text = source.text_of(content, bars.sized("decompress"))
        del content  # the text is enough from here on
        sections, warnings = source.parse(text)
        self.warnings += warnings
        is_own = source.names_own_form(sections, OWN)
        if is_own and warnings:
            raise Refused(warnings[0].rpartition(": ")[2], "Infinity and NaN are no JSON")
        reader: Reader = OwnCheckpoint(sections) if is_own else VantaCheckpoint(sections)
        found = reader.check(bars.counted("check", len(text)))
        self.warnings += found.warnings
        found.warnings = self.warnings
        return reader, found

    def _content(self, bars: _Bars) -> tuple[bytes, bytes | None]:
        name = self.options.source
        if download.is_url(name):
            fetched = download.fetch(name, self._api_key(), bars.sized("download"))
            self.warnings += fetched.warnings
            return fetched.content, fetched.digest
        path = Path(name)
        content = source.read_file(path, bars.sized("read"))
        if (warning := source.is_named_otherwise(path, content)) is not None:
            self.warnings.append(warning)
        return content, source.sidecar_digest(path)

    def _api_key(self) -> str | None:
        name = self.options.api_key_env
        if name is None:
            return None
        key = os.environ.get(name, "").strip()
        if not key:
            raise UnavailableError(f"the environment variable {name} of --api-key-env is not set")
        return key

    def _judge(self, found: Summary) -> Standing:
        """Look at what is here. Raises UnavailableError while somebody uses it, _TooOldError."""
        if (who := standing.occupant(self.settings.data_dir, self.clock, self.options.dry_run)) is not None:
            raise UnavailableError(f"{self.settings.data_dir} is in use by {who}: stop it first")
        was_settled = not install.has_log(self.settings.journal_path)
        here = standing.look(self.settings)
        if was_settled and here.problem is None:
            install.settle(self.settings.journal_path)  # looking leaves an empty log
        if here.problem is not None:
            self.warnings.append(f"the journal that is here cannot be read: {here.problem}")
        standing.warn_of_clock(found, self.clock)
        objection = standing.objection(found, here)
        if objection is not None and not self.options.force:
            raise _TooOldError(objection)
        if objection is not None:
            self.warnings.append(objection.partition(";")[0])
        return here

    def _install(self, reader: Reader, found: Summary, here: Standing, bars: _Bars) -> dict[str, Any]:
        known = {
            stream: max(found.sequences.get(stream, 0), here.known.get(stream, 0))
            for stream in {*found.sequences, *here.known}
        }
        try:
            if here.problem is None:  # else it is kept as it is, log and all
                install.settle(self.settings.journal_path)
            progress = bars.counted("write", sum(found.counts.values()))
            staged = install.stage(
                self.settings,
                self._drafts(reader, here),
                known,
                at_ms=found.created_ms,
                clock=self.clock,
                progress=progress,
            )
            self._compare(found, staged)
            backup = None if self.options.no_backup else install.back_up(self.settings, self.clock)
            install.switch(self.settings, staged, self.clock)
        finally:
            install.discard(self.settings)
        facts = {"epoch": staged.epoch.id, "sequences": dict(staged.heads)}
        return {**self._facts(found, here), **facts, "backup": str(backup) if backup else None}

    def _drafts(self, reader: Reader, here: Standing) -> Iterator[Any]:
        yield from reader.drafts(self.clock.now_ms())
        yield from here.carried

    def _compare(self, found: Summary, staged: install.Staged) -> None:
        """What was read must be what is there now."""
        for stream, what in ((POSITIONS, "positions"), (ORDERS, "limit_orders")):
            read, written = found.counts.get(what, 0), staged.entries[stream]
            if read != written:
                raise install.InstallError(f"{read} {what} were read, {written} were written")

    def _facts(self, found: Summary, here: Standing) -> dict[str, Any]:
        return {
            "dry_run": self.options.dry_run,
            "made_by": "this product" if found.is_own else "a Vanta validator",
            "version": found.version,
            "created_ms": found.created_ms,
            "counts": found.counts,
            "replaces_positions": here.positions,
            "carried_over": len(here.carried),
        }


@contextmanager
def _claimed(data_dir: Path) -> Iterator[None]:
    """Keep every manager away meanwhile. Raises CannotBoot."""
    lock = claim_data_dir(data_dir)
    try:
        yield
    finally:
        os.close(lock)


class _Bars:
    """Progress bars; each name gets one when it is first used."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars

    def sized(self, name: str) -> Callable[[int, int], None]:
        """A bar that is told how far it is and how far it goes."""
        task = self._bars.add_task(name, total=None, visible=False)

        def update(done: int, total: int) -> None:
            self._bars.update(task, completed=done, total=total, visible=True)

        return update

    def counted(self, name: str, total: int) -> Callable[[int], None]:
        """A bar that is told how much was added."""
        task = self._bars.add_task(name, total=total)
        return lambda more: self._bars.advance(task, more)


@contextmanager
def _bars(as_json: bool) -> Iterator[_Bars]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:>10}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    is_hidden = as_json or not console.is_terminal
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=is_hidden) as bars:
        yield _Bars(bars)


def _tell(code: int, facts: dict[str, Any], *, as_json: bool) -> None:
    """Say what came of it: on success a table, else one line that names the field."""
    is_done = code == DONE
    if as_json:
        shown = {"restored": is_done and not facts.get("dry_run"), "exit_code": code, **facts}
        sys.stdout.write(msgspec.json.encode(shown).decode() + "\n")
        return
    for warning in facts["warnings"]:
        sys.stderr.write(f"warning: {warning}\n")
    if not is_done:
        path, problem = facts["path"], facts["problem"]
        where = f"{path}: " if path else "the checkpoint " if code == REFUSED else ""
        sys.stderr.write(f"journal: not restored: {where}{problem}; nothing was changed\n")
        return
    _show_table(facts)


def _show_table(facts: dict[str, Any]) -> None:
    title = "could be restored (nothing was changed)" if facts["dry_run"] else "restored"
    table = Table(title=title, show_header=False)
    for name, number in facts["counts"].items():
        table.add_row(name, str(number))
    for name in ("made_by", "version", "created_ms", "replaces_positions", "carried_over", "epoch", "backup"):
        if facts.get(name) is not None:
            table.add_row(name.replace("_", " "), str(facts[name]))
    Console().print(table)
