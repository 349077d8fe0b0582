"""Restoring over the wire: a server, the command, another server, the same checkpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.nodes import OPERATOR, Node
from tests.end_to_end.stack import ROOT
from tests.rest_server.complete import drafts


def content(found: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint says, without when and where it was made."""
    elsewhere = ("created_timestamp_ms", "created_date", "epoch", "sequence", "sequences", "digests")
    digests = {name: value for name, value in found["digests"].items() if name != "head"}
    return {name: value for name, value in found.items() if name not in elsewhere} | {"digests": digests}


def restore(url: str, directory: Path, *more: str) -> dict[str, Any]:
    """``python -m journal restore URL``; what it says."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "journal", "restore", url, "--data-dir", str(directory)),
            *("--api-key-env", "SOURCE_KEY", "--json", *more),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), "SOURCE_KEY": OPERATOR},
        cwd=directory.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == found["exit_code"], done.stderr
    return found


@pytest.mark.timeout(180)
def test_a_node_restored_from_a_url_serves_the_same_checkpoint(tmp_path: Path) -> None:
    source, target = Node(tmp_path / "source"), Node(tmp_path / "target")
    try:
        journal = source.journal()
        journal.append(drafts(1_750_000_000_000))
        heads = journal.heads()
        journal.close()
        source.start("rest", "rest_server")
        source.until_applied(heads)
        before = source.get("/validator-checkpoint?perf_ledgers=bundle&facts=all")

        refused = restore(source.url, source.settings.data_dir)
        assert (refused["exit_code"], "the worker rest" in refused["problem"]) == (2, True)
        facts = restore(source.url, target.settings.data_dir)
        assert (facts["restored"], facts["warnings"]) == (True, [])
        target.start("rest", "rest_server")
        target.until_applied(facts["sequences"])
        after = target.get("/validator-checkpoint?perf_ledgers=bundle&facts=all")

        assert content(after) == content(before)
        assert after["epoch"] == facts["epoch"] != before["epoch"]
        assert after["sequence"] > before["sequence"] + 999_999
    finally:
        source.close()
        target.close()
