"""Following a stream: read a page, then wait for the bell or the clock, whichever comes first.

Rule: the bell is cleared before the page is read, never after, so that a ring which comes while reading
makes the reader look again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from journal.doorbell import Bell
from journal.entry import Page


def follow(
    read: Callable[[int], Page],
    doorbell: Callable[[], Bell],
    after: int,
    stop: Callable[[], bool],
    poll_s: float,
) -> Iterator[Page]:
    """Yield pages after ``after`` until ``stop()``, waiting at a bell of its own.

    An empty page is yielded after ``poll_s`` seconds without an entry. After a trimmed page the reader, if
    it goes on, continues with the oldest entry still kept.
    """
    bell = doorbell()
    quiet_until = time.monotonic() + poll_s
    try:
        while not stop():
            bell.clear()
            page = read(after)
            left_s = quiet_until - time.monotonic()
            if not (page.entries or page.trimmed) and left_s > 0 and bell.wait(left_s):
                continue  # rung, perhaps for another stream: look again, but never stay silent for longer
            after = _next_after(page, after)
            yield page
            quiet_until = time.monotonic() + poll_s
    finally:
        bell.close()


def _next_after(page: Page, after: int) -> int:
    if page.entries:
        return page.entries[-1].sequence
    return page.oldest - 1 if page.trimmed else after
