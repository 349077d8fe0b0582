"""Synthetic hotkeys: ``<entity hotkey>_<id>``, the name under which a subaccount trades.

Rule: a text is read as a synthetic hotkey exactly when it is what ``synthetic_hotkey`` would write, so no two
texts stand for one subaccount; and an entity's own hotkey never has that form.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

LENGTH_MAX: Final = 128  # characters of an entity's hotkey
ID_MAX: Final = 2**31 - 1

_SYNTHETIC: Final = re.compile(r"(.+)_(0|[1-9][0-9]{0,9})", re.ASCII)
_HOTKEY: Final = re.compile(rf"[!-~]{{1,{LENGTH_MAX}}}")
_RESERVED: Final = frozenset("/|?#%")  # they end a path, a query or a registry key


class Synthetic(NamedTuple):
    """A synthetic hotkey's parts."""

    entity_hotkey: str
    subaccount_id: int


def synthetic_hotkey(entity_hotkey: str, subaccount_id: int) -> str:
    """The subaccount's name."""
    return f"{entity_hotkey}_{subaccount_id}"


def parse(hotkey: str) -> Synthetic | None:
    """The parts of a synthetic hotkey, split at the last underscore; None when it is none."""
    found = _SYNTHETIC.fullmatch(hotkey)
    if found is None or int(found.group(2)) > ID_MAX:
        return None
    return Synthetic(found.group(1), int(found.group(2)))


def is_entity_hotkey(text: object) -> bool:
    """Whether an entity may have this hotkey: printable, fit for an address, and not synthetic."""
    if not isinstance(text, str) or _HOTKEY.fullmatch(text) is None:
        return False
    return not _RESERVED & set(text) and parse(text) is None
