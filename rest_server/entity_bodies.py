"""What clients post to the entity routes, read with care: every value is checked before anything is done.

Rule: a field that is there must be good, also where it is optional; the sentence names it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

import msgspec

from rest_server.errors import Problem
from rest_server.posted import MISSING
from validator.entities.hotkeys import LENGTH_MAX, is_entity_hotkey
from validator.entities.outbox import SIZE_MAX, Told, heard
from validator.entities.records import TERMS, Entity, Subaccount, Term, TermName
from validator.entities.rules import BAD_HOTKEY, BAD_SUBACCOUNT, MANUAL, Creation
from vanta_api.records import encode

ALL_MISSING: Final = "Missing required fields: {names}"
NOT_POSITIVE: Final = "account_size must be a positive number"
NOT_A_NUMBER: Final = "account_size must be a valid number"
NO_CLASS: Final = "asset_class must be a non-empty string"
BAD_COLLATERAL: Final = "collateral_amount must be a non-negative number"
BAD_LIMIT: Final = "max_subaccounts must be an integer from 1 to {limit}"
BAD_WORD: Final = "{name} must be a non-empty string"
BAD_TERM: Final = "{name} must be a string or a number"
BAD_ID: Final = "subaccount_id must be an integer"
BAD_REASON: Final = "reason must be a string"
BAD_URL: Final = "endpoint_url must be an http or https URL"
BAD_UUID: Final = "subaccount_uuid must be a string"
BAD_TIMES: Final = "Timestamps must be valid integers"
NEGATIVE_TIMES: Final = "Timestamps must be non-negative"
WRONG_ORDER: Final = "start_time_ms must be <= end_time_ms"
BAD_IDEMPOTENCY_KEY: Final = f"Idempotency-Key must have 1 to {LENGTH_MAX} printable characters"

WORD_MAX: Final = 128
REASON_MAX: Final = 256
URL_MAX: Final = 2048
INTEGER_MAX: Final = 2**53  # beyond, JSON readers lose whole numbers
_URL: Final = re.compile(r"https?://[!-.0-~]+(/[!-~]*)?", re.IGNORECASE)
_PRINTABLE: Final = re.compile(rf"[ -~]{{1,{LENGTH_MAX}}}")


def bad(text: str, code: str = "invalid_field") -> Problem:
    """The request's body is refused."""
    return Problem(400, text, code)


