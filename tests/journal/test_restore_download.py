"""Restoring from a URL: the key, the digest, what servers may do wrong, and how much memory it takes."""

from __future__ import annotations

import base64
import gzip
import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from journal.restore import download
from journal.restore.download import shown
from journal.restore.source import header_digest
from tests.journal.restored import hotkeys_of, own_checkpoint, quiet, run

__all__ = ["quiet"]
pytestmark = pytest.mark.usefixtures("quiet")
KEY = "secret-key-of-the-test"


def digest_of(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


@dataclass
class Server:
    """Answers with what a test says; remembers what was asked."""

    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    facts_status: int = 200
    cut: int | None = None  # close after this many bytes
    cuts: int = 10**9  # this many times
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append((self.path, self.headers.get("Authorization")))
            status = told.facts_status if "facts=all" in self.path else told.status
            body = told.body if status == 200 else b'{"error":"This key may not","code":"x"}'
            self.send_response(status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            is_cut = told.cut is not None and told.cuts > 0
            told.cuts -= 1
            self.wfile.write(body[: told.cut] if is_cut else body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{listener.server_address[1]}"
    monkeypatch.setattr(download, "AGAIN_S", 0.01)
    monkeypatch.setenv("CHECKPOINT_KEY", KEY)
    yield told
    listener.shutdown()
    listener.server_close()
    thread.join()


def restored(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, url: str, *more: str
) -> tuple[int, dict[str, Any]]:
    code, facts = run(capsys, url, "--data-dir", tmp_path / "data", "--api-key-env", "CHECKPOINT_KEY", *more)
    assert KEY not in str(facts)
    return code, facts


def test_a_server_is_asked_for_everything_its_key_may_have(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.body = gzip.compress(own_checkpoint(tmp_path / "source", "?facts=all"))
    server.headers = {"Content-Encoding": "gzip", "Repr-Digest": f"md5=:x:, {digest_of(server.body)}"}
    code, facts = restored(capsys, tmp_path, server.url)

    assert (code, facts["warnings"], facts["counts"]["facts"]) == (0, [], 18)
    assert server.asked == [("/validator-checkpoint?facts=all", f"Bearer {KEY}")]
    assert hotkeys_of(tmp_path / "data") == {"hk0", "hk1", "hk2"}


def test_a_key_of_a_lower_tier_gets_the_sections_and_a_warning(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.body, server.facts_status = own_checkpoint(tmp_path / "source"), 403
    code, facts = restored(capsys, tmp_path, server.url + "/")

    assert (code, "stay behind" in facts["warnings"][0]) == (0, True)
    assert [path for path, _ in server.asked] == [
        "/validator-checkpoint?facts=all",
        "/validator-checkpoint",
    ]


def test_an_address_with_a_path_is_taken_as_it_is(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.body = gzip.compress(own_checkpoint(tmp_path / "source"))
    url = f"{server.url}/bucket/validator_checkpoint.json.gz?generation=7"
    code, _ = run(capsys, url, "--data-dir", tmp_path / "data", "--dry-run")

    assert code == 0
    assert server.asked == [("/bucket/validator_checkpoint.json.gz?generation=7", None)]


def test_bytes_that_do_not_have_their_digest_are_refused(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.body = own_checkpoint(tmp_path / "source")
    for name in ("Repr-Digest", "Content-Digest"):
        server.headers = {name: digest_of(server.body + b" ")}
        code, facts = restored(capsys, tmp_path, server.url)
        assert (code, "digest" in facts["problem"]) == (1, True)
    server.headers = {"Repr-Digest": "sha-256=:?:"}
    assert restored(capsys, tmp_path, server.url)[0] == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_a_server_that_refuses_is_quoted(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    server.status = server.facts_status = status
    code, facts = restored(capsys, tmp_path, server.url)

    assert (code, f"{status}: This key may not" in facts["problem"]) == (2, True)


def test_a_download_that_breaks_off_is_tried_again(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.body = own_checkpoint(tmp_path / "source", "?facts=all")
    server.cut, server.cuts = 1000, 2
    assert restored(capsys, tmp_path, server.url, "--dry-run")[0] == 0
    assert len(server.asked) == 3

    server.cuts = 10
    code, facts = restored(capsys, tmp_path, server.url)
    assert (code, "127.0.0.1" in facts["problem"]) == (2, True)


def test_nobody_there_is_a_clear_refusal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "AGAIN_S", 0.01)
    code, facts = run(capsys, "http://127.0.0.1:9", "--data-dir", tmp_path / "data")

    assert (code, facts["problem"]) == (2, "http://127.0.0.1:9/validator-checkpoint: ConnectionError")


def test_a_key_variable_that_is_not_set_is_a_clear_refusal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, facts = run(
        capsys, "http://127.0.0.1:9", "--data-dir", tmp_path / "data", "--api-key-env", "NOT_SET"
    )

    assert (code, "NOT_SET" in facts["problem"]) == (2, True)


def test_nothing_secret_of_an_address_is_shown() -> None:
    url = "https://user:pass@host.example:8443/path?api_key=secret#part"
    assert shown(url) == "https://host.example:8443/path"
    assert urlsplit(shown("http://[::1]:9/x")).netloc == "[::1]:9"


def test_a_digest_header_without_sha_256_is_none() -> None:
    assert header_digest(None) is None
    assert header_digest("sha-512=:aGFsbG8=:") is None
    assert header_digest("sha-512=:aGFsbG8=:, SHA-256=:aGFsbG8=:") == b"hallo"


MEASURE = """
import sys
from journal.__main__ import main

def kib(name):
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])

open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew: it is inherited from the parent
before = kib("VmRSS")
code = main(sys.argv[1:])
sys.stderr.write(f"\\n{code} {before} {kib('VmHWM')}")
"""


def memory_mib(directory: Path, path: Path) -> float:
    """What a restore in a process of its own took beyond what the program itself takes."""
    command = [sys.executable, "-c", MEASURE, "restore", str(path), "--data-dir", str(directory), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    code, before, after = done.stderr.split("\n")[-1].split()
    assert code == "0", done.stdout
    return (int(after) - int(before)) / 1024


@pytest.mark.timeout(300)
def test_it_takes_no_more_than_three_times_the_text_in_memory(tmp_path: Path) -> None:
    text = own_checkpoint(tmp_path / "source", hotkeys=2_000)
    size_mib = len(text) / 1024**2
    (tmp_path / "c.json").write_bytes(text)
    (tmp_path / "c.json.gz").write_bytes(gzip.compress(text, 1))
    del text

    assert size_mib > 15
    for name in ("c.json", "c.json.gz"):
        taken = memory_mib(tmp_path / f"data-{name}", tmp_path / name)
        print(f"{name}: {size_mib:.1f} MiB of text, {taken:.1f} MiB taken")
        assert size_mib / 2 < taken <= 3 * size_mib
