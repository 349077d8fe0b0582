"""A small REST client: conditional requests, retries that listen to the server, clear errors.

Use::

    client = VantaRestClient("http://localhost:48888", "your_api_key")
    positions = client.miner_positions()  # a dict by hotkey
    client.last.sequence  # the stream's number this answer belongs to
    client.checkpoint("checkpoint.json", progress=lambda done, total: print(done, total))
    for frame in client.iter_events(after=client.last.sequence):
        ...

Rule 1: only GET is sent, so every request may be repeated.
Rule 2: an answer that the server calls unchanged (304) is decoded anew from the kept bytes, so a caller
may change what it was given.
Rule 3: the key appears in the Authorization header and nowhere else: not in errors, not in URLs.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote

import msgspec
import requests
import requests.auth
from urllib3.exceptions import HTTPError

from vanta_api.backoff import Backoff, retry_after_s
from vanta_api.rest_errors import (
    Forbidden,
    Gone,
    NotFound,
    RateLimited,
    RestError,
    Unauthorized,
    Unreachable,
    error_of,
)

__all__ = [
    "Answer",
    "EventsPage",
    "Forbidden",
    "Gone",
    "NotFound",
    "RateLimited",
    "RestError",
    "Unauthorized",
    "Unreachable",
    "VantaRestClient",
]

RETRIED_STATUSES: Final = frozenset((429, 502, 503, 504))
KEPT_ANSWERS: Final = 32  # URLs whose last body is kept for 304
CHUNK_BYTES: Final = 256 * 1024
Progress = Callable[[int, int | None], None]
"""Called with (bytes received so far, bytes expected or None) as they came over the wire."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Facts of the last answer. ``sequence`` and ``epoch`` place it in the stream, where it has a place."""

    status: int
    sequence: int | None
    epoch: str | None
    request_id: str | None
    is_unchanged: bool = False


class EventsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive entries of one stream; ask again with ``after=last`` while ``has_more``."""

    events: tuple[msgspec.Raw, ...]
    epoch: str | None = None
    stream: str = "positions"
    after: int = 0
    last: int = 0
    head: int = 0
    oldest: int = 0
    has_more: bool = False


class VantaRestClient:
    """One server, one key; not for use by several threads at once."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: int = 4,
        sleep: Callable[[float], None] = time.sleep,
        backoff: Callable[[], Backoff] = lambda: Backoff(0.5, 30.0),
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.last: Answer | None = None
        self._timeout_s = timeout_s
        self._retries = retries
        self._sleep = sleep
        self._backoff = backoff
        self._kept: OrderedDict[str, tuple[str, bytes]] = OrderedDict()
        self._session = requests.Session()
        self._session.auth = _Bearer(api_key)

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()

    def __enter__(self) -> VantaRestClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- routes -----------------------------------------------------------------------------------

    def miner_positions(self, tier: int | None = None) -> dict[str, Any]:
        """Dashboards by hotkey; ``tier`` None is 100."""
        return self.get("/miner-positions", tier=tier)  # type: ignore[no-any-return]

    def miner_position(self, hotkey: str) -> dict[str, Any]:
        """One hotkey's dashboard, at the key's own tier. Raises NotFound."""
        return self.get(f"/miner-positions/{quote(hotkey, safe='')}")  # type: ignore[no-any-return]

    def hotkeys(self) -> list[str]:
        """All hotkeys the server knows."""
        return self.get("/miner-hotkeys")  # type: ignore[no-any-return]

    def limit_orders(self, hotkey: str, status: str | None = None) -> Any:
        """Resting orders: a list, or lists by status when ``status`` (comma list) is given."""
        return self.get(f"/limit-orders/{quote(hotkey, safe='')}", status=status)

    def orders(self, hotkey: str, status: str | None = None) -> dict[str, Any]:
        """Orders by status (tier 100)."""
        return self.get(f"/orders/{quote(hotkey, safe='')}", status=status)  # type: ignore[no-any-return]

    def trade_pairs(self, asset_class: str | None = None) -> dict[str, Any]:
        """What may be traded; needs no key."""
        return self.get("/trade-pairs", asset_class=asset_class)  # type: ignore[no-any-return]

    def health(self) -> dict[str, Any]:
        """The server's own health; needs no key."""
        return self.get("/api/health")  # type: ignore[no-any-return]

    def events(self, after: int, limit: int | None = None, stream: str | None = None) -> EventsPage:
        """Entries after a number (tier 100). Raises Gone when the next one is not kept any more."""
        body = self._fetch("/v1/events", {"after": after, "limit": limit, "stream": stream})
        try:
            return msgspec.json.decode(body, type=EventsPage)
        except msgspec.DecodeError as fault:
            raise self._unreadable(fault) from None

    def iter_events(self, after: int, limit: int | None = None, stream: str | None = None) -> Iterator[Any]:
        """All entries after a number as plain frames, page by page."""
        while True:
            page = self.events(after, limit, stream)
            yield from (msgspec.json.decode(frame) for frame in page.events)
            if not page.has_more or page.last <= after:
                return
            after = page.last

    def checkpoint(self, path: str | Path, progress: Progress | None = None) -> Path:
        """Download the validator checkpoint; the file appears only when it is complete.

        A name that ends in ``.gz`` gives a gzip file, any other plain JSON.
        """
        target = Path(path)
        headers = {"Accept-Encoding": "gzip"}
        response = self._ask("/validator-checkpoint", {}, headers, stream=True)
        with response, _appearing(target) as file:
            try:
                _copy(response, file, progress, as_gzip=target.suffix == ".gz")
            except (requests.RequestException, HTTPError) as fault:
                raise Unreachable(f"the download broke off: {type(fault).__name__}") from None
        return target

    def get(self, path: str, **params: object) -> Any:
        """The decoded JSON of any route, with retries and conditional requests. Raises RestError."""
        try:
            return msgspec.json.decode(self._fetch(path, params))
        except msgspec.DecodeError as fault:
            raise self._unreadable(fault) from None

    # --- inside -----------------------------------------------------------------------------------

    def _fetch(self, path: str, params: Mapping[str, object]) -> bytes:
        prepared = requests.Request("GET", self.base_url + path, params=_given(params)).prepare()
        kept = self._kept.get(prepared.url or "")
        response = self._ask(path, params, {"If-None-Match": kept[0]} if kept else {})
        if response.status_code == 304 and kept is not None:
            if self.last is not None:
                self.last = replace(self.last, is_unchanged=True)
            return kept[1]
        etag = response.headers.get("ETag")
        if etag:
            self._kept[prepared.url or ""] = (etag, response.content)
            self._kept.move_to_end(prepared.url or "")
            while len(self._kept) > KEPT_ANSWERS:
                self._kept.popitem(last=False)
        return response.content

    def _ask(
        self, path: str, params: Mapping[str, object], headers: Mapping[str, str], *, stream: bool = False
    ) -> requests.Response:
        backoff = self._backoff()
        while True:
            try:
                response = self._session.get(
                    self.base_url + path,
                    params=_given(params),
                    headers=dict(headers),
                    timeout=self._timeout_s,
                    stream=stream,
                )
            except requests.RequestException as fault:
                error: RestError = Unreachable(f"{path}: {type(fault).__name__}")
                hint = None
            else:
                self.last = _facts(response)
                if response.status_code in (200, 304):
                    return response
                error = error_of(response)
                hint = retry_after_s(response.headers.get("Retry-After"))
                response.close()
            may_pass = error.status is None or error.status in RETRIED_STATUSES
            if not may_pass or backoff.failures >= self._retries:
                raise error
            self._sleep(backoff.delay(None, hint) or 0.0)

    def _unreadable(self, fault: msgspec.DecodeError) -> RestError:
        answer = self.last
        return RestError(
            f"the answer is not what was expected: {fault}",
            status=answer.status if answer else None,
            request_id=answer.request_id if answer else None,
        )


class _Bearer(requests.auth.AuthBase):
    """Puts the key into the header; as an explicit auth it also keeps a ~/.netrc from replacing it."""

    def __init__(self, api_key: str | None) -> None:
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._api_key:
            request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request


def _given(params: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in params.items() if value is not None}


def _facts(response: requests.Response) -> Answer:
    sequence = response.headers.get("X-Sequence", "")
    return Answer(
        status=response.status_code,
        sequence=int(sequence) if sequence.isascii() and sequence.isdigit() else None,
        epoch=response.headers.get("X-Epoch"),
        request_id=response.headers.get("X-Request-ID"),
    )


def _copy(response: requests.Response, file: IO[bytes], progress: Progress | None, *, as_gzip: bool) -> None:
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdigit() else None
    is_gzip = response.headers.get("Content-Encoding") == "gzip"
    with contextlib.ExitStack() as stack:
        write: Callable[[bytes], object] = file.write
        if as_gzip and not is_gzip:
            write = stack.enter_context(gzip.GzipFile(fileobj=file, mode="wb")).write
        for chunk in response.raw.stream(CHUNK_BYTES, decode_content=not as_gzip):
            write(chunk)
            if progress is not None:
                progress(response.raw.tell(), total)


@contextlib.contextmanager
def _appearing(target: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name only after everything was written and synced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise
