"""Bringing a State up to a journal's present."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from journal.entry import DURABLE_STREAMS, CorruptError, Entry, Epoch, Reader
from journal.state import State


class TrimmedError(CorruptError):
    """Entries that the State has not seen are no longer kept: a newer checkpoint is needed."""


def catch_up(
    state: State,
    reader: Reader,
    *,
    streams: Iterable[str] = DURABLE_STREAMS,
    on_entry: Callable[[Entry], None] | None = None,
) -> int:
    """Apply what the journal has after the State by now, then note its epoch; returns the count.

    ``on_entry`` is called after each entry was applied. Raises TrimmedError.
    """
    # The epoch is read first: all entries of the epochs before it are then among those up to the heads.
    epoch, heads = reader.epoch(), reader.heads()
    until = {stream: heads[stream] for stream in streams}
    return fold_until(state, reader, until, epoch, on_entry=on_entry)


def fold_until(
    state: State,
    reader: Reader,
    until: Mapping[str, int],
    epoch: Epoch,
    *,
    on_entry: Callable[[Entry], None] | None = None,
) -> int:
    """Apply the entries of each stream up to a number, then note the epoch; returns the count."""
    count = 0
    for stream, last in until.items():
        for entry in entries_after(reader, stream, state.vector.get(stream, 0), last):
            state.apply(entry)
            count += 1
            if on_entry is not None:
                on_entry(entry)
    if state.epoch != epoch.id:
        state.enter(epoch)
    return count


def entries_after(reader: Reader, stream: str, after: int, until: int | None = None) -> Iterator[Entry]:
    """Yield the entries after a number, up to ``until`` or the head. Raises TrimmedError."""
    while until is None or after < until:
        page = reader.read(stream, after)
        if page.trimmed:
            raise TrimmedError(f"{stream}: entries {after + 1} to {page.oldest - 1} were trimmed")
        if not page.entries:
            return
        after = page.entries[-1].sequence
        if until is None or after <= until:
            yield from page.entries
        else:
            yield from (entry for entry in page.entries if entry.sequence <= until)
