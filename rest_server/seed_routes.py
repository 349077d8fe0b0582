"""Which routes the original's own documentation promises; all others are extensions."""

from __future__ import annotations

from typing import Final

SEED_RULES: Final = frozenset(
    (
        "/miner-positions",
        "/miner-positions/<minerid>",
        "/miner-hotkeys",
        "/statistics",
        "/statistics/<minerid>/",
        "/eliminations",
        "/validator-checkpoint",
        "/collateral/deposit",
        "/collateral/withdraw",
        "/collateral/balance/<miner_address>",
        "/asset-selection",
        "/entity/register",
        "/entity/create-subaccount",
        "/entity/<entity_hotkey>",
        "/entities",
        "/entity/subaccount/<synthetic_hotkey>",
        "/entity/subaccount/eliminate",
    )
)
EXTENSION: Final = "An extension: it is not in the original API's own documentation."
