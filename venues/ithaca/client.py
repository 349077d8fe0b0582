"""The client of one poller worker: every documented read, and ``fetch`` for whole accounts."""

from __future__ import annotations

import threading

from runtime.clock import Clock
from runtime.settings import AccountSettings, VenueSettings
from venues.http import Http
from venues.ithaca.fetch import fetch
from venues.ithaca.lookups import Shared
from venues.ithaca.memory import Briefly, Catalog, Trail
from venues.ithaca.reads_account import AccountReads
from venues.ithaca.reads_calc import CalcReads
from venues.ithaca.reads_market import AnalyticsReads, MarketReads
from venues.ithaca.session import Logins
from venues.model import Payload


class IthacaClient(MarketReads, AnalyticsReads, AccountReads, CalcReads):
    """See ``venues.venue.VenueClient``. Safe to use from several threads.

    URLs: ``rest`` is needed, ``calc`` and ``subgraph`` are optional. Account secrets: ``private_key`` (hex)
    or ``rsa_private_key`` (PEM, linked at the venue). Account options: ``managed`` when the key is another
    wallet's that may act for this one, ``owner`` its address when only an RSA key is there.
    """

    def __init__(self, settings: VenueSettings, clock: Clock) -> None:
        def http(role: str) -> Http | None:
            urls = settings.urls.get(role)
            if not urls:
                return None
            return Http(
                urls, clock=clock, timeout_s=settings.timeout_s, requests_per_s=settings.requests_per_s
            )

        rest = http("rest")
        if rest is None:
            raise ValueError("venues.ithaca.urls.rest: no URL configured")
        self._rest, self._calc, self._subgraph = rest, http("calc"), http("subgraph")
        self._logins = Logins(rest)
        self._trails: dict[str, Trail] = {}
        self._lock = threading.Lock()
        self.has_calc = self._calc is not None
        self._shared = Shared(
            reads=self,
            clock=clock,
            catalog=Catalog(),
            briefly=Briefly(clock),
            market_ttl_s=min(5.0, settings.poll_interval_s / 2),
        )

    def fetch(self, account: AccountSettings, since_ms: int | None) -> Payload:
        """Everything ``normalise`` needs for this account, read completely or not at all."""
        with self._lock:
            trail = self._trails.setdefault(account.account, Trail())
        return fetch(self._shared, trail, account, since_ms)

    def socket_token(self, account: AccountSettings) -> str:
        """What the socket's VALIDATE_AUTH_TOKEN wants to see; logs in when needed."""
        return self._logins.of(account).token

    def close(self) -> None:
        """Forget all sessions. Connections close with their threads."""
        self._logins = Logins(self._rest)
