"""``python -m journal``: look at a journal, check it, keep it.

Exit codes of every command:

    0   clean, or done
    1   damaged, or failed
    2   wrong usage, or it could not run (no journal there, no access)
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

from journal import commands, keeper
from journal.entry import DURABLE_STREAMS
from runtime import logs
from runtime.settings import Settings, SettingsError, resolve

EPILOG: Final = """exit codes:
  0   clean, or done
  1   damaged, or failed
  2   wrong usage, or it could not run (no journal there, no access)
"""


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    if argv and argv[0] == "keeper":
        keeper.run(list(argv[1:]))
    options = parser().parse_args(argv)
    logs.configure("journal", "warning")
    try:
        settings = _settings(options)
    except SettingsError as error:
        sys.stderr.write(f"journal: {error}\n")
        return commands.COULD_NOT_RUN
    return commands.guarded(options.run, settings, options)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="python -m journal",
        description="Look at a journal, check it, keep it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = top.add_subparsers(required=True, metavar="COMMAND")
    _add(add, "verify", commands.verify, "check every row and every checkpoint")
    tail = _add(add, "tail", commands.tail, "print entries as they come")
    tail.add_argument(
        "--stream",
        action="append",
        choices=DURABLE_STREAMS,
        help="only this stream; may be given again (default: all)",
    )
    tail.add_argument(
        "--after", type=int, metavar="N", help="begin after this number (default: at the heads)"
    )
    tail.add_argument(
        "--no-follow", dest="follow", action="store_false", help="end at the heads instead of waiting"
    )
    _add(add, "replay", commands.replay, "fold the journal from every possible start and compare")
    _add(add, "checkpoint", commands.write_checkpoint, "write a checkpoint now")
    _add(add, "stats", commands.stats, "show heads, sizes, epochs and checkpoints")
    new_epoch = _add(add, "new-epoch", commands.new_epoch, "begin a new epoch, far above every number given")
    new_epoch.add_argument("--yes", action="store_true", help="really do it")
    add.add_parser("keeper", help="run the keeper: checkpoints, trimming, witness", add_help=False)
    return top


def _add(add: Any, name: str, run: object, text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = add.add_parser(
        name,
        help=text,
        description=f"{text[:1].upper()}{text[1:]}.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--data-dir", help="directory of the journal (default: data)")
    command.add_argument("--config", help="TOML file with settings (default: config.toml if there)")
    command.add_argument("--json", action="store_true", help="print JSON, one object a line")
    command.set_defaults(run=run)
    return command


def _settings(options: argparse.Namespace) -> Settings:
    known = argparse.Namespace(settings=None, venues=None, config=options.config, data_dir=options.data_dir)
    return resolve(known, os.environ)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
