"""Starts and supervises the whole product: REST, WebSocket, one poller per venue, keeper, sandboxes.

    python api_manager.py --serve              the real venues of config.toml
    python api_manager.py --serve --sandbox    four sandbox venues on loopback, nothing to configure

Embedding: ``from api_manager import APIManager, add_arguments``; add the arguments to your own parser and
run ``APIManager.from_arguments(arguments).run()`` in the main thread.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import structlog

from journal.entry import JournalError
from journal.layout import open_journal
from runtime import logs
from runtime import settings as settings_module
from runtime.api_keys import create_default
from runtime.boot import CannotBoot, claim_data_dir, require_free_port
from runtime.clock import Clock, SystemClock
from runtime.exit_codes import ExitCode
from runtime.process import SystemProcess
from runtime.settings import Settings, SettingsError
from runtime.supervisor import Child, Spec, State, Supervisor
from venues.sandboxes import Arranged, OtherWorld, arrange
from venues.venue import NAMES

ROOT = Path(__file__).resolve().parent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add every option of the manager to ``parser``."""
    parser.add_argument("--serve", action="store_true", help="start the REST and WebSocket servers")
    settings_module.add_arguments(parser)
    parser.add_argument(
        "--sandbox", action="store_true", help="start the venue sandboxes on loopback and poll them"
    )


def build_parser() -> argparse.ArgumentParser:
    """The command line of ``python api_manager.py``."""
    parser = argparse.ArgumentParser(
        prog="api_manager.py",
        description="Vanta-compatible API server and gateway to four trading venues.",
        epilog="Exit codes: 0 stopped as asked, 1 failed, 2 wrong command line or settings, 3 cannot boot.",
    )
    add_arguments(parser)
    return parser


class APIManager:
    """The product in one object: give it settings and call ``run`` in the main thread."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings, self._clock = settings, clock or SystemClock()
        self._new_keys: dict[str, str] = {}
        self._announced = False

    @classmethod
    def from_arguments(
        cls, arguments: argparse.Namespace, environ: Mapping[str, str] | None = None
    ) -> APIManager:
        """Resolve settings from parsed arguments. Raises SettingsError."""
        settings = settings_module.resolve(arguments, os.environ if environ is None else environ)
        if arguments.sandbox:
            sandbox = msgspec.structs.replace(settings.sandbox, enabled=True)
            settings = msgspec.structs.replace(settings, sandbox=sandbox)
        for name in settings.venues:
            if name not in NAMES:
                raise SettingsError(f"unknown venue {name!r}: choose from {', '.join(NAMES)}")
        return cls(settings)

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; returns the exit code. Raises CannotBoot."""
        lock = claim_data_dir(self.settings.data_dir)
        try:
            self.supervisor = Supervisor(self._prepare(), self._spawn, self._clock, on_change=self._changed)
            self._listen_for_signals()
            return self.supervisor.run()
        finally:
            os.close(lock)

    def stop(self) -> None:
        """Begin an orderly stop (for programs that embed the manager)."""
        self.supervisor.note_signal(signal.SIGTERM)

    def _prepare(self) -> list[Spec]:
        settings = self.settings
        require_free_port(settings.api_host, settings.api_rest_port, "--api-rest-port")
        require_free_port(settings.api_host, settings.api_ws_port, "--api-ws-port")
        sandboxes: list[Arranged] = []
        if settings.sandbox.enabled:
            try:
                settings, sandboxes = arrange(settings, self._clock)
            except OtherWorld as error:
                raise CannotBoot(str(error)) from None
        self._settle_keys(settings)
        run_dir = settings.data_dir / "run"
        for stale in (*run_dir.glob("*.json"), *run_dir.glob("*.prom")):  # heartbeats of an earlier run
            stale.unlink()
        try:
            open_journal(settings).close()  # one process decides the epoch, before any other looks
        except JournalError as error:
            raise CannotBoot(f"the journal cannot be opened: {error}") from None
        resolved = run_dir / "settings.json"
        settings_module.dump(settings, resolved)
        self.settings = settings
        return worker_specs(settings, sandboxes, resolved)

    def _settle_keys(self, settings: Settings) -> None:
        if settings.api_keys.exists():
            return
        if settings.sandbox.enabled:
            self._new_keys = create_default(settings.api_keys)
        else:
            structlog.get_logger().warning(
                "no API keys",
                file=str(settings.api_keys),
                next="python -m runtime.api_keys add NAME --tier 100",
            )

    def _spawn(self, spec: Spec) -> SystemProcess:
        return SystemProcess(spec, self.settings.data_dir, self._clock, os.environ)

    def _listen_for_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.supervisor.note_signal)

    def _changed(self, child: Child) -> None:
        if not self._announced and self._is_worth_a_visit():
            self._announced = True
            sys.stdout.write(banner(self.settings, self._new_keys))
            sys.stdout.flush()

    def _is_worth_a_visit(self) -> bool:
        """Everything serves; or both servers do and something else keeps failing (health says what)."""
        children = self.supervisor.children.values()
        serving = all(c.state is State.RUNNING for c in children if c.spec.essential)
        return self.supervisor.all_ready() or (serving and any(c.failures > 2 for c in children))


