"""What a checkpoint says, as journal entries: in the form in which their owners write and read them.

Rule: records are taken over as they are. An open position has ``close_ms`` null here, as everywhere in the
journal; what the checkpoint does not say (who selected an asset class) stays empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from journal.entry import LEDGER, ORDERS, POSITIONS, REGISTRY, Draft
from vanta_api.records import (
    AccountSizeMessage,
    AccountSizeRecord,
    OrderMessage,
    Position,
    PositionMessage,
    RestingOrder,
    encode,
)

ELIMINATION: Final = "elimination"
CHALLENGE: Final = "challenge"
ASSET: Final = "asset"
SIZE: Final = "account_size"
SIZES: Final = "account_sizes"  # all records of a hotkey that has several
ARCHIVED: Final = "archived"
IMPORTED: Final = "perf_imported"
REPLACED_BY_SECTIONS: Final = frozenset((ARCHIVED,))  # kinds of facts that a section says better


def position_draft(position: Position, version: str | None) -> Draft:
    """A position as a poller writes it."""
    if not position.close_ms:
        position = msgspec.structs.replace(position, close_ms=None)
    message = PositionMessage(position=position, miner_repo_version=version, repo_version=version)
    return Draft(POSITIONS, f"{position.miner_hotkey}|{position.position_uuid}", encode(message))


def order_draft(order: RestingOrder) -> Draft:
    """A resting order as a poller writes it."""
    return Draft(ORDERS, f"{order.miner_hotkey}|{order.order_uuid}", encode(OrderMessage(order=order)))


def size_drafts(hotkey: str, records: Sequence[AccountSizeRecord]) -> list[Draft]:
    """A hotkey's account sizes, oldest first: the newest is the present one."""
    if not records:
        return []
    drafts = [_fact(SIZE, hotkey, AccountSizeMessage(account_size=records[-1]))]
    return [_fact(SIZES, hotkey, {SIZES: records}), *drafts] if len(records) > 1 else drafts


def elimination_draft(row: Mapping[str, Any]) -> Draft:
    """A hotkey that is out."""
    return _fact(ELIMINATION, row["hotkey"], {ELIMINATION: row})


def challenge_draft(hotkey: str, steps: Sequence[tuple[str, int]], now_ms: int) -> Draft:
    """The buckets a hotkey was in and since when (ms), oldest first; when each was decided is not known."""
    history = [{"bucket": bucket, "start_time_ms": ms, "decided_ms": min(ms, now_ms)} for bucket, ms in steps]
    fact: dict[str, Any] = {"hotkey": hotkey, "bucket": steps[-1][0], "bucket_start_time": steps[-1][1]}
    if len(steps) > 1:
        fact |= {"previous_bucket": steps[-2][0], "previous_bucket_start_time": steps[-2][1]}
    return _fact(CHALLENGE, hotkey, {CHALLENGE: {**fact, "history": history}})


def asset_draft(hotkey: str, asset_class: str, at_ms: int) -> Draft:
    """A hotkey's asset class; who selected it is not in a checkpoint."""
    return _fact(
        ASSET, hotkey, {"hotkey": hotkey, "asset_class": asset_class, "coldkey": "", "time_ms": at_ms}
    )


def ledger_draft(hotkey: str, ledger: Any) -> Draft:
    """A performance ledger in the checkpoint's own form, to which later ones are joined."""
    body = msgspec.json.encode({IMPORTED: {"hotkey": hotkey, "ledger": ledger}})
    return Draft(LEDGER, f"{IMPORTED}|{hotkey}", body)


def archived_draft(hotkey: str, pairs: Any) -> Draft:
    """What closed positions that are no longer kept one by one add up to."""
    return _fact(ARCHIVED, hotkey, {ARCHIVED: pairs})


def kind_of(key: str) -> str:
    """What kind of fact a registry key is about."""
    return key.partition("|")[0]


def _fact(kind: str, hotkey: str, body: Any) -> Draft:
    return Draft(REGISTRY, f"{kind}|{hotkey}", msgspec.json.encode(body))
