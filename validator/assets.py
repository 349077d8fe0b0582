"""Asset classes: each hotkey selects one, once and for good.

Rule: of any number of selections for a hotkey, whoever makes them and however often a signed request is sent
again, the first one counts and none after it changes anything.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from journal.entry import ConflictError
from runtime.clock import Clock
from validator.registry import ABSENT, Registry

ASSET: Final = "asset|"  # registry key: <hotkey>


class SelectionError(Exception):
    """The selection does not count; the text is for its sender."""


class AssetSelection(msgspec.Struct, frozen=True):
    """Body of an ``asset|<hotkey>`` fact."""

    hotkey: str
    asset_class: str
    coldkey: str | None = None  # unknown of a selection that came with a checkpoint
    time_ms: int = 0


_decoder = msgspec.json.Decoder(AssetSelection)


def read_selection(body: bytes) -> AssetSelection:
    """Read an ``asset|`` fact. Raises msgspec.DecodeError."""
    return _decoder.decode(body)


class Assets:
    """The selections in the registry; ``classes`` may be selected."""

    def __init__(self, registry: Registry, classes: Collection[str], clock: Clock) -> None:
        self._registry, self._classes, self._clock = registry, tuple(classes), clock

    def select(self, hotkey: str, coldkey: str, asset_class: object) -> str:
        """Select an asset class for a hotkey; returns the class.

        Raises SelectionError when there is no such class or one was selected before; UnavailableError.
        """
        wanted = asset_class.lower() if isinstance(asset_class, str) else None
        if wanted not in self._classes:
            raise SelectionError(f"Invalid asset class. Valid options are: {', '.join(self._classes)}")
        body = msgspec.json.encode(AssetSelection(hotkey, wanted, coldkey, self._clock.now_ms()))
        try:
            self._registry.put(ASSET + hotkey, body, expected=ABSENT)
        except ConflictError:
            selected = self.selected(hotkey)
            raise SelectionError(
                f"Asset class already selected: {selected}. Cannot change selection."
            ) from None
        return wanted

    def selected(self, hotkey: str) -> str | None:
        """The hotkey's asset class, or None. Raises UnavailableError."""
        fact = self._registry.get(ASSET + hotkey)
        return read_selection(fact.body).asset_class if fact else None

    def everything(self) -> dict[str, str]:
        """Asset class by hotkey. Raises UnavailableError."""
        found = (read_selection(fact.body) for fact in self._registry.with_prefix(ASSET))
        return {one.hotkey: one.asset_class for one in found}
