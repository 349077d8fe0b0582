"""Fetch positions and the checkpoint over REST, then everything that happened since.

    python examples/rest_requests.py YOUR_API_KEY [http://HOST:48888]

Answers are compressed on the way; an answer that did not change is not sent again. ``requests`` alone
would do as well: ``requests.get(url, headers={"Authorization": "Bearer YOUR_API_KEY"}).json()``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from vanta_api.rest_client import RestError, VantaRestClient


def show_progress(done: int, total: int | None) -> None:
    """One line that counts up."""
    print(f"\r{done} of {total or '?'} bytes", end="", flush=True)


def main() -> int:
    """Print what there is; 1 and one clear line when the server says no."""
    api_key = sys.argv[1] if len(sys.argv) > 1 else "your_api_key"
    base_url = sys.argv[2] if len(sys.argv) > 2 else "http://localhost:48888"
    try:
        with VantaRestClient(base_url, api_key) as client:
            show(client, Path("validator_checkpoint.json"))
    except RestError as fault:
        print(f"the server says: {fault}", file=sys.stderr)
        return 1
    return 0


def show(client: VantaRestClient, target: Path) -> None:
    """Positions, then snapshot and stream stitched together."""
    for hotkey, dashboard in client.miner_positions().items():
        print(f"{hotkey}: {dashboard['n_positions']} positions, return {dashboard['all_time_returns']:.4f}")
    client.checkpoint(target, show_progress)
    sequence = msgspec.json.decode(target.read_bytes())["sequence"]
    print(f"\n{target} is the state at sequence {sequence}")
    for frame in client.iter_events(after=sequence):
        print(f"since then: {frame['sequence']} {frame['data']['position']['position_uuid']}")


if __name__ == "__main__":
    raise SystemExit(main())
