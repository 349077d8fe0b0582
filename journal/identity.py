"""Digests, event ids and checksums: what makes equal content equal and damage visible.

Rule: an event id is a function of (stream, key, the key's previous event id, content), so the same content
appended again later (1 → 2 → 1) gets a new id, and a chain of ids cannot be altered in the middle.
"""

from __future__ import annotations

from hashlib import sha1, sha256
from typing import Final

from isal.isal_zlib import crc32

ID_BYTES: Final = 16
FIRST: Final = bytes(ID_BYTES)  # "previous event id" of a key's first entry
MODULUS: Final = 4294967291  # largest prime below 2**32: no flipped bit of a number is lost by the remainder
NAMESPACE: Final = bytes.fromhex("6c0ad3c2b7a15b06a2de0f2d7c1a94e3")  # of the UUIDv5 event ids; never change


def digest(content: bytes) -> bytes:
    """Return 16 bytes that stand for the content."""
    return sha256(content).digest()[:ID_BYTES]


def event_id(stream: str, key: str, previous: bytes, content: bytes) -> bytes:
    """Return the UUIDv5 (16 bytes) of an entry whose body has the digest ``content``.

    ``previous`` is the key's last event id (``FIRST`` for none). Fixed-size parts come first, so that no
    two different inputs are hashed as the same bytes.
    """
    name = sha1(NAMESPACE + previous + content + f"{stream}\0{key}".encode(), usedforsecurity=False).digest()
    version = (name[6] & 0x0F) | 0x50
    variant = (name[8] & 0x3F) | 0x80
    return name[:6] + bytes((version, name[7], variant)) + name[9:ID_BYTES]


def checksum(sequence: int, time_ms: int, identifier: bytes, stored: bytes) -> int:
    """Return the 32-bit sum of an entry's row; ``stored`` is the body as it lies on disk."""
    return int(crc32(stored, crc32(identifier, (sequence + time_ms) % MODULUS)))
