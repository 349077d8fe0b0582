"""Bringing a State up to a journal's present."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from journal.entry import DURABLE_STREAMS, CorruptError, Entry, Reader
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
    """Apply everything the journal has after the State, then note its epoch; returns the count.

    ``on_entry`` is called after each entry was applied. Raises TrimmedError.
    """
    # Read before the entries: all entries of the epochs before it are then there to be applied.
    epoch = reader.epoch()
    count = 0
    for stream in streams:
        for entry in entries_after(reader, stream, state.vector.get(stream, 0)):
            state.apply(entry)
            count += 1
            if on_entry is not None:
                on_entry(entry)
    if state.epoch != epoch.id:
        state.enter(epoch)
    return count


def entries_after(reader: Reader, stream: str, after: int) -> Iterator[Entry]:
    """Yield the entries after a number up to the head. Raises TrimmedError."""
    while True:
        page = reader.read(stream, after)
        if page.trimmed:
            raise TrimmedError(f"{stream}: entries {after + 1} to {page.oldest - 1} were trimmed")
        if not page.entries:
            return
        yield from page.entries
        after = page.entries[-1].sequence
