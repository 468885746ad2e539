"""Parses documents: code blocks, tables, links, command lines. Covers the Markdown that the documents use."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
CHANGELOG = ROOT / "CHANGELOG.md"
DOCUMENTS = [README, CONTRIBUTING, CHANGELOG, *sorted((ROOT / "docs").glob("*.md"))]

SHELL = ("sh", "bash", "console")
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_PUNCTUATION = frozenset("();<>|&")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced code block."""

    document: Path
    language: str
    text: str


def blocks(document: Path, *languages: str) -> list[Block]:
    """The fenced code blocks of a document in one of ``languages``."""
    code_blocks = (
        Block(document, match["language"], dedent(match["text"]))
        for match in _FENCE.finditer(document.read_text("utf-8"))
    )
    return [block for block in code_blocks if block.language in languages]


def prose(document: Path) -> str:
    """A document without its code blocks."""
    return _FENCE.sub("", document.read_text("utf-8"))


def spans(document: Path) -> list[str]:
    """The texts between single backticks."""
    return _SPAN.findall(prose(document))


def links(document: Path) -> list[str]:
    """The targets of links and pictures."""
    return _LINK.findall(prose(document))


def section(document: Path, heading: str) -> str:
    """The text below a heading, up to the next heading of the same or a higher level."""
    rank, _, _ = heading.partition(" ")
    text = prose(document)
    below = text.partition(f"\n{heading}\n")[2]
    assert below, f"{document.name} has no heading {heading!r}"
    return re.split(rf"^#{{1,{len(rank)}}} ", below, maxsplit=1, flags=re.MULTILINE)[0]


def table(document: Path, heading: str) -> list[tuple[str, ...]]:
    """The cells of the first table below a heading, without the header row and backticks."""
    rows = [
        tuple(cell.strip().replace("`", "") for cell in line.strip().strip("|").split("|"))
        for line in _first_table(section(document, heading))
    ]
    return rows[2:]


def _first_table(text: str) -> list[str]:
    for is_row, lines in groupby(text.splitlines(), key=lambda line: line.startswith("|")):
        if is_row:
            return list(lines)
    return []


def anchors(document: Path) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#{1,6} (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def command_lines(document: Path, program: str) -> list[tuple[str, ...]]:
    """Every command line of ``program`` in the document's shell blocks, without the program name."""
    shown = [line for block in blocks(document, *SHELL) for line in block.text.splitlines()]
    return list(_of_program(shown, program))


def commands_in_prose(document: Path, program: str) -> list[tuple[str, ...]]:
    """Every command of ``program`` between backticks; required arguments may be missing."""
    return list(_of_program([span for span in spans(document) if "…" not in span], program))


def _of_program(lines: list[str], program: str) -> Iterator[tuple[str, ...]]:
    for line in lines:
        for command in _commands(line) if program in line else ():
            if Path(command[0]).name == program and len(command) > 1:
                yield command[1:]


def _commands(line: str) -> Iterator[tuple[str, ...]]:
    """The simple commands of a shell line, without comments, assignments, sudo and redirections."""
    lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    command: list[str] = []
    redirected = False
    for word in [*lexer, ";"]:
        if redirected:
            redirected = False
        elif word.startswith((">", "<")):
            redirected = True
        elif set(word) <= _PUNCTUATION:
            if command:
                yield tuple(command)
            command = []
        elif command or not (word == "sudo" or re.match(r"[A-Z_]+=", word)):
            command.append(word)
