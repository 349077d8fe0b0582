"""Bodies in every coding: joined gzip, negotiation, and what real clients make of it."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import requests
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from rest_server.documents import Document
from rest_server.gzip_join import STORED_MAX, Joined, Piece, join_gzip, stored
from rest_server.http_server import HttpServer
from rest_server.negotiation import choose_encoding, has_current
from tests.rest_server.live import Connection
from tests.rest_server.world import HOUR, World, bearer, fill, position

pieces = st.lists(
    st.recursive(
        st.one_of(st.binary(max_size=300).map(Piece), st.binary(max_size=20).map(stored)),
        lambda inner: st.lists(inner, max_size=3).map(Joined),
        max_leaves=6,
    ),
    max_size=6,
)


@given(pieces)
def test_joined_pieces_are_one_gzip_member(parts: list[Piece]) -> None:
    raw = b"".join(part.raw for part in parts)
    joined = join_gzip(parts)
    one_member = zlib.decompressobj(wbits=31)

    assert one_member.decompress(joined) == raw
    assert one_member.eof
    assert one_member.unused_data == b""
    assert gzip.decompress(joined) == raw


def test_a_large_piece_is_joined_too() -> None:
    large = [Piece(bytes([n]) * 200_000 + n.to_bytes(2, "big") * 50_000) for n in range(4)]

    assert gzip.decompress(join_gzip(large)) == b"".join(piece.raw for piece in large)
    with pytest.raises(ValueError):
        stored(b"x" * (STORED_MAX + 1))


@given(pieces)
def test_every_coding_of_a_document_is_the_same_text(parts: list[Piece]) -> None:
    made = Document(parts)
    text = made.body("identity")

    assert made.size == len(text)
    assert gzip.decompress(made.body("gzip")) == text
    assert zstandard.decompress(made.body("zstd"), max_output_size=max(1, len(text))) == text
    assert made.body("gzip") is made.body("gzip")


@given(pieces, pieces)
def test_different_texts_have_different_tags(left: list[Piece], right: list[Piece]) -> None:
    one, other = Document(left), Document(right)

    assert one.tag == Document(left).tag
    if one.body("identity") != other.body("identity"):
        assert one.tag != other.tag


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, "identity"),
        ("", "identity"),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, deflate, br, zstd", "gzip"),
        ("zstd", "zstd"),
        ("gzip;q=0.5, zstd", "zstd"),
        ("gzip;q=0.5, zstd;q=0.9", "zstd"),
        ("gzip;q=0", "identity"),
        ("gzip;q=0, *", "zstd"),
        ("*", "gzip"),
        ("*;q=0", "identity"),
        ("identity", "identity"),
        ("identity;q=1, gzip;q=0.5", "identity"),
        ("identity;q=0.5, gzip;q=1.0", "gzip"),
        ("br, deflate", "identity"),
        ("gzip;q=nonsense", "identity"),
        ("gzip;q=nan", "identity"),
        ("gzip;q=7", "identity"),
        (" gzip ; q=0.8 ", "gzip"),
        (";;;,,,", "identity"),
        (",".join(["x"] * 1000) + ",gzip", "identity"),
    ],
)
def test_the_coding_is_the_clients_best(header: str | None, expected: str) -> None:
    assert choose_encoding(header) == expected


@given(st.text(max_size=60))
def test_any_header_is_understood_or_ignored(header: str) -> None:
    assert choose_encoding(header) in ("gzip", "zstd", "identity")
    assert has_current(header, 'W/"x"') in (True, False)


def unzstd(body: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(body)


UNPACK: dict[str, Callable[[bytes], bytes]] = {"identity": bytes, "gzip": gzip.decompress, "zstd": unzstd}


@pytest.fixture
def filled(world: World) -> World:
    """A world whose answers are large enough to be compressed, and larger than one write."""
    now = world.now
    for hotkey in range(12):
        for n in range(6):
            orders = [fill((hotkey, n, k), 1, 2.0 + k, now - (30 - k) * HOUR) for k in range(8)]
            world.put(position(f"hotkey{hotkey}", orders))
    return world


@pytest.mark.parametrize(
    "path",
    ["/miner-positions", "/validator-checkpoint", "/miner-positions/hotkey1", "/trade-pairs", "/v1/events"],
)
def test_every_coding_on_the_wire_is_the_same_answer(filled: World, live: HttpServer, path: str) -> None:
    seen: list[Any] = []
    with Connection(live.port) as connection:
        for coding in ("identity", "gzip", "zstd"):
            answer = connection.ask("GET", path, {**bearer("k100"), "Accept-Encoding": coding})
            assert answer.status == 200
            assert answer.headers.get("content-encoding", "identity") == coding
            assert answer.headers["vary"] == "Authorization, Accept-Encoding"
            found = json.loads(UNPACK[coding](answer.body))
            found.pop("timestamp", None)
            seen.append(found)
    assert seen[0] == seen[1] == seen[2]


def test_without_accept_encoding_nothing_is_compressed(filled: World, live: HttpServer) -> None:
    with Connection(live.port) as connection:
        answer = connection.ask("GET", "/miner-positions", bearer("k100"))
    assert "content-encoding" not in answer.headers
    assert len(json.loads(answer.body)) == 12


def test_small_answers_stay_plain(world: World, live: HttpServer) -> None:
    with Connection(live.port) as connection:
        for path in ("/miner-positions", "/readyz", "/nothing"):
            answer = connection.ask("GET", path, {**bearer("k100"), "Accept-Encoding": "gzip"})
            assert "content-encoding" not in answer.headers


def with_requests(url: str) -> tuple[Any, str | None]:
    answer = requests.get(url, headers=bearer("k100"), timeout=10)
    return answer.json(), answer.headers.get("Content-Encoding")


def with_httpx(url: str) -> tuple[Any, str | None]:
    answer = httpx.get(url, headers=bearer("k100"))
    return answer.json(), answer.headers.get("Content-Encoding")


def with_curl(url: str) -> tuple[Any, str | None]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = ["curl", "-sS", "--compressed", "-H", "Authorization: Bearer k100", url]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=20).stdout), None


@pytest.mark.parametrize("client", [with_requests, with_httpx, with_curl])
def test_real_clients_read_the_whole_snapshot(
    filled: World, live: HttpServer, client: Callable[[str], tuple[Any, str | None]]
) -> None:
    """Clients that stop after the first gzip member would see a part only."""
    body, coding = client(f"http://127.0.0.1:{live.port}/miner-positions")

    assert len(body) == 12
    assert all(len(one["positions"]) == 6 for one in body.values())
    assert coding in (None, "gzip")
