"""Hardening of systemd units: one standard for the shipped units and for transient ones.

The snippets in ``previewops/systemd/snippets`` are the only list: the shipped units contain them, and transient units
get their lines as properties.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path

HARDENING_SNIPPET = "hardening.conf"
SYSTEM_SNIPPET = "system-only.conf"
"""Directives that only the system's manager supports."""
SANDBOX_SNIPPET = "sandbox.conf"
"""What units of workers permit their render processes, for their confinement."""

HIDDEN_FOLDERS = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108 - compared only
"""Folders that ProtectHome=yes and PrivateTmp=yes empty for the processes of system units."""

_DIRECTIVE = re.compile(r"([A-Za-z]+)=(.*)")
# A transient unit runs as the owner of DATA_DIR, and in the supervisor's folder.
_SET_BY_CALLER = ("User", "Group", "WorkingDirectory")


@cache
def read_shipped(*parts: str) -> str:
    """Returns the text of a shipped file below ``previewops/systemd``."""
    return files("previewops").joinpath("systemd", *parts).read_text(encoding="utf-8")


def hardening_properties(data_dir: Path, *, system: bool) -> list[tuple[str, str]]:
    """Returns the directives of a worker's snippets in order, without those of the unit's user and folder.

    A directive may occur more than once. ``system`` adds those of the system's manager.
    """
    names = [*([SYSTEM_SNIPPET] if system else []), HARDENING_SNIPPET, SANDBOX_SNIPPET]
    text = "\n".join(read_shipped("snippets", name) for name in names).replace("@DATA_DIR@", str(data_dir))
    return [(name, value) for name, value in parse_directives(text) if name not in _SET_BY_CALLER]


def parse_directives(text: str) -> list[tuple[str, str]]:
    """Returns the directives of a part of a unit file, in order."""
    matches = map(_DIRECTIVE.fullmatch, text.splitlines())
    return [(match[1], match[2]) for match in matches if match is not None]


def hidden_folders(folders: Iterable[tuple[str, Path, str]]) -> list[str]:
    """Returns a sentence for each folder that hardened system services cannot see.

    ``folders`` are a name, the folder without symbolic links, and an allowed example.
    """
    outside = ", ".join(map(str, HIDDEN_FOLDERS))
    return [
        f"{name}: found {folder}, which the hardened services cannot see; allowed is any folder outside {outside}, "
        f"for example {example}"
        for name, folder, example in folders
        if is_hidden(folder)
    ]


def is_hidden(folder: Path) -> bool:
    """Whether a hardened system service cannot see a folder."""
    return any(folder.is_relative_to(hidden) for hidden in HIDDEN_FOLDERS)
