"""Names that operators give to filters and contexts."""

from __future__ import annotations

MAX_NAME = 40


def name_problem(name: str) -> str:
    """Why this cannot be a name; "" if it can. The message fits behind what is named."""
    if 0 < len(name) <= MAX_NAME and name == name.strip() and name.isprintable():
        return ""
    return f"found the name {name[:MAX_NAME]!r}, allowed 1 to {MAX_NAME} printable characters"
