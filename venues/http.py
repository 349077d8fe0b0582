"""HTTP towards a venue: paced, bounded in time and size, and with errors that say who should act.

Rule 1: a body is never larger than ``max_body`` after decompression, and never followed to another host.
Rule 2: the venue's Retry-After is honoured; while it lasts no request leaves this client.
Rule 3: credentials travel in headers; URLs and error texts carry none (query strings are cut off).
"""

from __future__ import annotations

import email.utils
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from runtime.clock import Clock
from venues.errors import Rejected, Retryable

MAX_BODY: Final = 16 * 1024 * 1024
CHUNK: Final = 64 * 1024
RETRYABLE_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Pace:
    """A token bucket shared by the threads of one client, with room for one second's burst."""

    def __init__(self, per_s: float, clock: Clock) -> None:
        self._per_s, self._clock = per_s, clock
        self._tokens, self._at = max(per_s, 1.0), clock.monotonic()
        self._blocked_until = 0.0
        self._lock = threading.Lock()

    def wait(self, weight: float = 1.0) -> None:
        """Take ``weight`` tokens, sleeping as long as needed."""
        with self._lock:
            now = self._clock.monotonic()
            self._tokens = min(max(self._per_s, 1.0), self._tokens + (now - self._at) * self._per_s)
            self._at = now
            self._tokens -= weight
            delay = max(-self._tokens / self._per_s, self._blocked_until - now, 0.0)
        if delay > 0:
            self._clock.sleep(delay)

    def block(self, seconds: float) -> None:
        """Let nothing leave for ``seconds`` (the venue said so)."""
        with self._lock:
            self._blocked_until = max(self._blocked_until, self._clock.monotonic() + seconds)

    def blocked_s(self) -> float:
        """Seconds until requests may leave again."""
        with self._lock:
            return max(0.0, self._blocked_until - self._clock.monotonic())


class Http:
    """Requests to one service that may live at several base URLs, tried in order and remembered."""

    def __init__(
        self,
        base_urls: Sequence[str],
        *,
        clock: Clock,
        timeout_s: float = 10.0,
        requests_per_s: float = 10.0,
        max_body: int = MAX_BODY,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if not base_urls:
            raise ValueError("no URL configured")
        self._urls = [url.rstrip("/") for url in base_urls]
        self._current = 0
        self._clock, self._timeout_s, self._max_body = clock, timeout_s, max_body
        self.pace = Pace(requests_per_s, clock)
        self._local = threading.local()
        self._headers = dict(headers or {})

    def get(self, path: str, params: Mapping[str, Any] | None = None, **options: Any) -> Answer:
        """GET; see ``request``."""
        return self.request("GET", path, params=params, **options)

    def post(self, path: str, body: bytes = b"", **options: Any) -> Answer:
        """POST ``body`` as it is; see ``request``."""
        return self.request("POST", path, body=body, **options)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        weight: float = 1.0,
        accept: frozenset[int] = frozenset(),
    ) -> Answer:
        """Return the answer when its status is 2xx or in ``accept``.

        Tries the next base URL when one cannot be reached or answers 5xx. Raises Retryable (network,
        timeout, 408, 425, 429, 5xx, body too large or cut off) or Rejected (any other status).
        """
        if (blocked := self.pace.blocked_s()) > self._timeout_s:
            raise Retryable("waiting as the venue asked", after_s=blocked, rate_limited=True)
        first = self._current
        for attempt in range(len(self._urls)):
            index = (first + attempt) % len(self._urls)
            self.pace.wait(weight)
            try:
                answer = self._send(self._urls[index], method, path, params, body, headers or {})
                self._judge(answer, method, path, accept)
            except Retryable as error:
                if error.rate_limited or attempt == len(self._urls) - 1:
                    raise
                continue
            self._current = index
            return answer
        raise AssertionError("unreachable: the last URL either answers or raises")

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.headers.update({"User-Agent": "vanta-gateway", **self._headers})
            self._local.session.trust_env = False  # no .netrc credentials, no surprise proxies
            # A cookie belongs to an account, not to a thread: a venue's client sends its own Cookie header.
            self._local.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session: requests.Session = self._local.session
        return session

    def _send(
        self,
        base: str,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> Answer:
        where = f"{method} {urlsplit(base).netloc}{path.partition('?')[0]}"
        deadline = self._clock.monotonic() + self._timeout_s
        try:
            with self._session().request(
                method,
                base + path,
                params=params,
                data=body,
                headers=dict(headers),
                timeout=self._timeout_s,
                stream=True,
                allow_redirects=False,
            ) as response:
                return Answer(response.status_code, response.headers, self._read(response, where, deadline))
        except requests.RequestException as error:
            raise Retryable(f"{where}: {type(error).__name__}") from None

    def _read(self, response: requests.Response, where: str, deadline: float) -> bytes:
        body = bytearray()
        for chunk in response.iter_content(CHUNK):
            body += chunk
            if len(body) > self._max_body:
                raise Retryable(f"{where}: answer larger than {self._max_body} bytes", after_s=60.0)
            if self._clock.monotonic() > deadline:
                raise Retryable(f"{where}: answer still dripping after {self._timeout_s:g} s")
        expected = response.headers.get("Content-Length")
        if expected and expected.isdigit() and response.raw.tell() < int(expected):
            raise Retryable(f"{where}: answer cut off")
        return bytes(body)

    def _judge(self, answer: Answer, method: str, path: str, accept: frozenset[int]) -> None:
        if 200 <= answer.status < 300 or answer.status in accept:
            return
        where = f"{method} {path.partition('?')[0]} answered {answer.status}"
        if answer.status in RETRYABLE_STATUSES or answer.status >= 500:
            after_s = retry_after_s(answer.headers.get("Retry-After"), self._clock)
            if answer.status == 429:
                self.pace.block(after_s if after_s is not None else 1.0)
            raise Retryable(where, after_s=after_s, rate_limited=answer.status == 429)
        raise Rejected(f"{where}: {answer.body[:200].decode(errors='replace')}", status=answer.status)


def retry_after_s(value: str | None, clock: Clock) -> float | None:
    """Seconds of a Retry-After header (delta or HTTP date); None when absent or unreadable."""
    if not value:
        return None
    if value.strip().isdigit():
        return min(float(value), 3600.0)
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return min(max(0.0, at.timestamp() - clock.now_ms() / 1000), 3600.0)
