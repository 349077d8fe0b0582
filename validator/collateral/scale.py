"""SCALE, the encoding of Substrate chains: the plain forms, and values of types that a runtime describes.

Rule 1: reading never looks beyond the bytes that are there, and costs no more than they are long: whatever
is wrong with them ends in ``ScaleError``.
Rule 2: what is decoded is plain: ints, bools, strings, bytes (arrays and lists of u8), lists, dicts (structs
with named fields), tuples (without names; of one field: the field itself) and ``Choice`` (an enum's variant).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

Shape = Literal["composite", "variant", "sequence", "array", "tuple", "primitive", "compact", "bits"]

DEPTH_MAX: Final = 64
_EMPTY_MAX: Final = 1 << 16  # items that take no bytes in one list
_SMALL, _MEDIUM, _LARGE = 1 << 6, 1 << 14, 1 << 30
_UNSIGNED: Final = ("u8", "u16", "u32", "u64", "u128", "u256")
_PRIMITIVES: Final = ("bool", "char", "str", *_UNSIGNED, *(name.replace("u", "i") for name in _UNSIGNED))


class ScaleError(ValueError):
    """The bytes are not what they should be."""


class Choice(NamedTuple):
    """A variant of an enum and what it carries (None: nothing)."""

    name: str
    value: Any = None


class Field(msgspec.Struct, frozen=True):
    """A field of a struct or variant; ``name`` is None in tuples."""

    name: str | None
    type: int


class Variant(msgspec.Struct, frozen=True):
    """One case of an enum."""

    name: str
    index: int
    fields: tuple[Field, ...]


class Type(msgspec.Struct, frozen=True):
    """A type of a runtime; which attributes count depends on ``shape``. ``items`` are type numbers."""

    shape: Shape
    path: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    variants: tuple[Variant, ...] = ()
    items: tuple[int, ...] = ()
    length: int = 0
    primitive: str = ""
    parameters: Mapping[str, int | None] = {}


class Cursor:
    """Bytes that are read from front to back."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self.data) - self.at

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if not 0 <= count <= self.left:
            raise ScaleError(f"ends after {len(self.data)} bytes, {count} more expected at {self.at}")
        self.at += count
        return self.data[self.at - count : self.at]

    def unsigned(self, size: int) -> int:
        """An unsigned number of ``size`` bytes."""
        return int.from_bytes(self.take(size), "little")

    def compact(self) -> int:
        """A number in the compact form."""
        first = self.unsigned(1)
        mode = first & 3
        if mode == 3:
            return self.unsigned((first >> 2) + 4)
        rest = self.take((1 << mode) - 1)
        return int.from_bytes(bytes([first]) + rest, "little") >> 2

    def count(self) -> int:
        """The length of a list; never more than there are bytes left, so it may be trusted."""
        count = self.compact()
        if count > self.left:
            raise ScaleError(f"a list of {count} in {self.left} bytes")
        return count

    def blob(self) -> bytes:
        """Bytes with their length before them."""
        return self.take(self.count())

    def text(self) -> str:
        """A string."""
        try:
            return self.blob().decode()
        except UnicodeDecodeError:
            raise ScaleError("a string that is not UTF-8") from None

    def flag(self) -> bool:
        """A boolean; also the mark of an optional value."""
        value = self.unsigned(1)
        if value > 1:
            raise ScaleError(f"{value} is not a boolean")
        return value == 1

    def end(self) -> None:
        """Raise ScaleError unless everything was read."""
        if self.left:
            raise ScaleError(f"{self.left} bytes too many")


def unsigned(number: int, size: int) -> bytes:
    """Encode an unsigned number of ``size`` bytes."""
    return number.to_bytes(size, "little")


