"""Ostium: perpetuals on real-world assets and crypto, settled in USDC on Arbitrum."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.clock import Clock
    from runtime.settings import VenueSettings
    from venues.model import Payload, Snapshot
    from venues.venue import Sandbox, VenueClient

_SUBGRAPH = (
    "https://api.subgraph.ormilabs.com/api/public/67a599d5-c8d2-4cc4-9c4d-2975a97bc5d8"
    "/subgraphs/ost-prod/live/gn"
)


class Ostium:
    """Entry points; see ``venues.venue.Venue``."""

    name = "ostium"

    def defaults(self) -> VenueSettings:
        """Mainnet. Read limits are undocumented except the Builder Service's 100 requests a minute."""
        from runtime.settings import VenueSettings

        return VenueSettings(
            urls={
                "subgraph": [_SUBGRAPH, "https://builder.ostium.io/v1/subgraph/gn"],
                "prices": ["https://metadata-backend.prod.bedrock.ostium.io"],
                "market": ["https://builder.ostium.io/v1"],
                "builder": ["https://builder.ostiscan.xyz/v1"],
                "rpc": ["https://arb1.arbitrum.io/rpc"],
            },
            poll_interval_s=5.0,
            requests_per_s=10.0,
        )

    def client(self, settings: VenueSettings, clock: Clock) -> VenueClient:
        from venues.ostium.client import OstiumClient

        return OstiumClient(settings, clock)

    def normalise(self, payload: Payload) -> Snapshot:
        from venues.ostium.normalise import normalise

        return normalise(payload)

    def sandbox(self, *, seed: int, accounts: int, origin_ms: int, clock: Clock) -> Sandbox:
        from venues.ostium.sandbox import OstiumSandbox

        return OstiumSandbox(seed=seed, accounts=accounts, origin_ms=origin_ms, clock=clock)


VENUE = Ostium()
