"""Entries as bytes: a frame is built once and shared by everybody who may see it.

Rule: the payload of an unfiltered frame is a pure function of the entry, so live, replay and another
server send the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from journal.entry import POSITIONS, Entry
from vanta_api import messages
from ws_server.view import Facts, View, facts_of

TEXT: Final = 0x81  # FIN and opcode 1; RSV1 stays 0, so the frame is plain for every subscriber
SHORT_MAX: Final = 125
MEDIUM_MAX: Final = 0xFFFF

Encode = Callable[[bytes], bytes]
"""Turns a payload into the bytes on the wire for everyone who negotiated that encoding. ``text_frame`` is
the plain one; an encoding with a context shared by its subscribers fits behind the same call."""


def text_frame(payload: bytes) -> bytes:
    """One unmasked, unfragmented, uncompressed RFC 6455 text frame."""
    size = len(payload)
    if size <= SHORT_MAX:
        return struct.pack("!BB", TEXT, size) + payload
    if size <= MEDIUM_MAX:
        return struct.pack("!BBH", TEXT, 126, size) + payload
    return struct.pack("!BBQ", TEXT, 127, size) + payload


class Message:
    """One entry on its way to the subscribers; what is derived from it is made when first needed."""

    __slots__ = ("_facts", "_frame", "_payload", "entry", "sequence", "stream")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.stream = entry.stream
        self.sequence = entry.sequence
        self._payload: bytes | None = None
        self._frame: bytes | None = None
        self._facts: Facts | None = None

    @property
    def size(self) -> int:
        """About how many bytes one subscriber receives."""
        return len(self.entry.body) + 64

    @property
    def payload(self) -> bytes:
        """The unfiltered frame's JSON."""
        if self._payload is None:
            entry = self.entry
            if entry.stream == POSITIONS:
                self._payload = messages.data_frame(entry.sequence, entry.time_ms, entry.body)
            else:
                self._payload = messages.stream_frame(entry.stream, entry.sequence, entry.time_ms, entry.body)
        return self._payload

    @property
    def frame(self) -> bytes:
        """The unfiltered frame on the wire, plain encoding."""
        if self._frame is None:
            self._frame = text_frame(self.payload)
        return self._frame

    @property
    def facts(self) -> Facts:
        """What filters look at."""
        if self._facts is None:
            self._facts = facts_of(self.entry)
        return self._facts

    def after(self, previous: int) -> bytes:
        """The filtered frame's JSON for a subscription whose last number was ``previous``."""
        entry = self.entry
        if entry.stream == POSITIONS:
            return messages.filtered_frame(entry.sequence, entry.time_ms, entry.body, previous)
        return messages.filtered_stream_frame(
            entry.stream, entry.sequence, entry.time_ms, entry.body, previous
        )


def select(view: View, found: Sequence[Message], last: dict[str, int]) -> list[bytes]:
    """The payloads of those messages that belong to the view, in order.

    ``last`` holds, per stream, the number of the subscription's last frame; it is moved along.
    """
    if not view.is_filtered:
        chosen = [message for message in found if message.stream in view.streams]
        for message in chosen:
            last[message.stream] = message.sequence
        return [message.payload for message in chosen]
    payloads = []
    for message in found:
        if message.stream in view.streams and view.admits(message.stream, message.facts):
            payloads.append(message.after(last[message.stream]))
            last[message.stream] = message.sequence
    return payloads


def batches(payloads: Sequence[bytes], entries_max: int, bytes_max: int) -> Iterator[bytes]:
    """Join data frames into batch frames of at most ``entries_max`` and ``bytes_max``.

    A frame that stands alone is sent as it is, so only a single entry can be longer than the limit.
    """
    begin = size = 0
    for index, payload in enumerate(payloads):
        is_full = index - begin == entries_max or size + len(payload) > bytes_max
        if index > begin and is_full:
            yield _joined(payloads[begin:index])
            begin, size = index, 0
        size += len(payload) + 1
    if begin < len(payloads):
        yield _joined(payloads[begin:])


def _joined(payloads: Sequence[bytes]) -> bytes:
    return payloads[0] if len(payloads) == 1 else messages.batch_frame(payloads)