def compact(number: int) -> bytes:
    """Encode a number in the compact form."""
    if number < _SMALL:
        return unsigned(number << 2, 1)
    if number < _MEDIUM:
        return unsigned(number << 2 | 1, 2)
    if number < _LARGE:
        return unsigned(number << 2 | 2, 4)
    size = max(4, (number.bit_length() + 7) // 8)
    return bytes([(size - 4) << 2 | 3]) + unsigned(number, size)


def decode(types: Mapping[int, Type], number: int, cursor: Cursor, depth: int = 0) -> Any:
    """Read a value of the type with this number. Raises ScaleError."""
    if depth > DEPTH_MAX:
        raise ScaleError("nested too deeply")
    kind = _type(types, number)
    match kind.shape:
        case "primitive":
            return _primitive(kind.primitive, cursor)
        case "compact":
            return _in_shape(types, kind.items[0], cursor.compact(), depth)
        case "composite":
            return _fields(types, kind.fields, cursor, depth)
        case "variant":
            chosen = variant_of(kind, cursor.unsigned(1))
            return Choice(chosen.name, _fields(types, chosen.fields, cursor, depth))
        case "tuple":
            return _unwrapped([decode(types, item, cursor, depth + 1) for item in kind.items])
        case "sequence" | "array":
            return _list(types, kind, cursor, depth)
        case "bits":
            raise ScaleError("lists of bits are not read")


def variant_of(kind: Type, index: int) -> Variant:
    """The case of an enum with this index."""
    for variant in kind.variants:
        if variant.index == index:
            return variant
    raise ScaleError(f"{'::'.join(kind.path) or 'an enum'} has no case {index}")


def is_empty(types: Mapping[int, Type], number: int, depth: int = 0) -> bool:
    """Whether values of the type take no bytes."""
    kind = _type(types, number)
    inner = [field.type for field in kind.fields] if kind.shape == "composite" else list(kind.items)
    if depth > DEPTH_MAX or kind.shape not in ("composite", "tuple"):
        return False
    return all(is_empty(types, one, depth + 1) for one in inner)


def _type(types: Mapping[int, Type], number: int) -> Type:
    if number not in types:
        raise ScaleError(f"type {number} is not described")
    return types[number]


def _primitive(name: str, cursor: Cursor) -> Any:
    if name == "bool":
        return cursor.flag()
    if name == "str":
        return cursor.text()
    if name == "char":
        return cursor.unsigned(4)
    return int.from_bytes(cursor.take(int(name[1:]) // 8), "little", signed=name[0] == "i")


def _in_shape(types: Mapping[int, Type], number: int, value: int, depth: int) -> Any:
    """A compact number of a struct of one number is that number; of an empty one it is nothing."""
    return None if is_empty(types, number, depth) else value


def _fields(types: Mapping[int, Type], fields: tuple[Field, ...], cursor: Cursor, depth: int) -> Any:
    values = [decode(types, field.type, cursor, depth + 1) for field in fields]
    names = [field.name for field in fields]
    if fields and all(name is not None for name in names):
        return dict(zip(names, values, strict=True))
    return _unwrapped(values)


def _unwrapped(values: list[Any]) -> Any:
    if not values:
        return None
    return values[0] if len(values) == 1 else tuple(values)


def _list(types: Mapping[int, Type], kind: Type, cursor: Cursor, depth: int) -> Any:
    count = kind.length if kind.shape == "array" else cursor.count()
    item = _type(types, kind.items[0])
    if item.shape == "primitive" and item.primitive == "u8":
        return cursor.take(count)
    if count > (_EMPTY_MAX if is_empty(types, kind.items[0]) else cursor.left):
        raise ScaleError(f"a list of {count} in {cursor.left} bytes")
    return [decode(types, kind.items[0], cursor, depth + 1) for _ in range(count)]


def primitive_name(index: int) -> str:
    """The name of a primitive type by its number in metadata."""
    if index >= len(_PRIMITIVES):
        raise ScaleError(f"there is no primitive type {index}")
    return _PRIMITIVES[index]
