"""HTTP towards a venue that has a bad day, one kind after the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from aiohttp import web

from runtime.clock import FakeClock, SystemClock
from tests.venues.serving import serving
from venues.errors import Rejected, Retryable
from venues.faults import Faults
from venues.http import Http, Pace, retry_after_s

DOWN = "http://127.0.0.1:9"  # the discard port: nothing listens there


@pytest.fixture(scope="module")
def faults() -> Faults:
    return Faults(seed=1)


@pytest.fixture(scope="module")
def base(faults: Faults) -> Iterator[str]:
    app = web.Application()

    async def rows(request: web.Request) -> web.Response:
        return web.json_response({"rows": [{"id": n} for n in range(4)]})

    async def away(request: web.Request) -> web.Response:
        raise web.HTTPFound("http://169.254.169.254/")

    app.router.add_get("/rows", rows)
    app.router.add_get("/away", away)
    faults.install(app)
    with serving(app) as url:
        yield url


@pytest.fixture(autouse=True)
def _calm(faults: Faults) -> None:
    faults.clear()


def client(*urls: str, **options: float) -> Http:
    return Http(urls, clock=SystemClock(), **{"timeout_s": 2.0, "requests_per_s": 1000.0, **options})  # type: ignore[arg-type]


def test_gives_the_body_as_it_came(base: str) -> None:
    assert client(base).get("/rows").body == b'{"rows": [{"id": 0}, {"id": 1}, {"id": 2}, {"id": 3}]}'


@pytest.mark.parametrize("kind", ["500", "502", "503", "504", "disconnect", "truncated", "huge"])
def test_a_venue_fault_is_retryable(base: str, faults: Faults, kind: str) -> None:
    faults.arm(kind)  # type: ignore[arg-type]
    with pytest.raises(Retryable):
        client(base).get("/rows")

    assert client(base).get("/rows").status == 200


def test_a_timeout_is_retryable(base: str, faults: Faults) -> None:
    faults.arm("timeout", value=1.0)
    with pytest.raises(Retryable):
        client(base, timeout_s=0.2).get("/rows")


def test_retry_after_is_honoured_by_sending_nothing(base: str, faults: Faults) -> None:
    http = client(base)
    faults.arm("429", value=30)
    with pytest.raises(Retryable) as first:
        http.get("/rows")
    with pytest.raises(Retryable) as second:
        http.get("/rows")

    assert first.value.rate_limited
    assert first.value.after_s == 30
    assert second.value.rate_limited
    assert 28 < (second.value.after_s or 0) <= 30


def test_the_next_base_url_is_tried_and_remembered(base: str) -> None:
    http = client(DOWN, base)

    assert http.get("/rows").status == 200
    assert http._current == 1


def test_a_rate_limit_is_not_dodged_by_another_url(base: str, faults: Faults) -> None:
    faults.arm("429")
    with pytest.raises(Retryable):
        client(base, base).get("/rows")


def test_a_redirect_is_refused_not_followed(base: str) -> None:
    with pytest.raises(Rejected) as refused:
        client(base).get("/away")

    assert refused.value.status == 302


def test_not_found_is_rejected_without_the_query(base: str) -> None:
    with pytest.raises(Rejected) as refused:
        client(base).get("/nope?key=CANARY", params={"other": "CANARY"})

    assert "CANARY" not in str(refused.value)


def test_the_pace_lets_a_burst_through_and_then_waits() -> None:
    clock = FakeClock()
    pace = Pace(2.0, clock)
    for _ in range(6):
        pace.wait()

    assert clock.monotonic() == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("5", 5.0), ("99999", 3600.0), (None, None), ("soon", None), ("Sun, 15 Jun 2025 15:07:00 GMT", 20.0)],
)
def test_retry_after_in_all_its_forms(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, FakeClock(1_750_000_000_000)) == seconds
