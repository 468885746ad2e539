"""Writes the tables of commands.md and settings.md from the program: ``python -m tests.docs.write_reference``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from previewops.cli import program
from previewops.settings import Settings
from tests.docs.documents import ROOT

COMMANDS = ROOT / "docs" / "commands.md"
SETTINGS = ROOT / "docs" / "settings.md"


def commands_table() -> str:
    """The commands, in the order of ``previewops --help``."""
    rows = [(f"`{name}`", entry.summary) for name, entry in program.COMMANDS.items()]
    return _table(("command", "what it does"), rows)


def settings_table() -> str:
    """The settings: variable, default, meaning."""
    rows = [
        (f"`{variable}`", f"`{default}`" if " " not in default else default, meaning)
        for variable, default, meaning in Settings.table()
    ]
    return _table(("variable", "default", "meaning"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return (
        "\n".join(f"| {' | '.join(line)} |" for line in lines)
        .replace("| --- ", "|---")
        .replace("--- |", "---|")
    )


def with_table(text: str, name: str, table: str) -> str:
    """``text`` with ``table`` between the markers of ``name``."""
    marked = re.compile(rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    assert marked.search(text), name
    return marked.sub(lambda match: f"{match[1]}{table}\n{match[2]}", text)


def documents() -> dict[Path, str]:
    """Returns each document with the tables of the program."""
    return {
        COMMANDS: with_table(COMMANDS.read_text("utf-8"), "commands", commands_table()),
        SETTINGS: with_table(SETTINGS.read_text("utf-8"), "settings", settings_table()),
    }


if __name__ == "__main__":
    for path, text in documents().items():
        path.write_text(text, "utf-8")
