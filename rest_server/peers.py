"""Tells other nodes of new subaccounts, in the background, until they confirm.

Rule 1: what is owed follows from the registry (``validator.entities.outbox``); this thread only delivers, so
it may die at any moment.
Rule 2: one peer's trouble never delays another's, and never a request.
Rule 3: a peer that refuses a creation for good (409) is noted and passed; any other answer but 200 is tried
again, each time later.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec
import requests
import structlog
from prometheus_client import Counter, Gauge

from journal.entry import JournalError, UnavailableError
from runtime.settings import EntitySettings, PeerSettings, read_secret
from validator.entities.outbox import Outbox, tell
from validator.entities.records import Subaccount
from validator.registry import Registry

PATH: Final = "/v1/entity/subaccounts"
BATCH: Final = 50  # creations between two notes of a peer's progress
LOOK_S: Final = 1.0  # between two looks at the registry when nobody rings
FIRST_RETRY_S: Final = 0.5
ANSWER_BYTES_MAX: Final = 64 * 1024

Outcome = Literal["taken", "refused"]

TOLD: Final = Counter("vanta_entity_peer_deliveries", "Subaccounts told to peers", ("peer", "outcome"))
OWED: Final = Gauge("vanta_entity_peer_owed", "Whether a peer has not confirmed everything", ("peer",))

_encode: Final = msgspec.json.Encoder().encode
_log = structlog.get_logger()


class UndeliveredError(Exception):
    """The peer did not answer for the creation; the text says why and holds no secret."""


class Post:
    """Sends one creation to one peer. ``key`` returns the API key for it. Raises UndeliveredError."""

    def __init__(self, url: str, key: Callable[[], str], timeout_s: float) -> None:
        self._url, self._key, self._timeout_s = url.rstrip("/") + PATH, key, timeout_s
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy, no netrc: the settings say where this goes

    def __call__(self, record: Subaccount) -> Outcome:
        try:
            headers = {"Authorization": f"Bearer {self._key()}", "Content-Type": "application/json"}
            answer = self._session.post(
                self._url,
                data=_encode(tell(record)),
                headers=headers,
                timeout=self._timeout_s,
                allow_redirects=False,
                stream=True,
            )
            with answer:
                answer.raw.read(ANSWER_BYTES_MAX)  # so that the connection can be used again
                return _outcome(answer.status_code)
        except ValueError as error:  # the key's reference leads nowhere
            raise UndeliveredError(str(error)) from None
        except (requests.RequestException, OSError) as error:
            raise UndeliveredError(type(error).__name__) from None

    def close(self) -> None:
        """Close the connection."""
        self._session.close()


def _outcome(status: int) -> Outcome:
    if status == 200:
        return "taken"
    if status == 409:
        return "refused"
    raise UndeliveredError(f"answered {status}")


class Courier:
    """One peer's deliveries, in a thread of its own."""

    def __init__(
        self,
        registry: Registry,
        peer: PeerSettings,
        settings: EntitySettings,
        post: Callable[[Subaccount], Outcome],
    ) -> None:
        self._outbox = Outbox(registry, peer.url)
        self._name, self._retry_max_s, self._post = peer.url, settings.peer_retry_s, post
        self._wake, self._stopped = threading.Event(), threading.Event()
        self._problem: str | None = None
        self._retry_s = min(FIRST_RETRY_S, self._retry_max_s)
        self._thread = threading.Thread(target=self._run, name="peer-courier", daemon=True)

    def start(self) -> None:
        """Deliver until ``stop``."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def ring(self) -> None:
        """There may be something new."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread; what is owed stays owed."""
        self._stopped.set()
        self._wake.set()
        self._thread.join(timeout=5)

    def turn(self) -> float:
        """Deliver what is owed now; returns the seconds until the next look."""
        try:
            self._outbox.open()
            while not self._stopped.is_set() and self._deliver():
                pass
        except UndeliveredError as error:
            return self._failed(str(error))
        except UnavailableError as error:  # a replica, a full disk: progress could not be kept
            return self._failed(f"the journal takes nothing: {error}")
        self._note(None)
        self._retry_s = min(FIRST_RETRY_S, self._retry_max_s)
        OWED.labels(self._name).set(0)
        return LOOK_S

    def _deliver(self) -> bool:
        """One batch; False when nothing is owed. Raises UndeliveredError, JournalError."""
        owed = self._outbox.owed(BATCH)
        done, refused = 0, 0
        try:
            for sequence, record in owed:
                outcome = self._post(record)
                TOLD.labels(self._name, outcome).inc()
                done, refused = sequence, refused + (outcome == "refused")
                if outcome == "refused":
                    _log.warning(
                        "peer has another subaccount", peer=self._name, hotkey=record.synthetic_hotkey
                    )
        finally:
            if done:
                self._outbox.confirm(done, refused=refused)
        return bool(owed)

    def _failed(self, problem: str) -> float:
        self._note(problem)
        OWED.labels(self._name).set(1)
        wait_s = self._retry_s * (0.5 + random.random() / 2)
        self._retry_s = min(self._retry_max_s, self._retry_s * 2)
        return wait_s

    def _note(self, problem: str | None) -> None:
        """Say what is wrong once, and when it is well again."""
        if problem != self._problem:
            level = _log.info if problem is None else _log.warning
            level("peer is told" if problem is None else "peer is not told", peer=self._name, problem=problem)
        self._problem = problem

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.clear()
            try:
                wait_s = self.turn()
            except JournalError as error:
                _log.error("the journal cannot be read", problem=str(error))
                wait_s = self._retry_max_s
            self._wake.wait(wait_s)


class Couriers:
    """Deliveries to all configured peers."""

    def __init__(self, registry: Registry, settings: EntitySettings) -> None:
        self._posts = [
            Post(peer.url, lambda peer=peer: read_secret(peer.api_key), settings.peer_timeout_s)  # type: ignore[misc]
            for peer in _peers(settings)
        ]
        self._couriers = [
            Courier(registry, peer, settings, post)
            for peer, post in zip(_peers(settings), self._posts, strict=True)
        ]

    def start(self) -> None:
        """Deliver until ``stop``."""
        for courier in self._couriers:
            courier.start()

    def ring(self) -> None:
        """There may be something new for everybody."""
        for courier in self._couriers:
            courier.ring()

    def are_alive(self) -> bool:
        """Whether every thread runs; one that died on its own was our fault."""
        return all(courier.is_alive() for courier in self._couriers)

    def stop(self) -> None:
        """End all deliveries; what is owed stays owed."""
        for courier in self._couriers:
            courier.stop()
        for post in self._posts:
            post.close()


def _peers(settings: EntitySettings) -> Sequence[PeerSettings]:
    return settings.peers if settings.enabled else ()
