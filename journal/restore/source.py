"""From a file's bytes to a JSON object: what it is is seen from its content, not from its name.

Rule 1: whatever cannot be read completely is refused with what it seems to be.
Rule 2: ``Infinity`` and ``NaN``, which older validators wrote, are read as null and reported; where a number
is needed null is refused.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
from isal import isal_zlib

from journal.codec import NOT_DEFLATED
from journal.restore.problem import Refused, lowered, place

CHUNK: Final = 64 * 1024  # a thousand times as much may come out of it
MOST_BYTES: Final = 8 * 1024**3  # of the text; more than any checkpoint, less than a bomb
_GZIP, _ZSTD, _BOM = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xef\xbb\xbf"
_LITERALS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|-?Infinity|NaN', re.DOTALL)
_AT_BYTE: Final = re.compile(r"\(byte (\d+)\)")

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""
Sections = dict[str, msgspec.Raw]

_sections: Final = msgspec.json.Decoder(Sections | str)


def read_file(path: Path, progress: Progress) -> bytes:
    """The file's bytes. Raises OSError."""
    total = path.stat().st_size
    content = bytearray()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            content += chunk
            progress(len(content), total)
    return bytes(content)


def sidecar_digest(path: Path) -> bytes | None:
    """The SHA-256 in ``<path>.sha256`` (as sha256sum writes it), or None without such a file."""
    beside = path.with_name(f"{path.name}.sha256")
    if not beside.is_file():
        return None
    word = (beside.read_text(encoding="utf-8", errors="replace").split() or [""])[0]
    try:
        return bytes.fromhex(word)
    except ValueError:
        raise Refused("", f"{beside.name} does not begin with a SHA-256 in hexadecimal digits") from None


def header_digest(value: str | None) -> bytes | None:
    """The SHA-256 in a ``Repr-Digest`` or ``Content-Digest`` header (RFC 9530), or None."""
    for item in (value or "").split(","):
        name, _, digest = item.strip().partition("=")
        if name.lower() == "sha-256" and digest.startswith(":") and digest.endswith(":"):
            try:
                return base64.b64decode(digest[1:-1], validate=True)
            except binascii.Error:
                raise Refused("", "the server's digest header cannot be read") from None
    return None


def check_digest(content: bytes, expected: bytes | None) -> None:
    """Raise Refused when the bytes are not those the digest was made of."""
    if expected is not None and sha256(content).digest() != expected:
        raise Refused("", "its bytes do not have the digest that came with it: fetch it again")


def text_of(content: bytes, progress: Progress) -> bytes:
    """The JSON text inside. Raises Refused."""
    for _ in range(2):  # a .gz file that a server compressed again on the way
        if content.startswith(_GZIP):
            content = _unzipped(content, progress)
    if content.startswith(_ZSTD):
        raise Refused("", "is compressed with zstd: decompress it first (zstd -d)")
    text = content.removeprefix(_BOM)
    start = text[:CHUNK].lstrip()
    if not start:
        raise Refused("", "is empty")
    if start.startswith(b"<"):
        raise Refused("", "is a web page or XML, not a checkpoint: was the address right?")
    return text


def _unzipped(content: bytes, progress: Progress) -> bytes:
    text = bytearray()
    done = 0
    while done < len(content):  # a gzip file may have several members
        engine = isal_zlib.decompressobj(wbits=31)
        try:
            while not engine.eof and done < len(content):
                chunk = content[done : done + CHUNK]
                done += len(chunk)
                text += engine.decompress(chunk)
                progress(min(done, len(content)), len(content))
                if len(text) > MOST_BYTES:
                    raise Refused("", f"is larger than {MOST_BYTES} bytes when decompressed")
        except NOT_DEFLATED as error:
            raise Refused("", f"its gzip data is damaged: {error}") from None
        if not engine.eof:
            raise Refused("", "ends in the middle of its gzip data: fetch it again")
        done -= len(engine.unused_data)
    return bytes(text)


def parse(text: bytes) -> tuple[Sections, list[str]]:
    """The top-level object with its values untouched, and warnings. Raises Refused."""
    try:
        return _object(text), []
    except Refused:
        cleaned, warnings = _without_literals(text)
        if not warnings:
            raise
        return _object(cleaned), warnings


def _object(text: bytes) -> Sections:
    for _ in range(2):  # a text inside a text was once written
        try:
            found = _sections.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _unreadable(text, str(error)) from None
        except RecursionError:
            raise Refused("", "is nested too deeply") from None
        if not isinstance(found, str):
            return _checked(found)
        text = found.encode()
    raise Refused("", "is a text inside a text inside a text")


def _checked(sections: Sections) -> Sections:
    if "positions" not in sections and "error" in sections:
        raise Refused("", f"is a server's error, not a checkpoint: {bytes(sections['error']).decode()[:200]}")
    return sections


def _unreadable(text: bytes, problem: str) -> Refused:
    if problem.startswith("Expected"):
        return Refused("", "is no JSON object: a checkpoint begins with {")
    at = _AT_BYTE.search(problem)
    offset = int(at.group(1)) if at else len(text)
    if "truncated" in problem or (offset >= len(text) and "trailing" not in problem):
        return Refused(place(text, len(text)), "ends in the middle: fetch it again")
    return Refused(place(text, offset), lowered(problem))


def _without_literals(text: bytes) -> tuple[bytes, list[str]]:
    """The text with null for what is no JSON number, and what was found (nothing: no such thing)."""
    if b"Infinity" not in text and b"NaN" not in text:
        return text, []
    offsets: list[int] = []

    def replaced(match: re.Match[bytes]) -> bytes:
        if match.group()[:1] == b'"':
            return match.group()
        offsets.append(match.start())
        return b"null"

    cleaned = _LITERALS.sub(replaced, text)
    if not offsets:
        return text, []
    where = place(text, offsets[0]) or f"byte {offsets[0]}"
    return cleaned, [f"{len(offsets)} values that are no numbers (Infinity, NaN) count as absent: {where}"]


def is_named_otherwise(path: Path, content: bytes) -> str | None:
    """A warning when the name promises another form than the content has."""
    if path.suffix == ".gz" and not content.startswith(_GZIP):
        return f"{path.name} is named .gz but is not compressed"
    if path.suffix == ".json" and content.startswith(_GZIP):
        return f"{path.name} is named .json but is gzip data"
    return None


def names_own_form(sections: Mapping[str, object], own: frozenset[str]) -> bool:
    """Whether this product wrote it: any of its own keys is there."""
    return bool(own & sections.keys())
