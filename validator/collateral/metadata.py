"""What a Substrate runtime says about itself: its calls, storage, events and how transactions are signed.

Only metadata of version 14 is read, which is what every node answers to ``state_getMetadata``. What is not
needed (documentation, errors, type names) is skipped, not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import xxhash

from validator.collateral.scale import (
    Choice,
    Cursor,
    Field,
    ScaleError,
    Type,
    Variant,
    decode,
    primitive_name,
    variant_of,
)

MAGIC: Final = b"meta"
VERSION: Final = 14
FILE_BYTES_MAX: Final = 16 * 1024 * 1024

Item = TypeVar("Item")


class Extension(msgspec.Struct, frozen=True):
    """A part of what every transaction carries (``explicit``) or signs without carrying (``implicit``)."""

    name: str
    explicit: int
    implicit: int


class Storage(msgspec.Struct, frozen=True):
    """An item of a pallet's storage; ``hashers`` is empty when it is one value, ``prefix`` is its key."""

    prefix: bytes
    hashers: tuple[int, ...]
    value: int


class Pallet(msgspec.Struct, frozen=True):
    """A module of the runtime; ``calls`` is the type of its calls; constants are name → (type, bytes)."""

    name: str
    index: int
    calls: int | None
    storage: Mapping[str, Storage]
    constants: Mapping[str, tuple[int, bytes]]


class Call(msgspec.Struct, frozen=True):
    """Where a call stands: the two bytes it begins with, and its arguments in order."""

    prefix: bytes
    arguments: tuple[Field, ...]


class Metadata(msgspec.Struct, frozen=True):
    """A runtime. ``address``, ``signature`` are types; ``transaction`` is the version of its form."""

    types: Mapping[int, Type]
    pallets: Mapping[str, Pallet]
    transaction: int
    address: int
    signature: int
    extensions: tuple[Extension, ...]

    def call(self, pallet: str, name: str) -> Call:
        """Where a call stands. Raises ScaleError when the runtime has no such call."""
        found = self._pallet(pallet)
        for variant in self.types[found.calls].variants if found.calls is not None else ():
            if variant.name == name:
                return Call(bytes([found.index, variant.index]), variant.fields)
        raise ScaleError(f"the runtime has no call {pallet}.{name}")

    def call_name(self, prefix: bytes) -> str:
        """The name of the call that begins with these two bytes. Raises ScaleError."""
        for pallet in self.pallets.values():
            if pallet.index == prefix[0] and pallet.calls is not None:
                return f"{pallet.name}.{variant_of(self.types[pallet.calls], prefix[1]).name}"
        raise ScaleError(f"the runtime has no pallet {prefix[0]} with calls")

    def constant(self, pallet: str, name: str) -> Any:
        """A constant's value. Raises ScaleError."""
        constants = self._pallet(pallet).constants
        if name not in constants:
            raise ScaleError(f"the runtime has no constant {pallet}.{name}")
        number, value = constants[name]
        return decode(self.types, number, Cursor(value))

    def storage(self, pallet: str, name: str) -> Storage:
        """An item of storage. Raises ScaleError."""
        storage = self._pallet(pallet).storage
        if name not in storage:
            raise ScaleError(f"the runtime has no storage {pallet}.{name}")
        return storage[name]

    def read(self, number: int, data: bytes) -> Any:
        """Decode the whole of ``data`` as the type. Raises ScaleError."""
        cursor = Cursor(data)
        value = decode(self.types, number, cursor)
        cursor.end()
        return value

    def _pallet(self, name: str) -> Pallet:
        if name not in self.pallets:
            raise ScaleError(f"the runtime has no pallet {name}")
        return self.pallets[name]


def storage_prefix(pallet: str, name: str) -> bytes:
    """The key of a storage item, without the part for the map's key."""
    return _twox_128(pallet) + _twox_128(name)


def _twox_128(text: str) -> bytes:
    return b"".join(xxhash.xxh64_intdigest(text.encode(), seed).to_bytes(8, "little") for seed in (0, 1))


def load(path: Path) -> Metadata:
    """Read a metadata file: the bytes, their hex, or the node's whole answer. Raises ScaleError, OSError."""
    if path.stat().st_size > FILE_BYTES_MAX:
        raise ScaleError(f"longer than {FILE_BYTES_MAX} bytes")
    content = path.read_bytes()
    return parse(content if content.startswith(MAGIC) else from_text(content.decode("utf-8", "replace")))


def from_text(text: str) -> bytes:
    """The bytes of hex text, or of the ``result`` of a JSON-RPC answer. Raises ScaleError."""
    try:
        found = text.strip()
        if found.startswith("{"):
            found = msgspec.json.decode(found, type=dict[str, Any])["result"]
        return bytes.fromhex(found.strip('"').removeprefix("0x"))
    except (msgspec.DecodeError, KeyError, AttributeError, ValueError):
        raise ScaleError("neither metadata nor its hex") from None


