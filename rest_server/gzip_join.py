"""A gzip body joined from pieces that were compressed on their own.

Rule 1: the result is ONE gzip member. Several members in a row are legal gzip, and silently cut after the
first one by curl, httpx and browsers.
Rule 2: a piece ends on a byte boundary (Z_SYNC_FLUSH) and never refers to bytes before itself, so pieces
can be joined in any order.
Rule 3: separators travel as stored blocks: five bytes of header and the text itself.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Final

from isal import isal_zlib

LEVEL: Final = 2  # isal's 0..3; 3 costs twice the time for a few per cent
STORED_MAX: Final = 65_535  # a stored block's length is 16 bits

_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time: equal bytes for equal input
_LAST_BLOCK: Final = b"\x03\x00"  # an empty final block
_RAW_DEFLATE: Final = -15


class Piece:
    """Some text; its deflate blocks, checksum and digest are made when first asked for, and kept.

    Two threads may make the same thing at once; they make the same bytes.
    """

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self.size = len(raw)

    @property
    def raw(self) -> bytes:
        """The text."""
        return self._raw

    @cached_property
    def deflated(self) -> bytes:
        """Deflate blocks of ``raw`` that end on a byte boundary."""
        compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, _RAW_DEFLATE)
        return compressor.compress(self.raw) + compressor.flush(isal_zlib.Z_SYNC_FLUSH)

    @cached_property
    def crc(self) -> int:
        """CRC-32 of ``raw``."""
        return isal_zlib.crc32(self.raw)

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that stand for ``raw``."""
        return hashlib.blake2b(self.raw, digest_size=16).digest()


class Stored(Piece):
    """A short text that is not worth compressing."""

    @cached_property
    def deflated(self) -> bytes:
        return struct.pack("<BHH", 0, self.size, self.size ^ 0xFFFF) + self.raw


class Joined(Piece):
    """Several pieces as one; nothing is compressed again, and the text is not kept a second time."""

    def __init__(self, parts: Sequence[Piece]) -> None:
        self._parts = tuple(parts)
        self.size = sum([part.size for part in parts])

    @property
    def raw(self) -> bytes:
        return b"".join([part.raw for part in self._parts])

    @cached_property
    def deflated(self) -> bytes:
        return b"".join([part.deflated for part in self._parts])

    @cached_property
    def crc(self) -> int:
        return _joined_crc(self._parts)

    @cached_property
    def digest(self) -> bytes:
        return hashlib.blake2b(b"".join([part.digest for part in self._parts]), digest_size=16).digest()


@lru_cache(maxsize=64)
def stored(raw: bytes) -> Piece:
    """A separator. Raises ValueError when it is longer than a stored block."""
    if len(raw) > STORED_MAX:
        raise ValueError("a separator fits one stored block")
    return Stored(raw)


def join_gzip(pieces: Sequence[Piece]) -> bytes:
    """The joined text as one gzip member."""
    length = sum([piece.size for piece in pieces])
    trailer = struct.pack("<II", _joined_crc(pieces), length & 0xFFFFFFFF)
    return b"".join([_HEADER, *[piece.deflated for piece in pieces], _LAST_BLOCK, trailer])


def _joined_crc(pieces: Sequence[Piece]) -> int:
    crc = 0
    for piece in pieces:
        crc = isal_zlib.crc32_combine(crc, piece.crc, piece.size)
    return crc
