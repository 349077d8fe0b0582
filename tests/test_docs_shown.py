"""What the documentation shows, done: snippets compile or run, transcripts are true, commands exist."""

from __future__ import annotations

import ast
import functools
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest
from bittensor_wallet import Keypair

from journal.__main__ import parser as journal_parser
from runtime.api_keys_cli import _parser as keys_parser
from tests.docs_markdown import ROOT, Block, blocks, documents
from tests.docs_snippets import UNTIL, is_told, run_program, run_transcript
from tests.end_to_end.stack import Stack, stack, until
from validator.collateral.__main__ import _parser as collateral_parser
from venues.__main__ import build_parser as venues_parser

OPERATIONS: Final = ROOT / "docs" / "operations.md"
BLOCKS: Final = [block for path in documents() for block in blocks(path)]
RUNNING: Final = [block for block in BLOCKS if block.order == "runs" or UNTIL.fullmatch(block.order)]
PROGRAMS: Final = [block for block in RUNNING if block.language in ("python", "javascript")]
TRANSCRIPTS: Final = [block for block in RUNNING if block.language == "console"]
PARSERS: Final = {
    "journal": journal_parser,
    "venues": venues_parser,
    "validator.collateral": collateral_parser,
    "runtime.api_keys": keys_parser,
}
NOT_HERE: Final = {"docker", "systemctl", "git", "sqlite3"}  # commands of the user's machine


def subcommands(module: str) -> list[str]:
    """The commands of ``python -m module``, as its parser knows them."""
    groups = PARSERS[module]()._subparsers
    assert groups is not None
    (action,) = groups._group_actions
    return list(action.choices or ())


def shown(value: object) -> str:
    return str(value)


# --- snippets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.language == "python"], ids=shown)
def test_every_python_snippet_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_there_are_snippets_that_run() -> None:
    assert len(PROGRAMS) >= 8
    assert len(TRANSCRIPTS) >= 8
    assert all(UNTIL.fullmatch(one.order) or one.order == "runs" for one in BLOCKS if "runs" in one.order)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for every snippet: the O2 sandbox behind the whole product, and a hotkey with an owner."""
    directory = tmp_path_factory.mktemp("docs")
    owners = {Keypair.create_from_uri("//Bob").ss58_address: Keypair.create_from_uri("//Alice").ss58_address}
    (directory / "owners.json").write_text(json.dumps(owners))
    (directory / "config.toml").write_text('[collateral]\nowners_file = "owners.json"\n')
    with stack(directory, "--venues", "o2") as running:
        until(lambda: len(running.get("/miner-positions")) == 3, 30, "positions of the sandbox's accounts")
        yield running


@pytest.mark.parametrize("block", PROGRAMS, ids=shown)
def test_every_program_shown_runs(block: Block, live: Stack, tmp_path: Path) -> None:
    if block.language == "javascript" and shutil.which("node") is None:
        pytest.skip("no node here")
    run_program(block, live, tmp_path)


@pytest.mark.parametrize("block", TRANSCRIPTS, ids=shown)
def test_every_transcript_is_what_the_server_says(block: Block, live: Stack, tmp_path: Path) -> None:
    seen = 0
    for command, expected, real in run_transcript(block, live, tmp_path):
        assert is_told(expected, real), f"{block}: $ {command}\nreally says\n{real[:1500]}"
        seen += 1
    assert seen == block.text.count("$ ") - block.text.count("| $ ")


def test_dots_stand_for_anything_and_nothing_else_does() -> None:
    assert is_told('{"a":...,"b":2}', '{"a":[1,2],"b":2}')
    assert not is_told('{"a":...,"b":2}', '{"a":[1,2],"b":3}')
    assert not is_told("HTTP/1.1 304", "HTTP/1.1 200")


# --- commands -------------------------------------------------------------------------------------------


def shell_commands() -> list[tuple[Block, str]]:
    found = [
        (block, command)
        for block in BLOCKS
        if block.language in ("console", "bash")
        for command in block.commands
    ]
    inline = [
        (Block(OPERATIONS, 0, "bash", "", ""), text)
        for text in re.findall(r"`((?:python|make) [^`]+)`", OPERATIONS.read_text(encoding="utf-8"))
    ]
    return found + inline


@functools.cache
def help_of(*command: str) -> str:
    """What a Python command says with ``--help``; fails where it does not know it."""
    done = subprocess.run(
        [sys.executable, *command, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"{' '.join(command)} --help: {done.stderr}"
    return done.stdout


@pytest.mark.parametrize(
    ("module", "command"), [(module, command) for module in PARSERS for command in subcommands(module)]
)
def test_every_command_is_documented_and_has_help(module: str, command: str) -> None:
    assert re.search(
        rf"python -m {re.escape(module)} [^|]*\b{command}\b", OPERATIONS.read_text(encoding="utf-8")
    )
    assert "usage" in help_of("-m", module, command)


def test_every_module_that_can_be_run_is_documented_and_has_help() -> None:
    told = OPERATIONS.read_text(encoding="utf-8")
    for package in ("journal", "rest_server", "runtime", "validator", "venues", "ws_server"):
        for path in (ROOT / package).rglob("__main__.py"):
            module = ".".join(path.relative_to(ROOT).parent.parts)
            assert f"`python -m {module}" in told, module
            assert "usage" in help_of("-m", module)


def test_every_shell_command_shown_exists() -> None:
    targets = (ROOT / "Makefile").read_text(encoding="utf-8")
    for block, line in shell_commands():
        for words in simple_commands(line):
            _check(words, f"{block}: {line}", targets)


def simple_commands(line: str) -> Iterator[list[str]]:
    """The commands of a line: what stands between pipes and semicolons, without variables set before it."""
    lexer = shlex.shlex(re.sub(r"^\w+=\$\((.*)\)$", r"\1", line), posix=True, punctuation_chars="|;&")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("|;&"):
            if words:
                yield words
            words = []
        elif words or not re.match(r"\w+=", word):
            words.append(word)


def _check(words: list[str], where: str, targets: str) -> None:
    if words[0].endswith("python") and words[1] == "-m":
        subcommand = words[3:4] if words[2] in PARSERS else []
        assert find_spec(words[2]) is not None, where
        _check_options(
            words[3:], help_of("-m", words[2], *subcommand) if words[2] in PARSERS else None, where
        )
    elif words[0].endswith("python"):
        assert (ROOT / words[1]).is_file(), where
        is_ours = words[1] == "api_manager.py"
        _check_options(words[2:], help_of("api_manager.py") if is_ours else None, where)
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:", targets, re.MULTILINE), where
    else:
        is_there = words[0] in NOT_HERE or shutil.which(words[0]) is not None
        assert is_there or words[0] in ("export", "cd", "..."), f"{where}: no command {words[0]}"


def _check_options(words: list[str], told: str | None, where: str) -> None:
    """Options of the process itself (``--data-dir`` ...) are the manager's."""
    for word in words:
        if told is not None and word.startswith("--"):
            known = re.findall(r"--[\w-]+", told + help_of("api_manager.py"))
            assert word in known, f"{where}: no option {word}"
