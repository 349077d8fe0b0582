"""The way of venue facts into the journal: shut for hotkeys that were eliminated.

Rule 1: after a hotkey's elimination no position of it is written through here, however the writers race:
every append carries a guard per hotkey, which is looked at in the transaction that writes.
Rule 2: what is turned away is not lost. What the venue still holds becomes ``residual|<hotkey>|<lot>`` in
the registry, where only the newest of each lot (the venue's position id, else its instrument) counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from journal.entry import POSITIONS, REGISTRY, Appended, ConflictError, Draft, UnavailableError, Writer
from validator.eliminated import key_of
from validator.registry import ABSENT, ATTEMPTS, Registry
from vanta_api.records import Position, decode_position_message, encode

RESIDUAL: Final = "residual|"  # <hotkey>|<lot>


class Residual(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue holds of a hotkey that is out. Amounts are exact decimal strings."""

    position_uuid: str
    trade_pair_id: str
    venue: str | None
    account: str | None
    quantity: str
    average_entry_price: str
    is_closed: bool
    observed_ms: int | None


class ResidualMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a ``registry`` entry with key ``residual|<hotkey>|<lot>``."""

    residual: Residual


_decoder = msgspec.json.Decoder(ResidualMessage)


class Gate:
    """A writer in front of a journal's. ``registry`` reads the same journal. Threads may share it."""

    def __init__(self, journal: Writer, registry: Registry) -> None:
        self._journal, self._registry = journal, registry

    def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        """Write what may be written, in one transaction; see ``journal.entry.Writer.append``.

        The result of a draft that was turned away has the number 0 and is not new.
        """
        for _ in range(ATTEMPTS):
            shut = {hotkey for hotkey in _hotkeys(drafts) if self._registry.get(key_of(hotkey)) is not None}
            try:
                return self._append(drafts, shut)
            except ConflictError:
                if not _hotkeys(drafts) - shut or not self._was_shut(drafts, shut):
                    raise  # a conflict of the caller's own
        raise UnavailableError("eliminations keep coming between")

    def close(self) -> None:
        """Close the journal's writer."""
        self._journal.close()

    def _was_shut(self, drafts: Sequence[Draft], shut: set[str]) -> bool:
        """Whether a hotkey was eliminated meanwhile."""
        return any(self._registry.get(key_of(hotkey)) is not None for hotkey in _hotkeys(drafts) - shut)

    def _append(self, drafts: Sequence[Draft], shut: set[str]) -> list[Appended]:
        guards = [_guard(hotkey) for hotkey in sorted(_hotkeys(drafts) - shut)]
        sent = [draft if _hotkey(draft) not in shut else _turned_away(draft) for draft in drafts]
        results = self._journal.append([*guards, *sent])[len(guards) :]
        return [
            done if _hotkey(draft) not in shut else Appended(POSITIONS, 0, False)
            for draft, done in zip(drafts, results, strict=True)
        ]


def _guard(hotkey: str) -> Draft:
    return Draft(REGISTRY, key_of(hotkey), b"", expected_last=ABSENT, is_guard=True)


def _hotkey(draft: Draft) -> str | None:
    """Whose position the draft is; None: of another stream."""
    return draft.key.rpartition("|")[0] if draft.stream == POSITIONS else None


def _hotkeys(drafts: Sequence[Draft]) -> set[str]:
    return {hotkey for draft in drafts if (hotkey := _hotkey(draft)) is not None}


def _turned_away(draft: Draft) -> Draft:
    return residual_draft(decode_position_message(draft.body).position)


def residual_draft(position: Position) -> Draft:
    """The registry fact that says what the venue holds of this position."""
    facts = position.venue
    residual = Residual(
        position_uuid=position.position_uuid,
        trade_pair_id=position.trade_pair[0],
        venue=facts.name if facts else None,
        account=facts.account if facts else None,
        quantity=(facts.quantity if facts else None) or repr(position.net_quantity),
        average_entry_price=(facts.average_entry_price if facts else None)
        or repr(position.average_entry_price),
        is_closed=position.is_closed_position,
        observed_ms=facts.observed_ms if facts else None,
    )
    lot = f"{facts.name}:{facts.position_id or facts.instrument}" if facts else position.position_uuid
    key = f"{RESIDUAL}{position.miner_hotkey}|{lot}"
    identity = encode(msgspec.structs.replace(residual, position_uuid="", observed_ms=None))
    return Draft(REGISTRY, key, encode(ResidualMessage(residual=residual)), identity)


def residuals(registry: Registry, hotkey: str) -> list[dict[str, Any]]:
    """What the venues still hold of an eliminated hotkey, as ``residual`` shows it. Raises JournalError."""
    found = (_decoder.decode(fact.body).residual for fact in registry.with_prefix(f"{RESIDUAL}{hotkey}|"))
    return [msgspec.to_builtins(one) for one in found if not one.is_closed]