def worker_specs(settings: Settings, sandboxes: Sequence[Arranged], resolved: Path) -> list[Spec]:
    """The workers to run, each a plain command that can also be started by hand."""

    def python(module: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", module, *arguments, "--settings", str(resolved)]

    environ = {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    specs = [
        Spec("rest", python("rest_server"), essential=True, environ=environ),
        Spec("ws", python("ws_server"), essential=True, environ=environ),
        Spec("keeper", python("journal", "keeper"), environ=environ),
    ]
    by_sandbox = {sandbox.venue: f"sandbox-{sandbox.venue}" for sandbox in sandboxes}
    for sandbox in sandboxes:
        specs.append(Spec(by_sandbox[sandbox.venue], python("venues", *sandbox.arguments), environ=environ))
    polled = [name for name, venue in settings.venues.items() if venue.accounts]
    for name in polled:
        after = (by_sandbox[name],) if name in by_sandbox else ()
        specs.append(Spec(f"poll-{name}", python("venues", "poll", name), after=after, environ=environ))
    if not polled:
        structlog.get_logger().warning(
            "no venue configured", next="add accounts to config.toml or use --sandbox"
        )
    return specs


def banner(settings: Settings, new_keys: dict[str, str]) -> str:
    """What a newcomer needs next: URLs, a key, a first command."""
    host = "127.0.0.1" if settings.api_host in ("0.0.0.0", "::") else settings.api_host
    rest, stream = f"http://{host}:{settings.api_rest_port}", f"ws://{host}:{settings.api_ws_port}"
    lines = ["", f"REST       {rest}   (docs at {rest}/docs)", f"WebSocket  {stream}"]
    if new_keys:
        lines += ["", f"API keys (shown once, kept in {settings.api_keys}):"]
        lines += [f"  {name:<10} {key}" for name, key in new_keys.items()]
    key = next(reversed(new_keys.values()), "YOUR_KEY")
    lines += ["", f'Try: curl --compressed -H "Authorization: Bearer {key}" {rest}/miner-positions', ""]
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """``python api_manager.py``; returns the exit code."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if not arguments.serve:
        parser.print_help()
        return ExitCode.USAGE
    try:
        manager = APIManager.from_arguments(arguments)
        logs.configure("manager", manager.settings.log_level)
        return manager.run()
    except SettingsError as error:
        sys.stderr.write(f"api_manager.py: {error}\n")
        return ExitCode.USAGE
    except CannotBoot as error:
        sys.stderr.write(f"api_manager.py: {error}\n")
        return ExitCode.CANNOT_BOOT


if __name__ == "__main__":
    sys.exit(main())
