"""What other nodes have not confirmed yet: a cursor per peer over the creations in the registry.

Rule 1: nothing is queued. A subaccount that was created here and lies after a peer's cursor is owed to it;
so a crash between creation and delivery forgets nothing.
Rule 2: the cursor moves only past what the peer answered for, in the order of creation. Delivery is at least
once; receivers know a creation by its uuid.
Rule 3: what was told by a peer is not passed on, so two nodes may name each other.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Final

import msgspec

from validator.entities.hotkeys import ID_MAX, LENGTH_MAX, synthetic_hotkey
from validator.entities.records import SUBACCOUNT, Status, Subaccount, decode_subaccount
from validator.registry import ABSENT, Registry
from vanta_api.records import encode

PEER: Final = "peer|"  # <digest of the peer's URL>


SIZE_MAX: Final = 1e15  # USD
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a ``registry`` entry with key ``peer|<digest>``: everything up to ``confirmed`` is done with.

    ``refused`` counts creations that the peer will never take (it has another uuid for the id).
    """

    url: str
    confirmed: int = 0
    refused: int = 0


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What else was agreed at the creation, as the client sent it."""

    bucket: Word | int | float | msgspec.UnsetType = msgspec.UNSET
    pro_account_size: Word | int | float | msgspec.UnsetType = msgspec.UNSET
    eod_hwm_threshold: Word | int | float | msgspec.UnsetType = msgspec.UNSET
    intraday_drawdown_threshold: Word | int | float | msgspec.UnsetType = msgspec.UNSET


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What one node tells another about a subaccount."""

    entity_hotkey: Annotated[str, msgspec.Meta(min_length=1, max_length=LENGTH_MAX)]
    subaccount_id: Annotated[int, msgspec.Meta(ge=0, le=ID_MAX)]
    subaccount_uuid: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    synthetic_hotkey: Annotated[str, msgspec.Meta(min_length=3, max_length=LENGTH_MAX + 11)]
    created_at_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    account_size: Annotated[float, msgspec.Meta(gt=0, le=SIZE_MAX)]
    asset_class: Word
    status: Status = "active"
    hl_address: Word | None = None
    payout_address: Word | None = None
    terms: Terms = msgspec.field(default_factory=lambda: Terms())


_progress: Final = msgspec.json.Decoder(Progress)


def tell(record: Subaccount) -> Told:
    """The subaccount as it is sent."""
    own = ("origin", "terms")
    fields = {name: getattr(record, name) for name in Subaccount.__struct_fields__ if name not in own}
    terms = msgspec.convert(record.terms, Terms)
    return Told(synthetic_hotkey=record.synthetic_hotkey, terms=terms, **fields)


def heard(told: Told) -> Subaccount | None:
    """The subaccount that was told of; None when its name is not made of its entity and id."""
    if told.synthetic_hotkey != synthetic_hotkey(told.entity_hotkey, told.subaccount_id):
        return None
    own = ("synthetic_hotkey", "terms")
    fields = {name: getattr(told, name) for name in Told.__struct_fields__ if name not in own}
    return Subaccount(origin="peer", terms=msgspec.to_builtins(told.terms), **fields)


class Outbox:
    """What is owed to one peer. Not shared between threads. Every method may raise JournalError."""

    def __init__(self, registry: Registry, url: str) -> None:
        self._registry, self._url = registry, url
        self._key = PEER + blake2b(url.encode(), digest_size=16).hexdigest()
        self._seen = -1  # registry number at which nothing was owed

    def open(self) -> None:
        """Make sure that progress can be kept. Raises UnavailableError on a journal that takes nothing."""
        if self._registry.get(self._key) is None:
            self._registry.put(self._key, encode(Progress(url=self._url)), expected=ABSENT)

    def progress(self) -> Progress:
        """How far the peer is."""
        fact = self._registry.get(self._key)
        return Progress(url=self._url) if fact is None else _progress.decode(fact.body)

    def owed(self, limit: int) -> list[tuple[int, Subaccount]]:
        """The oldest creations that the peer has not answered for, with their numbers."""
        head = self._registry.sequence
        if head == self._seen:
            return []
        after = self.progress().confirmed
        facts = [fact for fact in self._registry.with_prefix(SUBACCOUNT) if fact.sequence > after]
        facts.sort(key=lambda fact: fact.sequence)
        found = [(fact.sequence, decode_subaccount(fact.body).subaccount) for fact in facts]
        owed = [(number, record) for number, record in found if record.origin == "here"]
        if not owed:
            self._seen = head
        return owed[:limit]

    def confirm(self, sequence: int, *, refused: int = 0) -> None:
        """The peer answered for everything up to ``sequence``; ``refused`` of it with a no."""
        before = self.progress()
        after = msgspec.structs.replace(before, confirmed=sequence, refused=before.refused + refused)
        self._registry.put(self._key, encode(after), expected=self._number())

    def _number(self) -> int:
        fact = self._registry.get(self._key)
        return ABSENT if fact is None else fact.sequence
