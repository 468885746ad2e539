"""Environment that workers are started with, and its checks at a reload. Pure except for reading the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from previewops.errors import UsageError
from previewops.process.sd_notify import NOTIFY_VARIABLES
from previewops.settings import Settings, variable_of
from previewops.supervisor.environment_file import parse_environment

_FIXED = ("redis_url", "queue_name", "data_dir")


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
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        message = f"the environment file {path} cannot be read: {reason}"
        raise UsageError(message, hint="correct --env-file") from error
    return parse_environment(text)


def worker_environment(environ: Mapping[str, str], settings: Settings, url: str) -> dict[str, str]:
    """Returns the environment of a worker, with which it reads the same settings as the supervisor."""
    return {
        **{name: value for name, value in environ.items() if name not in NOTIFY_VARIABLES},
        "REDIS_URL": url,
        "PREVIEW_QUEUE_NAME": settings.queue_name,
        "DATA_DIR": str(settings.data_dir.resolve()),
    }


def check_reload(old: Settings, new: Settings) -> None:
    """Checks that a running supervisor can change to new settings.

    Raises:
        UsageError: they name another queue, DATA_DIR or Redis.
    """
    changed = [name for name in _FIXED if getattr(old, name) != getattr(new, name)]
    if changed:
        raise UsageError(
            f"{', '.join(map(variable_of, changed))} cannot change while the supervisor runs",
            hint="restart the supervisor for that",
        )
