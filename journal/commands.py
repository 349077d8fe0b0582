"""What the commands of ``python -m journal`` do. Each returns its exit code.

0: clean or done. 1: damaged or failed. 2: wrong usage, or it could not run (no journal, no access).
"""

from __future__ import annotations

import argparse
import base64
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from journal import checkpoint, witness
from journal.checkpoint import CheckpointError
from journal.entry import DURABLE_STREAMS, CorruptError, Entry, JournalError, Page
from journal.eras import GAP
from journal.fold import TrimmedError, fold_until
from journal.layout import boot_state, open_journal, open_marks, open_reader, window_ms
from journal.reading import SqliteReader
from journal.state import State
from journal.verify import verify as verify_file
from runtime.clock import SystemClock
from runtime.settings import Settings

CLEAN: Final = 0
DAMAGED: Final = 1
COULD_NOT_RUN: Final = 2
SHOWN_BYTES: Final = 100  # of a body, on a line of tail


def verify(settings: Settings, options: argparse.Namespace) -> int:
    """Check the journal's file and the checkpoints."""
    report = verify_file(settings.journal_path)
    broken = [reason for path in checkpoint.files(settings.checkpoint_dir) if (reason := _fault_of(path))]
    clean = report.is_clean and not broken
    if options.json:
        facts = msgspec.to_builtins(report)
        show({"clean": clean, **facts, "damaged_checkpoints": broken})
    else:
        for line in [*map(str, report.findings), *broken]:
            say(line)
        counts = ", ".join(f"{stream} {count}" for stream, count in report.entries.items())
        say(f"{'clean' if clean else 'DAMAGED'}: {report.path}: {counts} ({report.epochs} epochs)")
    return CLEAN if clean else DAMAGED


def _fault_of(path: Path) -> str | None:
    try:
        checkpoint.load(path)
    except CheckpointError as error:
        return str(error)
    return None


def tail(settings: Settings, options: argparse.Namespace) -> int:
    """Print entries as they come, one line each."""
    reader = open_reader(settings)
    streams = options.stream or list(DURABLE_STREAMS)
    heads = reader.heads()
    after = {stream: heads[stream] if options.after is None else options.after for stream in streams}
    bell = reader.doorbell()
    try:
        while True:
            bell.clear()
            moved = [_print_page(reader, stream, after, options.json) for stream in streams]
            if not any(moved):
                if not options.follow:
                    return CLEAN
                bell.wait(0.25)
    except (KeyboardInterrupt, BrokenPipeError):
        return CLEAN
    finally:
        bell.close()
        reader.close()


def _print_page(reader: SqliteReader, stream: str, after: dict[str, int], as_json: bool) -> bool:
    page = reader.read(stream, after[stream])
    if page.trimmed:
        sys.stderr.write(f"{stream}: entries {after[stream] + 1} to {page.oldest - 1} were trimmed\n")
        after[stream] = page.oldest - 1
        return True
    for entry in page.entries:
        if as_json:
            show(entry_facts(entry, page))
        else:
            say(entry_line(entry))
        after[stream] = entry.sequence
    sys.stdout.flush()
    return bool(page.entries)


