"""Contexts of the settings file: queues that the screen can switch to, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from previewops.redis_server.address import find_address_problem
from previewops.secret_files import has_password
from previewops.setting_values import QUEUE_NAME, RESERVED_QUEUE_NAMES
from previewops.tui.preferences.naming import name_problem
from previewops.tui.preferences.table_reader import InvalidSetting, TableReader, boolean, show

KEYS = ("redis_url", "queue", "environment", "read_only", "data_dir", "store")
"""The keys of one context."""

_MAX_TEXT = 1_000


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """One context. What is None is as without a context."""

    redis_url: str | None = None
    queue: str | None = None
    environment: str | None = None
    read_only: bool = False
    data_dir: str | None = None
    store: str | None = None

    @property
    def has_secret(self) -> bool:
        """Whether the address itself has a password, rather than the name of a file with one."""
        return self.redis_url is not None and has_password(self.redis_url.partition("?")[0])


def read_contexts(table: TableReader) -> dict[str, ContextSettings]:
    """The contexts of the table. One with an invalid address or queue is left out: it would lead elsewhere."""
    contexts: dict[str, ContextSettings] = {}
    for name, fields in table.tables().items():
        problem = name_problem(name)
        if problem:
            table.report(f"contexts: {problem}")
            continue
        fields.report_unknown(KEYS)
        redis_url = fields.read("redis_url", _parse_address, "")
        queue = fields.read("queue", _parse_queue, "")
        if ("redis_url" in fields.values and not redis_url) or ("queue" in fields.values and not queue):
            continue
        contexts[name] = ContextSettings(
            redis_url=redis_url or None,
            queue=queue or None,
            environment=fields.read("environment", _parse_text, None),
            # Whatever is not false: a mistake must not permit more than was meant.
            read_only=fields.read("read_only", boolean, True) if "read_only" in fields.values else False,
            data_dir=fields.read("data_dir", _parse_text, None),
            store=fields.read("store", _parse_text, None),
        )
    return contexts


def _parse_text(value: Any) -> str:
    if not isinstance(value, str) or not value or len(value) > _MAX_TEXT or not value.isprintable():
        raise InvalidSetting(f"found {show(value)}, allowed a text")
    return value


def _parse_address(value: Any) -> str:
    # The value is not repeated: it may contain a password.
    if not isinstance(value, str) or find_address_problem(value) is not None:
        raise InvalidSetting(
            "found no address of Redis, allowed redis://host:port/0, rediss://… or unix:///path"
        )
    return value


def _parse_queue(value: Any) -> str:
    if not isinstance(value, str) or QUEUE_NAME.fullmatch(value) is None or value in RESERVED_QUEUE_NAMES:
        raise InvalidSetting(
            f"found {show(value)}, allowed a name of 1 to 100 letters, digits, dots, _ and -"
        )
    return value
