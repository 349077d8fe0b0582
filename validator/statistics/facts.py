"""What is registered about a hotkey and enters its statistics."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from validator.ledger.checkpoint import DAY_MS
from validator.statistics.constants import CHALLENGE_DAYS, PLAGIARISM_DAYS, PROBATION_DAYS
from vanta_api.records import AccountSizeRecord

Bucket = Literal["MAINCOMP", "CHALLENGE", "PROBATION", "PLAGIARISM"]

_STATUS: Final[dict[Bucket, str]] = {
    "MAINCOMP": "success",
    "CHALLENGE": "testing",
    "PROBATION": "probation",
    "PLAGIARISM": "plagiarism",
}
_LONGEST_MS: Final[dict[Bucket, int]] = {
    "CHALLENGE": CHALLENGE_DAYS * DAY_MS,
    "PROBATION": PROBATION_DAYS * DAY_MS,
    "PLAGIARISM": PLAGIARISM_DAYS * DAY_MS,
}


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of one hotkey.

    ``bucket`` None: no challenge period is kept for it; it is then weighed like the main competition.
    ``asset_selection``: the class it is ranked in. ``plagiarism``: a score an operator reported.
    ``collateral_usd`` None: no collateral is asked of it. ``account_sizes``: oldest first.
    """

    bucket: Bucket | None = None
    bucket_start_ms: int = 0
    asset_selection: str | None = None
    plagiarism: float | None = None
    collateral_usd: float | None = None
    account_sizes: tuple[AccountSizeRecord, ...] = ()

    @property
    def is_tested(self) -> bool:
        """Whether the hotkey still has to prove itself."""
        return self.bucket in ("CHALLENGE", "PROBATION", "PLAGIARISM")

    def challenge_period(self, now_ms: int) -> dict[str, Any]:
        """``challengeperiod`` of the element: ``{}`` where none is kept."""
        if self.bucket is None:
            return {}
        found: dict[str, Any] = {"status": _STATUS[self.bucket], "start_time_ms": self.bucket_start_ms}
        longest_ms = _LONGEST_MS.get(self.bucket)
        if longest_ms is not None:
            found["remaining_time_ms"] = max(0, self.bucket_start_ms + longest_ms - now_ms)
        return found
