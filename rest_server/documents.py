"""Bodies that are made once and served to everybody.

Rule 1: a document is immutable; its tag is a digest of its content, so equal tags mean equal answers
whatever process made them, and a changed answer never keeps its tag.
Rule 2: each representation (identity, gzip, zstd) is made when first asked for, by one thread, and kept.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from functools import cached_property
from typing import Final

import zstandard

from rest_server.gzip_join import Piece, join_gzip
from rest_server.negotiation import Encoding

ZSTD_LEVEL: Final = 3
COMPRESS_FROM: Final = 500  # bytes; below, a header costs more than it saves


class Document:
    """One body. ``pieces`` in order are the text."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = tuple(pieces)
        self._made: dict[Encoding, bytes] = {}
        self._lock = threading.Lock()

    @cached_property
    def tag(self) -> str:
        """32 hexadecimal digits that stand for the content."""
        digests = b"".join([piece.digest for piece in self._pieces])
        return hashlib.blake2b(digests, digest_size=16).hexdigest()

    @cached_property
    def size(self) -> int:
        """Bytes of the identity representation."""
        return sum(piece.size for piece in self._pieces)

    def body(self, encoding: Encoding) -> bytes:
        """The bytes in this coding."""
        made = self._made.get(encoding)
        if made is not None:
            return made
        with self._lock:
            if encoding not in self._made:
                self._made[encoding] = self._make(encoding)
            return self._made[encoding]

    def _make(self, encoding: Encoding) -> bytes:
        if encoding == "gzip":
            return join_gzip(self._pieces)
        raw = b"".join([piece.raw for piece in self._pieces])
        return raw if encoding == "identity" else zstandard.compress(raw, ZSTD_LEVEL)


def document(text: bytes) -> Document:
    """A document of one text."""
    return Document((Piece(text),))
