"""The settings file of the screen, in TOML. A mistake never stops the screen: it is reported and ignored."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from previewops.errors import PreviewopsError
from previewops.formatting import clean
from previewops.queue.filter_query import parse_filter
from previewops.regular_files import read_regular
from previewops.tui.preferences.contexts import read_contexts
from previewops.tui.preferences.lists import LISTS
from previewops.tui.preferences.model import Preferences
from previewops.tui.preferences.naming import name_problem
from previewops.tui.preferences.table_reader import (
    InvalidSetting,
    TableReader,
    boolean,
    number_between,
    one_of,
    show,
)
from previewops.tui.viewmodel.columns import matching_titles
from previewops.tui.viewmodel.filter_text import MAX_FILTER_CHARACTERS

MAX_BYTES = 1 << 20

THEMES = ("dark", "light", "16")
TIMES = ("utc", "local")
KEYS = ("theme", "refresh_s", "time", "mouse", "columns", "filters", "contexts", "keys")
"""The keys of the file."""


def read_settings_file(path: Path) -> tuple[Preferences, tuple[str, ...]]:
    """The settings of a file, and what is wrong with it. A missing file has none of both."""
    try:
        text = read_regular(path, MAX_BYTES).decode("utf-8")
        values = tomllib.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        return Preferences(), ()
    except OSError as error:
        return Preferences(), (f"cannot be read: {error.strerror or error}",)
    except UnicodeDecodeError:
        return Preferences(), ("ignored: found bytes that are not UTF-8",)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return Preferences(), (f"ignored: it is not TOML: {clean(str(error))}",)
    preferences, problems = parse_settings(values)
    return preferences, (*problems, *_exposed_secrets(path, preferences))


def _exposed_secrets(path: Path, preferences: Preferences) -> list[str]:
    """Contexts whose passwords other users of this machine can read."""
    names = [name for name, context in preferences.contexts.items() if context.has_secret]
    if not names or not path.stat().st_mode & 0o077:
        return []
    return [
        f"contexts.{name}.redis_url: found a password in a file that others can read (used all the same); "
        "run chmod 600, or name a file: ?password_file=/path"
        for name in names
    ]


def format_notes(path: Path, problems: Sequence[str], most: int = 5) -> tuple[str, ...]:
    """What the screen reports at its start about the settings that are ignored, a line each."""
    if not problems:
        return ()
    more = len(problems) - most
    rest = (f"and {more} more: `previewops tui --keys` lists them",) if more > 0 else ()
    return (clean(str(path)), *problems[:most], *rest)


def parse_settings(values: Mapping[str, Any]) -> tuple[Preferences, tuple[str, ...]]:
    """The settings of a parsed file, and a message for each value that is ignored."""
    problems: list[str] = []
    table = TableReader(values, problems)
    table.report_unknown(KEYS)
    preferences = Preferences(
        theme=table.read("theme", one_of(*THEMES), None),
        refresh_s=table.read("refresh_s", number_between(0.25, 60), None),
        local_time=table.read("time", one_of(*TIMES), "utc") == "local",
        mouse=table.read("mouse", boolean, True),
        columns=_read_columns(table.table("columns")),
        filters=table.table("filters").read_all(_parse_filter),
        contexts=read_contexts(table.table("contexts")),
        keys=_read_keys(table.table("keys"), problems),
    )
    return preferences, tuple(problems)


def _read_keys(table: TableReader, problems: list[str]) -> dict[str, str]:
    if not table.values:
        return {}
    from previewops.tui.preferences.keys import read_keys

    keys, found = read_keys(table.values)
    problems += map(clean, found)
    return keys


def _read_columns(table: TableReader) -> dict[str, tuple[str, ...]]:
    table.report_unknown(LISTS)
    names = [name for name in LISTS if name in table.values]
    nothing: tuple[str, ...] = ()
    columns = {name: table.read(name, partial(_parse_titles, name), nothing) for name in names}
    return {name: titles for name, titles in columns.items() if titles}


def _parse_titles(name: str, value: Any) -> tuple[str, ...]:
    allowed = LISTS[name]()
    if not isinstance(value, list) or not value:
        raise InvalidSetting(f"found {show(value)}, allowed a list of {', '.join(allowed)}")
    for title in value:
        if not isinstance(title, str) or not matching_titles(allowed, (title,)):
            raise InvalidSetting(f"found {show(title)}, allowed {', '.join(allowed)}")
    return tuple(value)


def _parse_filter(name: str, value: Any) -> str:
    problem = name_problem(name)
    if problem:
        raise InvalidSetting(problem)
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_FILTER_CHARACTERS:
        raise InvalidSetting(
            f"found {show(value)}, allowed a filter of 1 to {MAX_FILTER_CHARACTERS} characters"
        )
    try:
        parse_filter(value)
    except (PreviewopsError, ValueError) as error:
        raise InvalidSetting(getattr(error, "message", str(error))) from None
    return value.strip()
