"""Exact numbers in, exact numbers out: no price or amount of a venue ever passes through a float."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal, localcontext
from typing import TypeVar

import msgspec

from venues.errors import Broken

T = TypeVar("T")
Number = Decimal | int | str


def decode(part: str, body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode one part of a payload; JSON numbers become exact Decimals where the type says Decimal.

    Raises Broken with ``part`` and the field path, what was expected and what came.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        text = str(error)
        what, _, where = text.partition(" - at `$")
        expected, _, got = what.partition(", got ")
        raise Broken(
            part + where.rstrip("`"), expected.removeprefix("Expected "), got or "something else"
        ) from None
    except msgspec.DecodeError as error:
        raise Broken(part, "JSON", f"{error} in {body[:60]!r}") from None


def scaled(amount: int | str | Decimal, decimals: int) -> Decimal:
    """Human units of a chain integer: ``scaled("26000", 6)`` is ``Decimal("0.026")``."""
    with localcontext() as context:
        context.prec = 60  # 2**256 has 78 digits, but amounts of money stay well below 1e60
        return Decimal(amount).scaleb(-decimals)


def unscaled(amount: Decimal, decimals: int) -> int:
    """Chain integer of a human amount, rounded towards zero."""
    with localcontext() as context:
        context.prec = 60
        return int(amount.scaleb(decimals).to_integral_value(ROUND_DOWN))


def time_ms(value: Number) -> int:
    """Milliseconds of a time that may be given in seconds or milliseconds (below 1e12 means seconds)."""
    number = Decimal(value)
    return int(number * 1000) if number < 10**12 else int(number)