def missing(body: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """Name all fields that are not there. Raises Problem 400."""
    absent = [name for name in names if name not in body]
    if absent:
        raise bad(ALL_MISSING.format(names=", ".join(absent)), "missing_field")


def required(body: Mapping[str, Any], name: str) -> Any:
    """The field. Raises Problem 400."""
    if name not in body:
        raise bad(MISSING.format(name=name), "missing_field")
    return body[name]


def hotkey_of(body: Mapping[str, Any]) -> str:
    """``entity_hotkey`` as a text of ordinary length; whether there is such an entity is asked later."""
    hotkey = required(body, "entity_hotkey")
    if not isinstance(hotkey, str) or not 0 < len(hotkey) <= LENGTH_MAX:
        raise bad(BAD_HOTKEY)
    return hotkey


def entity_of(body: Mapping[str, Any], default: int, limit: int, at_ms: int, coldkey: str | None) -> Entity:
    """The entity that is to be registered. Raises Problem 400."""
    hotkey = hotkey_of(body)
    if not is_entity_hotkey(hotkey):
        raise bad(BAD_HOTKEY)
    collateral = _number(body.get("collateral_amount", 0.0))
    if collateral is None or not 0 <= collateral <= SIZE_MAX:
        raise bad(BAD_COLLATERAL)
    subaccounts = _integer(body.get("max_subaccounts", default))
    if subaccounts is None or not 1 <= subaccounts <= limit:
        raise bad(BAD_LIMIT.format(limit=limit))
    return Entity(
        entity_hotkey=hotkey,
        collateral_amount=collateral,
        max_subaccounts=subaccounts,
        registered_at_ms=at_ms,
        coldkey=coldkey,
    )


def creation_of(body: Mapping[str, Any]) -> Creation:
    """The subaccount that is wanted. Raises Problem 400."""
    asset_class = body.get("asset_class")
    if "asset_class" in body and not _is_word(asset_class):
        raise bad(NO_CLASS)
    return Creation(
        entity_hotkey=hotkey_of(body),
        account_size=_size(body) if "account_size" in body else None,
        asset_class=asset_class,
        hl_address=_word(body, "hl_address"),
        payout_address=_word(body, "payout_address"),
        terms=_terms(body),
    )


def elimination_of(body: Mapping[str, Any]) -> tuple[str, int, str]:
    """Entity hotkey, id and reason. Raises Problem 400."""
    hotkey = hotkey_of(body)
    number = _integer(required(body, "subaccount_id"))
    if number is None:
        raise bad(BAD_ID)
    reason = body.get("reason", MANUAL)
    if not isinstance(reason, str) or len(reason) > REASON_MAX:
        raise bad(BAD_REASON)
    return hotkey, number, reason or MANUAL


def endpoint_of(body: Mapping[str, Any]) -> str:
    """The URL that is to be noted. Raises Problem 400."""
    url = required(body, "endpoint_url")
    if not isinstance(url, str) or len(url) > URL_MAX or _URL.fullmatch(url) is None:
        raise bad(BAD_URL)
    return url


def payout_of(body: Mapping[str, Any]) -> tuple[str, int, int]:
    """Subaccount uuid, start and end in ms. Raises Problem 400."""
    uuid = required(body, "subaccount_uuid")
    start_ms, end_ms = (_integer(required(body, name)) for name in ("start_time_ms", "end_time_ms"))
    if not isinstance(uuid, str) or not 0 < len(uuid) <= WORD_MAX:
        raise bad(BAD_UUID)
    if start_ms is None or end_ms is None:
        raise bad(BAD_TIMES)
    if start_ms < 0 or end_ms < 0:
        raise bad(NEGATIVE_TIMES)
    if start_ms > end_ms:
        raise bad(WRONG_ORDER)
    return uuid, start_ms, end_ms


def told_of(body: Mapping[str, Any]) -> Subaccount:
    """The subaccount that another node tells of. Raises Problem 400."""
    try:
        record = heard(msgspec.convert(body, Told))
    except msgspec.ValidationError as error:
        raise bad(f"{BAD_SUBACCOUNT}: {str(error)[:200]}") from None
    if record is None:
        raise bad(f"{BAD_SUBACCOUNT}: synthetic_hotkey is not made of entity_hotkey and subaccount_id")
    return record


def idempotency_receipt(header: str | None, wanted: Creation) -> str | None:
    """What stands for a request that carries an idempotency key. Raises Problem 400."""
    if header is None:
        return None
    if _PRINTABLE.fullmatch(header) is None:
        raise bad(BAD_IDEMPOTENCY_KEY, "invalid_idempotency_key")
    return hashlib.sha256(b"key\0" + header.encode() + b"\0" + encode(wanted)).hexdigest()


def _size(body: Mapping[str, Any]) -> float:
    size = _number(body["account_size"])
    if size is None or size > SIZE_MAX:
        raise bad(NOT_A_NUMBER, "invalid_account_size")
    if size <= 0:
        raise bad(NOT_POSITIVE, "invalid_account_size")
    return size


def _number(value: Any) -> float | None:
    """A finite number; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if isfinite(number) else None


def _integer(value: Any) -> int | None:
    """A whole number that every JSON reader can hold (``5.0`` is one); None when it is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > INTEGER_MAX:
        return None
    return value


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= WORD_MAX


def _word(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not _is_word(value):
        raise bad(BAD_WORD.format(name=name))
    return value


def _terms(body: Mapping[str, Any]) -> dict[TermName, Term]:
    """What else was agreed, as it was sent."""
    found: dict[TermName, Term] = {}
    for name in TERMS:
        value = body.get(name)
        if value is None:
            continue
        if not _is_word(value) and _number(value) is None:
            raise bad(BAD_TERM.format(name=name))
        found[name] = value
    return found
