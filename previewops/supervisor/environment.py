"""Environment that workers are started with, and its checks at a reload. Pure except for reading the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from previewops.errors import UsageError
from previewops.process.sd_notify import NOTIFY_VARIABLES
from previewops.redis_server.password_file import without_password_file
from previewops.regular_files import read_regular
from previewops.settings import Settings, variable_of
from previewops.supervisor.environment_file import parse_environment

_NOT_FOR_WORKERS = (
    "PREVIEW_API_TOKEN",
    "PREVIEW_API_READ_TOKEN",
    "PREVIEW_API_TOKEN_FILE",
    "PREVIEW_LINK_KEY",
    "PREVIEW_LINK_KEY_FILE",
    "PREVIEW_API_READ_TOKEN_FILE",
    "PREVIEW_API_TOKENS_FILE",
)
_FIXED = ("redis_url", "queue_name", "data_dir", "store")

MAX_FILE_BYTES = 1_048_576
"""Maximum size of an environment file."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Settings and environment of the workers. The supervisor uses the settings as well."""

    settings: Settings
    environ: Mapping[str, str]


def read_environment_file(path: Path) -> dict[str, str]:
    """Reads a file of variables in the format of systemd's EnvironmentFile=.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        text = read_regular(path, MAX_FILE_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        message = f"the environment file {path} cannot be read: {reason}"
        raise UsageError(message, hint="correct --env-file") from error
    return parse_environment(text)


def worker_environment(environ: Mapping[str, str], settings: Settings, url: str) -> dict[str, str]:
    """Returns the environment of a worker, with which it reads the same settings as the supervisor.

    It lacks the secrets that a worker does not need. A worker finds the password file of Redis by its own settings.
    """
    dropped = {*NOTIFY_VARIABLES, *_NOT_FOR_WORKERS}
    return {
        **{name: value for name, value in environ.items() if name not in dropped},
        "REDIS_URL": without_password_file(url),
        "PREVIEW_QUEUE_NAME": settings.queue_name,
        "DATA_DIR": str(settings.data_dir.resolve()),
    }


def check_reload(old: Settings, new: Settings) -> None:
    """Checks that a running supervisor can change to new settings.

    Raises:
        UsageError: they name another queue, DATA_DIR, store or Redis.
    """
    changed = [name for name in _FIXED if getattr(old, name) != getattr(new, name)]
    if changed:
        raise UsageError(
            f"{', '.join(map(variable_of, changed))} cannot change while the supervisor runs",
            hint="restart the supervisor for that",
        )
