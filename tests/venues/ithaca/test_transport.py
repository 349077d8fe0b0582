"""Which error the client raises for which answer, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web

from runtime.clock import SystemClock
from tests.venues.serving import serving
from venues.errors import Broken, Rejected, Retryable
from venues.http import Http
from venues.ithaca.transport import NotLoggedIn, ask


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server that answers with the status and the body it is asked for."""

    async def echo(request: web.Request) -> web.Response:
        text = request.query.get("body", "")
        return web.Response(status=int(request.match_info["status"]), text=text)

    app = web.Application()
    app.router.add_route("*", "/{status}", echo)
    with serving(app) as base:
        yield base


def asked(url: str, status: int, body: str) -> Any:
    return ask(Http([url], clock=SystemClock()), "POST", f"/{status}", params={"body": body})


@pytest.mark.parametrize(
    "body", ['{"result":"OK","payload":[]}', '{"response":1}', "[1]", "2.5", '"x"', "null"]
)
def test_json_without_a_failure_is_an_answer(url: str, body: str) -> None:
    """Envelopes, statistics and the calculation server's bare values."""
    assert asked(url, 200, body).body == body.encode()


def test_no_content_is_an_answer_without_a_body(url: str) -> None:
    assert asked(url, 204, "").body == b""


@pytest.mark.parametrize(
    ("status", "body", "error", "code"),
    [
        (401, '{"result":"UNAUTHORIZED","details":"no session"}', NotLoggedIn, "UNAUTHORIZED"),
        (401, "<html>", NotLoggedIn, None),
        (412, '{"result":"INVALID_ORDER_ID","details":"unknown"}', Rejected, "INVALID_ORDER_ID"),
        (400, "", Rejected, None),
        (404, '{"result":"NOT_FOUND"}', Rejected, "NOT_FOUND"),
        (403, "{}", Rejected, None),
        (200, '{"result":"INVALID_ACCOUNT","details":"x"}', Rejected, "INVALID_ACCOUNT"),
    ],
)
def test_refusals_are_rejected_with_the_venues_code(
    url: str, status: int, body: str, error: type[Rejected], code: str | None
) -> None:
    with pytest.raises(error) as raised:
        asked(url, status, body)
    assert (raised.value.status, raised.value.code) == (status, code)


@pytest.mark.parametrize(
    ("status", "body"),
    [(408, ""), (429, ""), (500, "{}"), (503, ""), (412, '{"result":"TRADING_IS_NOT_STARTED_YET"}')],
)
def test_passing_troubles_are_retryable(url: str, status: int, body: str) -> None:
    with pytest.raises(Retryable) as raised:
        asked(url, status, body)
    assert raised.value.rate_limited == (status == 429)


@pytest.mark.parametrize("body", ["<html>maintenance</html>", "", '{"result":"OK","payl'])
def test_an_answer_that_is_no_json_is_broken(url: str, body: str) -> None:
    with pytest.raises(Broken, match="expected JSON"):
        asked(url, 200, body)


def test_long_texts_of_the_venue_are_cut(url: str) -> None:
    with pytest.raises(Rejected) as raised:
        asked(url, 412, '{"result":"X","details":"' + "y" * 2000 + '"}')
    assert len(str(raised.value)) < 300
