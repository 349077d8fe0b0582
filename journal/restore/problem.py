"""What is wrong with a checkpoint, and where."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec

_SCAN_BYTES: Final = 64 * 1024 * 1024  # a path in a longer text is not looked for: it would take a minute
_TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{}:,]', re.DOTALL)
_KINDS: Final = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "null": type(None),
    "array": list,
    "object": dict,
}
_FIELD: Final = re.compile(r"field `(.+?)`")


class Refused(Exception):
    """The checkpoint is not restored. ``path`` names the field (empty: the whole), ``problem`` says why."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path, self.problem = path, problem


@contextmanager
def within(path: str, raw: msgspec.Raw | None = None) -> Iterator[None]:
    """Turn what a decoder says into a refusal at the field's path, seen from ``path``.

    ``raw``: the text that is decoded, where the path may go through an object that maps any keys.
    """
    try:
        yield
    except msgspec.ValidationError as error:
        raise _refused(path, _with_keys(str(error), raw)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(path, f"is no JSON text: {error}") from None
    except RecursionError:
        raise Refused(path, "is nested too deeply") from None


def moved(error: msgspec.ValidationError, path: str) -> msgspec.ValidationError:
    """The same error seen from one level further up, at ``path``."""
    what, _, where = str(error).partition(" - at `$")
    return msgspec.ValidationError(f"{what} - at `${path}{where.rstrip('`')}`")


def _refused(path: str, text: str) -> Refused:
    what, _, where = text.partition(" - at `$")
    path += where.rstrip("`")
    field = _FIELD.search(what)
    if field is None:
        return Refused(path, lowered(what))
    problem = "missing" if "missing" in what else "not a field of this"
    return Refused(f"{path}.{field.group(1)}" if path else field.group(1), problem)


def _with_keys(text: str, raw: msgspec.Raw | None) -> str:
    """The decoder's message with the key in place of each ``[...]``, found again in what was decoded."""
    what, at, where = text.partition(" - at `$")
    if "[...]" not in where or raw is None:
        return text
    found = _search(msgspec.json.decode(raw), re.findall(r"\[\.\.\.\]|[^.\[\]]+", where.rstrip("`")), what)
    return text if found is None else f"{what}{at}{''.join(found)}`"


def _search(value: Any, steps: Sequence[str], what: str) -> list[str] | None:
    """The first way along ``steps`` to a value that the message fits."""
    if not steps:
        return [] if _fits(value, what) else None
    step, rest = steps[0], steps[1:]
    if isinstance(value, dict):
        keys = list(value) if step == "[...]" else [step] if step in value else []
        ways = ((f".{key}", value[key]) for key in keys)
    elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
        ways = ((f"[{step}]", value[int(step)]) for _ in range(1))
    else:
        return None
    for shown, inner in ways:
        if (found := _search(inner, rest, what)) is not None:
            return [shown, *found]
    return None


def _fits(value: Any, what: str) -> bool:
    got = re.search(r"got `(\w+)`", what)
    field = _FIELD.search(what)
    if (length := re.search(r"length \d+, got (\d+)", what)) is not None:
        return isinstance(value, list) and len(value) == int(length.group(1))
    if got is not None:
        return _KINDS.get(got.group(1), object) is type(value)
    return field is None or (field.group(1) not in value if "missing" in what else field.group(1) in value)


def lowered(sentence: str) -> str:
    """The sentence as part of a longer one."""
    return sentence if sentence[:2].isupper() else sentence[:1].lower() + sentence[1:]


def place(text: bytes, offset: int) -> str:
    """The path of what stands at ``offset`` of a JSON text, as far as it can be told (else empty)."""
    if offset > _SCAN_BYTES:
        return ""
    steps: list[str | int] = []
    opened: list[bool] = []  # for each level: is it an object
    key = ""
    for match in _TOKENS.finditer(text, 0, offset):
        token = match.group()
        if token[:1] == b'"':
            key = token.strip(b'"').decode(errors="replace")
        elif token in b"{[":
            opened.append(token == b"{")
            steps.append("" if token == b"{" else 0)
        elif token in b"}]" and opened:
            opened.pop()
            steps.pop()
        elif token == b":" and opened:
            steps[-1] = key
        elif token == b"," and opened and not opened[-1]:
            steps[-1] = int(steps[-1]) + 1
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).strip(".")
