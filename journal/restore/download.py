"""Fetching a checkpoint over HTTP: with progress, timeouts, a digest, and the key in one header only.

Rule: neither the key nor anything a URL may hide (user, password, query) appears in a message.
"""

from __future__ import annotations

import time
from typing import Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import requests
from urllib3.exceptions import HTTPError

from journal.entry import UnavailableError
from journal.restore.problem import Refused
from journal.restore.source import CHUNK, MOST_BYTES, Progress, header_digest
from vanta_api.rest_errors import error_of

ROUTE: Final = "/validator-checkpoint"
TIMEOUT_S: Final = (10.0, 60.0)  # to connect; between two pieces
TRIES: Final = 3
AGAIN_S: Final = 2.0
_LOCAL: Final = frozenset(("localhost", "127.0.0.1", "::1"))


class Fetched(NamedTuple):
    """The bytes as they came over the wire, their digest if one came with them, and warnings."""

    content: bytes
    digest: bytes | None
    warnings: list[str]


def is_url(source: str) -> bool:
    """Whether the source is an address and not a file."""
    return source.partition("://")[0].lower() in ("http", "https")


def shown(url: str) -> str:
    """The address without what may be secret in it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(
        (parts.scheme, f"[{host}]{port}" if ":" in host else f"{host}{port}", parts.path, "", "")
    )


def fetch(url: str, api_key: str | None, progress: Progress) -> Fetched:
    """Download a checkpoint. An address without a path is a server's, whose own route is asked.

    Raises UnavailableError when it cannot be had, Refused when what came is not what was sent.
    """
    parts = urlsplit(url)
    warnings = []
    if api_key and parts.scheme == "http" and parts.hostname not in _LOCAL:
        warnings.append("the API key goes over an unencrypted connection")
    if parts.path not in ("", "/"):
        return _fetch(url, api_key, progress, warnings)
    base = url.rstrip("/") + ROUTE
    if api_key is None:
        return _fetch(base, None, progress, warnings)
    try:
        return _fetch(f"{base}?facts=all", api_key, progress, warnings)
    except Forbidden:
        warnings.append("the key's tier has no registered facts: entities, collateral and nonces stay behind")
        return _fetch(base, api_key, progress, warnings)


class Forbidden(UnavailableError):
    """The key may not have it."""


def _fetch(url: str, api_key: str | None, progress: Progress, warnings: list[str]) -> Fetched:
    for attempt in range(1, TRIES + 1):
        try:
            return _ask(url, api_key, progress, warnings)
        except (requests.ConnectionError, requests.Timeout, HTTPError) as error:
            if attempt == TRIES:
                raise UnavailableError(f"{shown(url)}: {type(error).__name__}") from None
            time.sleep(AGAIN_S)
    raise AssertionError


def _ask(url: str, api_key: str | None, progress: Progress, warnings: list[str]) -> Fetched:
    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if api_key:  # asked even without a key: it keeps a ~/.netrc from answering
            request.headers["Authorization"] = f"Bearer {api_key}"
        return request

    with requests.Session() as session:
        headers = {"Accept-Encoding": "gzip"}
        try:
            response = session.get(url, headers=headers, auth=authorize, timeout=TIMEOUT_S, stream=True)
        except requests.exceptions.RequestException as error:
            if isinstance(error, requests.ConnectionError | requests.Timeout):
                raise
            raise UnavailableError(f"{shown(url)}: {type(error).__name__}") from None
        with response:
            _check_status(url, response)
            content = _content(url, response, progress)
            digest = header_digest(
                response.headers.get("Repr-Digest") or response.headers.get("Content-Digest")
            )
    return Fetched(content, digest, warnings)


def _check_status(url: str, response: requests.Response) -> None:
    if response.status_code == 200:
        return
    error = error_of(response)
    kind = Forbidden if response.status_code == 403 else UnavailableError
    raise kind(f"{shown(url)}: {response.status_code}: {error.message}")


def _content(url: str, response: requests.Response, progress: Progress) -> bytes:
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isascii() and length.isdigit() else 0
    content = bytearray()
    for chunk in response.raw.stream(CHUNK, decode_content=False):
        content += chunk
        if len(content) > MOST_BYTES:
            raise Refused("", f"{shown(url)} sends more than {MOST_BYTES} bytes")
        progress(len(content), max(total, len(content)))
    return bytes(content)
