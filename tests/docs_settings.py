"""The settings as tables: keys, defaults and bounds from the structs, meanings from their docstrings.

A docstring says what a setting means in one of two ways, either of which is enough::

    Fields:
        name, other_name: what it means.

    ``name``: what it means; ``other``: likewise. ``third`` that does something.

Where that reads badly on its own line, ``docs_meanings.py`` has a better sentence.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from runtime.settings import AccountSettings, Settings, VenueSettings
from tests.docs_markdown import table
from tests.docs_meanings import MEANINGS

HEAD: Final = ("key", "default", "environment", "meaning")
OF_THE_VENUE: Final = frozenset(
    f"venues.<name>.{name}" for name in ("urls", "poll_interval_s", "timeout_s", "requests_per_s")
)


def settings_tables() -> str:
    """Every setting, one table a section."""
    parts = [_section("Top level", "", Settings)]
    for name, struct in sections().items():
        parts.append(_section(f"`[{name}]`", f"{name}.", struct))
        for field, rows in _lists_of(struct):
            parts.append(_section(f"`[[{name}.{field}]]`", f"{name}.{field}.", rows, has_variables=False))
    parts.append(_section("`[venues.<name>]`", "venues.<name>.", VenueSettings))
    parts.append(_section("`[[venues.<name>.accounts]]`", "", AccountSettings, has_variables=False))
    return "\n\n".join(parts)


def sections() -> dict[str, type[msgspec.Struct]]:
    """The sections of the configuration file by name; venues have one each and are not among them."""
    fields = msgspec.structs.fields(Settings)
    return {field.name: field.type for field in fields if _is_struct(field.type)}


def keys() -> list[str]:
    """Every key with its section, as ``rest.threads``; venues have names of their own."""
    fields = [field for field in msgspec.structs.fields(Settings) if field.name != "venues"]
    plain = [field.name for field in fields if not _is_struct(field.type)]
    return plain + [
        f"{name}.{field.name}" for name, one in sections().items() for field in msgspec.structs.fields(one)
    ]


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _lists_of(struct: type[msgspec.Struct]) -> Iterator[tuple[str, type[msgspec.Struct]]]:
    """The fields that are lists of sections of their own."""
    for field in msgspec.structs.fields(struct):
        if get_origin(field.type) is list and _is_struct(get_args(field.type)[0]):
            yield field.name, get_args(field.type)[0]


def _section(title: str, prefix: str, struct: type[msgspec.Struct], *, has_variables: bool = True) -> str:
    hints = get_type_hints(struct, include_extras=True)
    rows = []
    for field in msgspec.structs.fields(struct):
        if _is_struct(field.type) or (struct is Settings and field.name == "venues"):
            continue  # a section of its own
        kind, key = hints[field.name], prefix + field.name
        variable = _variable(key, kind) if has_variables else ""
        default = "(the venue's)" if key in OF_THE_VENUE else _default(field)
        rows.append((f"`{field.name}`", default, variable, _meaning(struct, key, field.name, kind)))
    return f"### {title}\n\n{table(HEAD, rows)}"


def _variable(key: str, kind: Any) -> str:
    """The environment variable of a key; empty where no variable can hold its value."""
    (outer, *_) = _parts(kind)
    name = f"VANTA_{key.upper().replace('.', '__')}"
    if get_origin(outer) is dict and get_origin(get_args(outer)[1]) is Annotated:
        return f"`{name}__<KEY>`"
    return "" if get_origin(outer) in (list, tuple, dict) else f"`{name}`"


def _parts(kind: Any) -> Iterator[Any]:
    """The plain types that a hint is made of, at its outermost level."""
    origin = get_origin(kind)
    if origin is Annotated:
        yield from _parts(get_args(kind)[0])
    elif origin in (Union, UnionType):
        for part in get_args(kind):
            yield from _parts(part)
    else:
        yield kind


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT:
        return "(needed)"
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    if value is None:
        return ""
    if isinstance(value, Path):
        value = str(value)
    text = msgspec.json.encode(value).decode().replace('","', '", "')
    return f"`{text}`"


def _meaning(struct: type[msgspec.Struct], key: str, name: str, kind: Any) -> str:
    text = MEANINGS.get(key) or _told(inspect.getdoc(struct) or "", name)
    if text is None:
        raise LookupError(
            f"nothing says what the setting {key} means: describe it in the docstring of {struct.__name__} "
            f"(under Fields:, or as ``{name}``: ...) or in tests/docs_meanings.py"
        )
    bounds = _bounds(kind)
    return f"{text} ({bounds})" if bounds else text


def _told(docstring: str, name: str) -> str | None:
    """What a docstring says of a setting."""
    text = _under_fields(docstring, name) or _in_prose(docstring, name)
    return None if text is None else re.sub(r"\s+", " ", text).strip(" .;,").replace("``", "`")


def _under_fields(docstring: str, name: str) -> str | None:
    _, _, fields = docstring.partition("Fields:\n")
    for found in re.finditer(r"^ {4}([a-z0-9_, ]+): (.*(?:\n {8}.*)*)", fields, re.MULTILINE):
        if name in [one.strip() for one in found.group(1).split(",")]:
            return found.group(2).partition("; ``")[0] if "``:" in found.group(2) else found.group(2)
    return None


def _in_prose(docstring: str, name: str) -> str | None:
    """The words after the name, and after the names that share them, up to the end of the clause."""
    others = r"(?:\s*\([^)]*\))?(?:(?:,| and|, and)\s+``\w+``)*"
    clause = r"((?:\([^)]*\)|\.(?=\S)|[^;.(])*)"
    found = re.search(rf"``{name}``{others}:?\s*{clause}", docstring)
    return found.group(1) if found else None


def _bounds(kind: Any) -> str:
    texts = [_of_meta(meta) for meta in _metas(kind)]
    for part in _parts(kind):
        if get_origin(part) is Literal:
            texts.append(" or ".join(f"`{value}`" for value in get_args(part)))
    return ", ".join(filter(None, texts))


def _metas(kind: Any) -> Iterator[msgspec.Meta]:
    if get_origin(kind) is Annotated:
        yield from (meta for meta in kind.__metadata__ if isinstance(meta, msgspec.Meta))
    elif get_origin(kind) in (Union, UnionType):
        for part in get_args(kind):
            yield from _metas(part)


def _of_meta(meta: msgspec.Meta) -> str:
    low = f"from {_number(meta.ge)}" if meta.ge is not None else ""
    if meta.gt is not None:
        low = f"above {_number(meta.gt)}"
    high = f"to {_number(meta.le)}" if meta.le is not None else ""
    return " ".join(filter(None, (low, high)))


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and value < 1e9 else f"{value:g}"
