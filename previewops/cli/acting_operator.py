"""Name under which an operator's commands are recorded."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Mapping

from previewops.message_formatting import escape_unprintable, shorten

_MAX_CHARACTERS = 100


def acting_operator() -> str:
    """Returns ``user@host`` of the person who runs this process."""
    return format_operator_name(os.environ, _account(os.getuid()), socket.gethostname())


def format_operator_name(environ: Mapping[str, str], account: str, host: str) -> str:
    """Returns ``user@host``; under sudo the user is SUDO_USER, not ``account``."""
    user = environ.get("SUDO_USER", "").strip() or account
    return shorten(escape_unprintable(f"{user}@{host}"), _MAX_CHARACTERS)


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container's user without a passwd entry
        return f"uid-{uid}"
