"""Damaging a JSON text in every way: cut, a field taken out, mistyped or changed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Steps = tuple[str | int, ...]


@dataclass(frozen=True)
class Damage:
    """A damaged text. ``path`` is the field's, as a refusal should name it (empty: none is to blame)."""

    kind: str
    path: str
    text: bytes


def path_of(steps: Steps) -> str:
    """``("a", 0, "b")`` → ``a[0].b``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")


def places(value: Any, steps: Steps = ()) -> Iterator[Steps]:
    """Every value's place below the top."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, one in inner:
        yield (*steps, step)
        yield from places(one, (*steps, step))


def damaged(text: bytes, count: int, chance: random.Random) -> Iterator[Damage]:
    """``count`` texts, each damaged in one place."""
    whole = json.loads(text)
    all_places = list(places(whole))
    for _ in range(count):
        kind = chance.choice(("cut", "removed", "mistyped", "changed"))
        if kind == "cut":
            yield Damage(kind, "", text[: chance.randrange(len(text))])
            continue
        steps = chance.choice(all_places)
        found = copy.deepcopy(whole)
        holder = found
        for step in steps[:-1]:
            holder = holder[step]
        if kind == "removed":
            del holder[steps[-1]]
        else:
            make = mistyped if kind == "mistyped" else changed
            holder[steps[-1]] = make(holder[steps[-1]], chance)
        moves_others = kind == "removed" and isinstance(holder, list)
        path = path_of(steps[:-1] if moves_others else steps)
        yield Damage(kind, path, json.dumps(found, separators=(",", ":")).encode())


def mistyped(value: Any, chance: random.Random) -> Any:
    """A value of a JSON type that no field of the old value's type has."""
    if isinstance(value, dict | list):
        return chance.choice([7, "x", True])
    if isinstance(value, str):
        return chance.choice([7.5, {}, [], False])
    return chance.choice([{}, [], [1], {"a": 1}])


def changed(value: Any, chance: random.Random) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + chance.choice([1, -1, 1000])
    if isinstance(value, str):
        return value + chance.choice(["x", " ", "0"])
    if isinstance(value, list):
        return [*value, *value[:1]] if value else [None]
    if isinstance(value, dict):
        return {**value, "unheard-of": 1}
    return 1.25
