"""Reading our own Markdown: fenced blocks with what the comment before them says, links, headings, tables.

A comment directly before a block tells ``tests/test_docs.py`` what to do with it::

    <!-- runs -->                        run it to its end against the live stack; it must succeed
    <!-- runs until: some text -->       run it, wait until it prints the text, then Ctrl-C
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE: Final = re.compile(r"`[^`]*`")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. ``order``: the comment before it, or empty; ``line``: of its first fence, from 1."""

    path: Path
    line: int
    language: str
    order: str
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block: lines after ``$`` of a transcript, every line of a script."""
        lines = _joined(self.text).splitlines()
        if self.language == "console":
            return [line[2:] for line in lines if line.startswith("$ ")]
        return [line for line in lines if line.strip() and not line.startswith("#")]


def documents() -> list[Path]:
    """Every Markdown file that users read."""
    folders = [ROOT, ROOT / "docs", ROOT / "examples", *sorted((ROOT / "venues").iterdir())]
    return [path for folder in folders if folder.is_dir() for path in sorted(folder.glob("*.md"))]


def blocks(path: Path) -> Iterator[Block]:
    """The fenced blocks of a file, in order."""
    order, start, language, held = "", 0, "", list[str]()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            if start:
                yield Block(path, start, language, order, "\n".join(held) + "\n")
                order, start, held = "", 0, []
            else:
                start, language = number, line[3:].strip()
        elif start:
            held.append(line)
        elif line.strip():
            comment = re.fullmatch(r"<!-- (.*) -->", line.strip())
            order = comment.group(1) if comment else ""


def links(path: Path) -> Iterator[str]:
    """The targets of a file's links, code left out."""
    for line in _prose(path):
        yield from _LINK.findall(_CODE.sub("", line))


def anchors(path: Path) -> set[str]:
    """What ``#...`` may name in a file: its headings, as renderers make them."""
    found: dict[str, int] = {}
    names = set()
    for line in _prose(path):
        if heading := re.match(r"#+ (.*)", line):
            kept = slug(heading.group(1))
            count = found[kept] = found.get(kept, -1) + 1
            names.add(f"{kept}-{count}" if count else kept)
    return names


def slug(heading: str) -> str:
    """The anchor that renderers give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def marked(text: str, name: str) -> str:
    """What stands between the markers ``<!-- name:begin -->`` and ``<!-- name:end -->``."""
    return text.partition(begin(name))[2].partition(end(name))[0].strip("\n")


def with_marked(text: str, name: str, content: str) -> str:
    """The text with other content between the markers. Raises ValueError where they are missing."""
    if text.count(begin(name)) != 1 or text.count(end(name)) != 1:
        raise ValueError(f"the markers {begin(name)} and {end(name)} must be there once")
    head, _, rest = text.partition(begin(name))
    return f"{head}{begin(name)}\n{content}\n{end(name)}{rest.partition(end(name))[2]}"


def begin(name: str) -> str:
    return f"<!-- {name}:begin -->"


def end(name: str) -> str:
    return f"<!-- {name}:end -->"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _joined(text: str) -> str:
    """The text with continued lines (a backslash at the end) joined."""
    return re.sub(r"\\\n\s*", "", text)


def _prose(path: Path) -> Iterator[str]:
    is_code = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            is_code = not is_code
        elif not is_code:
            yield line
