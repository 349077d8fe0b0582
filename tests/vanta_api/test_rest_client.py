"""The REST client against a real HTTP server: conditional requests, retries, errors, downloads."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.vanta_api.scripted_http import Reply, Request, ScriptedHttp, scripted_http
from vanta_api.backoff import Backoff, retry_after_s
from vanta_api.rest_client import (
    Forbidden,
    Gone,
    NotFound,
    RateLimited,
    RestError,
    Unauthorized,
    Unreachable,
    VantaRestClient,
)

KEY = "canary-key-0123456789"


@pytest.fixture
def server() -> Iterator[ScriptedHttp]:
    with scripted_http() as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(server: ScriptedHttp, waits: list[float]) -> Iterator[VantaRestClient]:
    with VantaRestClient(
        server.url,
        KEY,
        sleep=waits.append,
        timeout_s=5,
        retries=3,
        backoff=lambda: Backoff(0.5, 30.0, draw=lambda limit: limit),
    ) as made:
        yield made


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (lambda c: c.miner_positions(), "/miner-positions"),
        (lambda c: c.miner_positions(30), "/miner-positions?tier=30"),
        (lambda c: c.miner_position("a/b?c"), "/miner-positions/a%2Fb%3Fc"),
        (lambda c: c.hotkeys(), "/miner-hotkeys"),
        (lambda c: c.limit_orders("hk", "unfilled,filled"), "/limit-orders/hk?status=unfilled%2Cfilled"),
        (lambda c: c.orders("hk"), "/orders/hk"),
        (lambda c: c.trade_pairs("crypto"), "/trade-pairs?asset_class=crypto"),
        (lambda c: c.health(), "/api/health"),
        (lambda c: c.get("/statistics", checkpoints="false"), "/statistics?checkpoints=false"),
    ],
)
def test_each_call_asks_for_its_route(client: VantaRestClient, server: ScriptedHttp, call, path: str) -> None:  # type: ignore[no-untyped-def]
    server.replies = [Reply(body={"ok": True})]

    assert call(client) == {"ok": True}
    assert server.requests[0].path == path
    assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"


def test_an_unchanged_answer_is_not_sent_twice(client: VantaRestClient, server: ScriptedHttp) -> None:
    first = Reply(body={"hk": [1]}, headers={"ETag": 'W/"e-7"', "X-Sequence": "7", "X-Epoch": "e"})
    server.replies = [
        first,
        Reply(304, headers={"ETag": 'W/"e-7"', "X-Sequence": "7"}),
        Reply(body={"hk": [2]}),
    ]

    one = client.miner_positions()
    one["hk"].append("mine")
    two = client.miner_positions()

    assert client.last is not None
    assert (client.last.is_unchanged, client.last.sequence) == (True, 7)
    assert two == {"hk": [1]}
    assert client.miner_positions() == {"hk": [2]}
    assert [request.headers.get("If-None-Match") for request in server.requests] == [
        None,
        'W/"e-7"',
        'W/"e-7"',
    ]


def test_answers_of_different_tiers_are_kept_apart(client: VantaRestClient, server: ScriptedHttp) -> None:
    server.replies = [Reply(body=[0], headers={"ETag": '"a"'}), Reply(body=[30], headers={"ETag": '"b"'})]

    client.miner_positions(0)
    client.miner_positions(30)

    assert "If-None-Match" not in server.requests[1].headers


def test_it_waits_as_long_as_the_server_asks(
    client: VantaRestClient, server: ScriptedHttp, waits: list[float]
) -> None:
    server.replies = [Reply(429, {"error": "slow"}, {"Retry-After": "7"}), Reply(503, {}), Reply(body=["hk"])]

    assert client.hotkeys() == ["hk"]
    assert waits == [7 + 1.0, 1.0]


def test_it_gives_up_after_its_retries(
    client: VantaRestClient, server: ScriptedHttp, waits: list[float]
) -> None:
    server.route = lambda _: Reply(429, {"error": "Too many requests", "code": "rate_limited"})

    with pytest.raises(RateLimited, match="Too many requests"):
        client.hotkeys()

    assert len(server.requests) == 4
    assert len(waits) == 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Unauthorized), (403, Forbidden), (404, NotFound), (410, Gone), (500, RestError)],
)
def test_an_error_is_raised_at_once_with_its_request_id(
    client: VantaRestClient, server: ScriptedHttp, status: int, kind: type[RestError]
) -> None:
    body = {"error": "no such luck", "code": "unlucky", "request_id": "r-1", "reason": "trimmed"}
    server.replies = [Reply(status, body)]

    with pytest.raises(kind, match=rf"{status}: no such luck \(request r-1\)") as caught:
        client.hotkeys()

    assert (caught.value.status, caught.value.code, caught.value.request_id) == (status, "unlucky", "r-1")
    assert KEY not in repr(caught.value)
    assert len(server.requests) == 1


def test_gone_says_why(client: VantaRestClient, server: ScriptedHttp) -> None:
    server.replies = [Reply(410, {"error": "gone", "reason": "epoch_changed"})]

    with pytest.raises(Gone) as caught:
        client.events(5)

    assert caught.value.reason == "epoch_changed"


@pytest.mark.parametrize("body", [b"<html>", b"", b'{"events": 5}'])
def test_an_answer_that_is_no_json_is_an_error(
    client: VantaRestClient, server: ScriptedHttp, body: bytes
) -> None:
    server.replies = [Reply(200, body, {"X-Request-ID": "r-9"})]

    with pytest.raises(RestError, match=r"not what was expected.*r-9"):
        client.events(0)


def test_an_unreachable_server_is_named_without_the_key(waits: list[float]) -> None:
    with scripted_http() as gone:
        url = gone.url
    with (
        VantaRestClient(url, KEY, sleep=waits.append, retries=1) as client,
        pytest.raises(Unreachable) as caught,
    ):
        client.hotkeys()

    assert len(waits) == 1
    assert KEY not in str(caught.value)


def test_events_are_read_page_by_page(client: VantaRestClient, server: ScriptedHttp) -> None:
    server.replies = [
        Reply(body=_page([1, 2], head=3, has_more=True)),
        Reply(body=_page([3], head=3, has_more=False)),
    ]

    frames = list(client.iter_events(0, limit=2))

    assert [frame["sequence"] for frame in frames] == [1, 2, 3]
    assert [request.path for request in server.requests] == [
        "/v1/events?after=0&limit=2",
        "/v1/events?after=2&limit=2",
    ]


# --- the checkpoint -------------------------------------------------------------------------------

CHECKPOINT = json.dumps({"positions": {f"hk{i}": {"positions": []} for i in range(30_000)}}).encode()


def test_the_checkpoint_is_unpacked_and_its_progress_told(
    client: VantaRestClient, server: ScriptedHttp, tmp_path: Path
) -> None:
    packed = gzip.compress(CHECKPOINT)
    server.replies = [Reply(body=packed, headers={"Content-Encoding": "gzip", "X-Sequence": "12"})]
    seen: list[tuple[int, int | None]] = []

    target = client.checkpoint(tmp_path / "deep" / "c.json", lambda done, total: seen.append((done, total)))

    assert target.read_bytes() == CHECKPOINT
    assert seen[-1] == (len(packed), len(packed))
    assert client.last is not None
    assert client.last.sequence == 12


@pytest.mark.parametrize("sent_packed", [True, False])
def test_a_gz_name_is_always_a_gzip_file(
    client: VantaRestClient, server: ScriptedHttp, tmp_path: Path, sent_packed: bool
) -> None:
    reply = Reply(body=gzip.compress(CHECKPOINT), headers={"Content-Encoding": "gzip"})
    server.replies = [reply if sent_packed else Reply(body=CHECKPOINT)]

    target = client.checkpoint(tmp_path / "validator_checkpoint.json.gz")

    assert gzip.decompress(target.read_bytes()) == CHECKPOINT
    assert server.requests[0].headers["Accept-Encoding"] == "gzip"


def test_a_download_that_breaks_off_leaves_the_old_file(
    client: VantaRestClient, server: ScriptedHttp, tmp_path: Path
) -> None:
    target = tmp_path / "c.json"
    target.write_text("old")
    server.replies = [Reply(body=CHECKPOINT, declared=len(CHECKPOINT) + 5)]

    with pytest.raises(Unreachable, match="broke off"):
        client.checkpoint(target)

    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


# --- waiting --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("5", 5.0),
        ("1.5", 1.5),
        ("Thu, 20 Nov 2025 10:00:30 GMT", 30.0),
        ("Thu, 20 Nov 2025 09:00:00 GMT", 0.0),
        ("soon", None),
        ("-3", None),
    ],
)
def test_retry_after_in_both_forms(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, datetime(2025, 11, 20, 10, 0, 0, tzinfo=UTC)) == seconds


def test_backoff_grows_to_its_ceiling_and_respects_close_codes() -> None:
    backoff = Backoff(1.0, 60.0, draw=lambda limit: limit)

    assert [backoff.delay() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    backoff.reset()
    assert backoff.delay(1012, hint_s=3.0) == 3.0 + 1.0
    assert [backoff.delay(code) for code in (4003, 4004, 4005)] == [None, None, None]


def test_a_replaced_connection_stays_away_longer_each_time() -> None:
    backoff = Backoff(1.0, 60.0, draw=lambda limit: 0.0)

    first, second, third = (backoff.delay(4006) or 0 for _ in range(3))
    backoff.reset()

    assert (first, second, third) == (8.0, 16.0, 30.0)
    assert backoff.delay(4006) == 30.0


def _page(numbers: list[int], head: int, has_more: bool) -> dict[str, object]:
    frames = [{"sequence": n, "timestamp": 1, "data": {}} for n in numbers]
    return {
        "events": frames,
        "epoch": "e",
        "stream": "positions",
        "after": numbers[0] - 1,
        "last": numbers[-1],
        "head": head,
        "oldest": 1,
        "has_more": has_more,
    }


def test_the_script_keeps_what_was_asked(server: ScriptedHttp) -> None:
    """The test's own server is a real one."""
    server.route = lambda request: Reply(body=request.path)

    assert VantaRestClient(server.url).get("/x") == "/x"
    assert isinstance(server.requests[0], Request)
    assert "Authorization" not in server.requests[0].headers