def parse(data: bytes) -> Metadata:
    """Read metadata. Raises ScaleError."""
    cursor = Cursor(data)
    if cursor.take(len(MAGIC)) != MAGIC:
        raise ScaleError("not metadata")
    if (version := cursor.unsigned(1)) != VERSION:
        raise ScaleError(f"metadata of version {version}, expected {VERSION}")
    types = dict(_many(cursor, _portable_type))
    pallets = _many(cursor, _pallet)
    transaction, version = cursor.compact(), cursor.unsigned(1)
    extensions = tuple(_many(cursor, lambda c: Extension(c.text(), c.compact(), c.compact())))
    cursor.compact()  # the runtime's own type
    cursor.end()
    parts = types[transaction].parameters if transaction in types else {}
    address, signature = parts.get("Address"), parts.get("Signature")
    if address is None or signature is None:
        raise ScaleError("metadata does not say how transactions are signed")
    by_name = {pallet.name: pallet for pallet in pallets}
    return Metadata(types, by_name, version, address, signature, extensions)


def _many(cursor: Cursor, read: Callable[[Cursor], Item]) -> list[Item]:
    return [read(cursor) for _ in range(cursor.count())]


def _maybe(cursor: Cursor, read: Callable[[Cursor], Item]) -> Item | None:
    return read(cursor) if cursor.flag() else None


def _texts(cursor: Cursor) -> tuple[str, ...]:
    return tuple(_many(cursor, Cursor.text))


def _field(cursor: Cursor) -> Field:
    found = Field(_maybe(cursor, Cursor.text), cursor.compact())
    _maybe(cursor, Cursor.text)  # the type's name in the source
    _texts(cursor)  # documentation
    return found


def _variant(cursor: Cursor) -> Variant:
    name, fields, index = cursor.text(), tuple(_many(cursor, _field)), cursor.unsigned(1)
    _texts(cursor)
    return Variant(name, index, fields)


def _portable_type(cursor: Cursor) -> tuple[int, Type]:
    number, path = cursor.compact(), _texts(cursor)
    parameters = dict(_many(cursor, lambda c: (c.text(), _maybe(c, Cursor.compact))))
    found = _definition(cursor, path, parameters)
    _texts(cursor)
    return number, found


def _definition(cursor: Cursor, path: tuple[str, ...], parameters: dict[str, int | None]) -> Type:
    match cursor.unsigned(1):
        case 0:
            return Type("composite", path, fields=tuple(_many(cursor, _field)), parameters=parameters)
        case 1:
            return Type("variant", path, variants=tuple(_many(cursor, _variant)), parameters=parameters)
        case 2:
            return Type("sequence", path, items=(cursor.compact(),))
        case 3:
            length = cursor.unsigned(4)
            return Type("array", path, items=(cursor.compact(),), length=length)
        case 4:
            return Type("tuple", path, items=tuple(_many(cursor, Cursor.compact)))
        case 5:
            return Type("primitive", path, primitive=primitive_name(cursor.unsigned(1)))
        case 6:
            return Type("compact", path, items=(cursor.compact(),))
        case 7:
            return Type("bits", path, items=(cursor.compact(), cursor.compact()))
        case other:
            raise ScaleError(f"there is no kind of type {other}")


def _pallet(cursor: Cursor) -> Pallet:
    name = cursor.text()
    storage = _maybe(cursor, _storage) or {}
    calls = _maybe(cursor, Cursor.compact)
    _maybe(cursor, Cursor.compact)  # events: reached through System.Events
    constants = dict(_many(cursor, _constant))
    _maybe(cursor, Cursor.compact)  # errors
    return Pallet(name, cursor.unsigned(1), calls, storage, constants)


def _constant(cursor: Cursor) -> tuple[str, tuple[int, bytes]]:
    name, number, value = cursor.text(), cursor.compact(), cursor.blob()
    _texts(cursor)
    return name, (number, value)


def _storage(cursor: Cursor) -> dict[str, Storage]:
    prefix = cursor.text()
    return dict(_many(cursor, lambda c: _storage_item(c, prefix)))


def _storage_item(cursor: Cursor, pallet: str) -> tuple[str, Storage]:
    name = cursor.text()
    cursor.unsigned(1)  # what a missing value means
    hashers: tuple[int, ...] = ()
    if cursor.flag():
        hashers = tuple(cursor.take(cursor.count()))
        cursor.compact()  # the key's type
    value = cursor.compact()
    cursor.blob()  # the default
    _texts(cursor)
    return name, Storage(storage_prefix(pallet, name), hashers, value)


def choice_path(value: Any) -> tuple[tuple[str, ...], Any]:
    """The names of nested variants from the outside in, and what the innermost carries."""
    names: list[str] = []
    while isinstance(value, Choice):
        names.append(value.name)
        value = value.value
    return tuple(names), value
