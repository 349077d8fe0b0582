"""Bodies at rest: plain, or deflated when that saves room."""

from __future__ import annotations

from typing import Final, cast

from isal import igzip_lib, isal_zlib

PLAIN_BYTES: Final = 2048  # a body up to this size is stored as it is
NOT_DEFLATED: Final = cast(type[Exception], igzip_lib.IsalError)


def deflate(body: bytes) -> bytes | None:
    """Return the deflated body, or None when it is small or does not get smaller."""
    if len(body) <= PLAIN_BYTES:
        return None
    packed: bytes = isal_zlib.compress(body, 1)
    return packed if len(packed) < len(body) else None


def inflate(packed: bytes, size: int) -> bytes:
    """Return the body of ``size`` bytes. Raises ValueError when this is not what was deflated."""
    engine = isal_zlib.decompressobj()
    try:
        body: bytes = engine.decompress(packed, size + 1)
    except NOT_DEFLATED as error:
        raise ValueError(f"does not inflate: {error}") from None
    if len(body) != size or not engine.eof:
        raise ValueError(f"inflates to another size than {size} bytes")
    return body
