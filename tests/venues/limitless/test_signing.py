"""Signatures equal those of the venue's own SDK."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from venues.limitless.sandbox.desk import targets
from venues.limitless.signing import Token, iso_ms, parse_iso_ms, signature, signed_headers

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "vectors.json").read_text("utf-8"))


@pytest.mark.parametrize("vector", VECTORS["hmac"], ids=lambda v: f"{v['method']} {v['path']}")
def test_headers_equal_the_sdks(vector: dict[str, Any]) -> None:
    token = Token(vector["token_id"], vector["secret_base64"])
    at_ms = parse_iso_ms(vector["timestamp"])

    headers = signed_headers(token, at_ms, vector["method"], vector["path"], vector["body"].encode())

    assert headers == vector["headers"]


@pytest.mark.parametrize("vector", VECTORS["requoting"], ids=lambda v: v["signed_request_path"])
def test_what_the_sdk_signs_is_among_the_targets_tried_for_what_it_sends(vector: dict[str, Any]) -> None:
    assert vector["signed_request_path"] in targets(vector["wire_request_target"])


def test_a_method_is_signed_in_upper_case() -> None:
    assert signature("AAEC", "t", "get", "/x") == signature("AAEC", "t", "GET", "/x")


@pytest.mark.parametrize("secret", ["not base64!", "abc"])
def test_a_secret_that_is_not_base64_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(ValueError, match="base64") as caught:
        signature(secret, "t", "GET", "/x")
    assert secret not in str(caught.value)


def test_times_keep_their_milliseconds() -> None:
    assert iso_ms(1_768_480_496_007) == "2026-01-15T12:34:56.007Z"
    assert parse_iso_ms("2026-01-15T12:34:56.007Z") == 1_768_480_496_007
    assert parse_iso_ms("2026-01-15T14:34:56.007+02:00") == 1_768_480_496_007
    assert parse_iso_ms("2026-01-15T12:34:56") == 1_768_480_496_000


def test_a_token_does_not_show_its_secret() -> None:
    assert "c2VjcmV0" not in repr(Token("id", "c2VjcmV0"))