def entry_facts(entry: Entry, page: Page) -> dict[str, Any]:
    """Return an entry as JSON shows it; a body that is no JSON comes as ``body_base64``."""
    facts: dict[str, Any] = {
        "stream": entry.stream,
        "sequence": entry.sequence,
        "epoch": page.epoch,
        "key": entry.key,
        "event_id": entry.event_id.hex(),
        "time_ms": entry.time_ms,
    }
    try:
        msgspec.json.decode(entry.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {**facts, "body_base64": base64.b64encode(entry.body).decode()}
    return {**facts, "body": msgspec.Raw(entry.body)}


def entry_line(entry: Entry) -> str:
    """Return an entry as one line of text."""
    moment = datetime.fromtimestamp(entry.time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    body = entry.body[:SHOWN_BYTES].decode(errors="replace")
    more = "" if len(entry.body) <= SHOWN_BYTES else f"... ({len(entry.body)} bytes)"
    return f"{moment} {entry.stream} {entry.sequence} {entry.key} {body}{more}"


def replay(settings: Settings, options: argparse.Namespace) -> int:
    """Fold the journal from every checkpoint (and from its first entry, if kept) and compare."""
    reader = open_reader(settings)
    results = []
    try:
        starts = [(path.name, state) for path, state in _usable(settings, reader)]
        starts.append(("the first entry", State(window_ms=window_ms(settings))))
        epoch, heads = reader.epoch(), reader.heads()
        for name, state in starts:
            started = time.perf_counter()
            try:
                count = fold_until(state, reader, heads, epoch)
            except TrimmedError:
                continue
            seconds = time.perf_counter() - started
            results.append({"from": name, "entries": count, "seconds": round(seconds, 3), "state": state})
    finally:
        reader.close()
    same = all(result["state"] == results[0]["state"] for result in results)
    return _show_replay(options.json, results, same, heads)


def _usable(settings: Settings, reader: SqliteReader) -> list[tuple[Path, State]]:
    return list(checkpoint.usable(reader, settings.checkpoint_dir, window_ms=window_ms(settings)))


def _show_replay(as_json: bool, results: list[dict[str, Any]], same: bool, heads: dict[str, int]) -> int:
    for result in results:
        state = result.pop("state")
        result["keys"] = {stream: len(keys) for stream, keys in state.latest.items()}
        result["digest"] = checkpoint.digest(state)
    clean = same and bool(results)
    if as_json:
        show({"clean": clean, "heads": heads, "replays": results})
        return CLEAN if clean else DAMAGED
    for result in results:
        say(
            f"from {result['from']}: {result['entries']} entries in {result['seconds']} s, {result['digest']}"
        )
    if not results:
        say("DAMAGED: neither a checkpoint nor the kept entries reach back far enough")
    else:
        say("clean: every start gives the same state" if same else "DAMAGED: the states differ")
    return CLEAN if clean else DAMAGED


def write_checkpoint(settings: Settings, options: argparse.Namespace) -> int:
    """Write a checkpoint of the present State."""
    reader = open_reader(settings)
    try:
        state = boot_state(settings, reader)
    finally:
        reader.close()
    path = checkpoint.write(settings.checkpoint_dir, state, SystemClock().now_ms())
    facts = {"file": str(path), "bytes": path.stat().st_size, "epoch": state.epoch, "vector": state.vector}
    show(facts) if options.json else say(f"{path} ({facts['bytes']} bytes)")
    return CLEAN


def stats(settings: Settings, options: argparse.Namespace) -> int:
    """Show heads, sizes, epochs and checkpoints."""
    reader = open_reader(settings)
    try:
        facts = _stats(settings, reader)
    finally:
        reader.close()
    if options.json:
        show(facts)
        return CLEAN
    for stream, numbers in facts["streams"].items():
        say(f"{stream:10} head {numbers['head']}, oldest {numbers['oldest']}")
    for era in facts["epochs"]:
        say(f"epoch {era['id']} since {era['created_ms']} ({era['reason']})")
    say(f"{facts['file']}: {facts['bytes']} bytes; {len(facts['checkpoints'])} checkpoints")
    say(f"marks: {facts['marks']} instruments, revision {facts['marks_revision']}")
    return CLEAN


def _stats(settings: Settings, reader: SqliteReader) -> dict[str, Any]:
    pages = {stream: reader.read(stream, 0, 1) for stream in DURABLE_STREAMS}
    seen = witness.read(settings.witness_path)
    facts: dict[str, Any] = {
        "file": str(settings.journal_path),
        "bytes": reader.size_bytes(),
        "streams": {stream: {"head": page.head, "oldest": page.oldest} for stream, page in pages.items()},
        "epochs": [
            {"id": era.epoch.id, "reason": era.reason, "created_ms": era.epoch.created_ms}
            for era in reader.eras()
        ],
        "checkpoints": [path.name for path in checkpoint.files(settings.checkpoint_dir)],
        "witness": None if seen is None else msgspec.to_builtins(seen),
        "marks": 0,
        "marks_revision": 0,
    }
    if settings.marks_path.is_file():
        marks = open_marks(settings)
        facts["marks"], facts["marks_revision"] = len(marks.latest()), marks.revision()
        marks.close()
    return facts


def new_epoch(settings: Settings, options: argparse.Namespace) -> int:
    """Begin a new epoch: every subscriber is told, no number is used again."""
    if not options.yes:
        sys.stderr.write(f"this moves every stream {GAP} numbers ahead; say so with --yes\n")
        return COULD_NOT_RUN
    open_reader(settings).close()  # a new epoch of a journal that is not there would make one
    journal = open_journal(settings)
    try:
        epoch = journal.new_epoch("new-epoch")
    finally:
        journal.close()
    show(msgspec.to_builtins(epoch)) if options.json else say(f"epoch {epoch.id} begun")
    return CLEAN


def guarded(command: Any, settings: Settings, options: argparse.Namespace) -> int:
    """Run a command; turn its errors into one line and an exit code."""
    try:
        code: int = command(settings, options)
    except CorruptError as error:
        sys.stderr.write(f"journal: {error}\n")
        return DAMAGED
    except (JournalError, OSError) as error:
        sys.stderr.write(f"journal: {error}\n")
        return COULD_NOT_RUN
    return code


def show(facts: object) -> None:
    """Print facts as one line of JSON."""
    say(msgspec.json.encode(facts).decode())


def say(line: str) -> None:
    """Print one line."""
    sys.stdout.write(line + "\n")
