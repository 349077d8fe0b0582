"""Collateral in a real REST process: killed and started again, on the local ledger and on a chain."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from runtime.api_keys import create_default
from runtime.clock import SystemClock
from runtime.exit_codes import ExitCode
from runtime.settings import CollateralSettings
from tests.rest_server.test_worker import Server, running, wait_for
from tests.validator.collateral.people import COLD, HOT, THETA, collateral_settings, deposit, signed_body
from tests.validator.collateral.stand_in import OWNER_KEY, StandIn

HOT_ADDRESS = HOT.ss58_address


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    create_default(tmp_path / "keys.json")
    return tmp_path


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setenv("TEST_VAULT", "//Vault")
    monkeypatch.setenv("TEST_CONTRACT", OWNER_KEY)
    found = StandIn()
    yield found
    found.close()


def configured(directory: Path, settings: CollateralSettings) -> tuple[str, str]:
    """The options that make a server use these settings."""
    values = {name: getattr(settings, name) for name in settings.__struct_fields__}
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items() if value is not None]
    path = directory / "config.toml"
    path.write_text("[collateral]\n" + "\n".join(lines))
    return "--config", str(path)


def post(server: Server, path: str, body: Mapping[str, Any]) -> requests.Response:
    return requests.post(server.url + path, json=body, timeout=60)


def withdrawal(theta: float, nonce: str) -> dict[str, Any]:
    fields = {
        "amount": theta,
        "miner_coldkey": COLD.ss58_address,
        "miner_hotkey": HOT_ADDRESS,
        "nonce": nonce,
        "timestamp": SystemClock().now_ms(),
    }
    return signed_body(COLD, fields)


def balance(server: Server) -> float:
    found: float = server.get(f"/collateral/balance/{HOT_ADDRESS}").json()["balance_theta"]
    return found


def test_a_withdrawal_replayed_after_a_kill_is_refused(directory: Path) -> None:
    options = configured(directory, collateral_settings(directory))
    selection = signed_body(
        COLD,
        {"asset_selection": "forex", "miner_coldkey": COLD.ss58_address, "miner_hotkey": HOT_ADDRESS},
    )
    extrinsic = {"extrinsic": "0x" + deposit(300 * THETA).hex()}
    with running(directory, *options) as server:
        assert post(server, "/collateral/deposit", extrinsic).json()["successfully_processed"]
        body = withdrawal(100.0, "once")
        assert post(server, "/collateral/withdraw", body).json()["returned_amount"] == 100.0
        assert post(server, "/asset-selection", selection).json()["successfully_processed"]
        server.stop(signal.SIGKILL)

    with running(directory, *options) as server:
        again = post(server, "/collateral/withdraw", body)
        assert (again.status_code, again.json()["error"]) == (401, "Nonce already used")
        assert post(server, "/collateral/deposit", extrinsic).json()["successfully_processed"]
        assert balance(server) == 200.0
        assert "already selected" in post(server, "/asset-selection", selection).json()["error_message"]
        full = json.loads((directory / "keys.json").read_text())["tier_100"]["key"]
        checkpoint = server.get("/validator-checkpoint", full).json()
        assert checkpoint["asset_selections"] == {HOT_ADDRESS: "forex"}
        assert [one["account_size_theta"] for one in checkpoint["miner_account_sizes"][HOT_ADDRESS]] == [
            300.0,
            200.0,
        ]


def test_settings_that_cannot_be_used_stop_the_server_with_one_line(directory: Path) -> None:
    settings = collateral_settings(directory)
    Path(settings.metadata_file or "").write_bytes(b"rubbish")
    options = configured(directory, settings)
    command = [sys.executable, "-m", "rest_server", "--data-dir", str(directory / "data"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == ExitCode.CANNOT_BOOT
    assert "setting collateral.metadata_file: neither metadata nor its hex" in done.stderr


@pytest.mark.timeout(180)
def test_a_chain_is_served_and_a_killed_operation_is_finished(directory: Path, chain: StandIn) -> None:
    """Deposit and withdraw through the node and the contract; a kill in the middle loses nothing."""
    options = configured(directory, chain.settings(inclusion_s=4.0))
    with running(directory, *options) as server:
        done = post(server, "/collateral/deposit", {"extrinsic": deposit(300 * THETA).hex()})
        assert done.json() == {"successfully_processed": True, "error_message": ""}
        assert balance(server) == 299.999999998
        body = withdrawal(100.0, "once")
        assert post(server, "/collateral/withdraw", body).json()["returned_amount"] == 100.0
        assert post(server, "/collateral/withdraw", body).status_code == 401

        chain.hold = True
        second = {"extrinsic": deposit(50 * THETA, nonce=1).hex()}
        problem = post(server, "/collateral/deposit", second).json()["error_message"]
        assert "not known yet" in problem
        server.stop(signal.SIGKILL)

    chain.hold = False
    chain.mine()
    with running(directory, *options) as server:
        wait_for(lambda: balance(server) > 249.9, 60)
        assert post(server, "/collateral/deposit", second).json()["successfully_processed"]
        assert balance(server) == 249.999999996
    log = (directory / "rest.log").read_text()
    assert "//Vault" not in log
    assert OWNER_KEY[2:] not in log
