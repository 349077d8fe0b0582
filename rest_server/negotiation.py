"""What a client accepts and what it already has, read from its headers.

Rule: a header that cannot be understood counts as absent; it never makes a request fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

Encoding = Literal["gzip", "zstd", "identity"]

OFFERED: Final[tuple[Encoding, ...]] = ("gzip", "zstd")  # gzip first: its pieces are ready
CODINGS_MAX: Final = 32  # a longer Accept-Encoding is somebody playing


def choose_encoding(accept_encoding: str | None, offered: Sequence[Encoding] = OFFERED) -> Encoding:
    """The coding the client likes best among those offered; identity when it named none of them."""
    weights = _weights(accept_encoding or "")
    best: Encoding = "identity"
    best_weight = 0.0
    for name in offered:
        weight = weights.get(name, weights.get("*", 0.0))
        if weight > best_weight:
            best, best_weight = name, weight
    return "identity" if weights.get("identity", 0.0) > best_weight else best


def _weights(header: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for item in header.split(",")[:CODINGS_MAX]:
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        if name:
            weights["gzip" if name == "x-gzip" else name] = _quality(parameters)
    return weights


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return 0.0
            return weight if 0.0 <= weight <= 1.0 else 0.0
    return 1.0


def has_current(if_none_match: str | None, etag: str) -> bool:
    """Whether ``If-None-Match`` names this entity tag (weak comparison, as for every GET)."""
    if not if_none_match:
        return False
    if if_none_match.strip() == "*":
        return True
    wanted = _opaque(etag)
    return any(_opaque(tag) == wanted for tag in if_none_match.split(","))


def _opaque(tag: str) -> str:
    return tag.strip().removeprefix("W/")
