"""Renders systemd units, sysusers.d, tmpfiles.d and the environment file for one host.

The shipped files (package data in ``previewops/systemd``) have ``@NAME@`` for what differs between hosts; here they
become text for one :class:`UnitLayout`. Nothing is written, and systemd is not called.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from previewops.errors import UsageError
from previewops.supervisor.unit_hardening import (
    HARDENING_SNIPPET,
    SANDBOX_SNIPPET,
    SYSTEM_SNIPPET,
    hidden_folders,
    read_shipped,
)

SYSTEM_DATA_DIR = Path("/var/lib/previewops")
SERVICE_USER = "previewops"
SUPERVISOR = "previewops-supervisor.service"
HEALTH_TIMER = "previewops-health.timer"
API = "previewops-api.service"
SLICE = "previewops.slice"

UNITS = (
    SUPERVISOR,
    "previewops-worker@.service",
    "previewops-health.service",
    HEALTH_TIMER,
    "previewops-prune.service",
    "previewops-prune.timer",
    "previewops-metrics.service",
    "previewops-metrics.timer",
    API,
    SLICE,
)
ENVIRONMENT_FILE = "previewops.env"

# First systemd version that supports a directive. Older versions warn about it at each load.
_DIRECTIVE_SINCE = {"RestartSteps": 254, "RestartMaxDelaySec": 254}

# All other characters have a meaning somewhere in the files: word ends, quotes, specifiers, variables, comments;
# PREVIEW_ASSET_ROOTS is split at colons.
_PLAIN_PATH = re.compile(r"/[^\s\"'\\%$:;#\x00-\x1f\x7f]*")


@dataclass(frozen=True, slots=True)
class UnitLayout:
    """Absolute paths of one host's installation.

    ``command`` is the command that runs previewops, program path first; ``user`` selects units of a user's manager
    instead of the system's.
    """

    command: tuple[str, ...]
    data_dir: Path
    config_dir: Path
    unit_dir: Path
    user: bool

    @property
    def env_file(self) -> Path:
        """Settings of this host, edited by an administrator."""
        return self.config_dir / ENVIRONMENT_FILE


@dataclass(frozen=True, slots=True)
class HostFile:
    """One file of a host. ``keep`` leaves an existing file unchanged, because an administrator edits it."""

    path: Path
    text: str
    mode: int = 0o644
    keep: bool = False


def system_layout(command: tuple[str, ...], data_dir: Path | None) -> UnitLayout:
    """Layout for the system manager; ``data_dir`` defaults to /var/lib/previewops."""
    return UnitLayout(
        command=command,
        data_dir=data_dir or SYSTEM_DATA_DIR,
        config_dir=Path("/etc/previewops"),
        unit_dir=Path("/etc/systemd/system"),
        user=False,
    )


def user_layout(
    command: tuple[str, ...], data_dir: Path | None, *, config_home: Path, data_home: Path
) -> UnitLayout:
    """Layout for a user's own manager.

    ``config_home`` and ``data_home`` are XDG base directories ($XDG_CONFIG_HOME, $XDG_DATA_HOME, or their defaults).
    """
    return UnitLayout(
        command=command,
        data_dir=data_dir or data_home / "previewops",
        config_dir=config_home / "previewops",
        unit_dir=config_home / "systemd" / "user",
        user=True,
    )


def render_host_files(layout: UnitLayout, *, systemd_version: int | None) -> list[HostFile]:
    """Returns every file of ``layout``, units first.

    ``systemd_version`` None means a version that supports every directive.

    Raises:
        UsageError: a path contains characters with a meaning in unit files.
    """
    _check_paths(layout)

    def shipped(*parts: str) -> str:
        return _for_version(_fill(read_shipped(*parts), layout), systemd_version)

    files = [HostFile(layout.unit_dir / name, shipped(name)) for name in UNITS]
    files.append(
        # It may contain the password of Redis. tmpfiles.d lets the service's group read it.
        HostFile(layout.env_file, shipped(ENVIRONMENT_FILE), mode=0o600, keep=True)
    )
    if not layout.user:
        files += [
            HostFile(Path("/etc") / folder / "previewops.conf", shipped(folder, "previewops.conf"))
            for folder in ("sysusers.d", "tmpfiles.d")
        ]
    return files


def preflight_errors(layout: UnitLayout, program_folders: tuple[Path, ...]) -> list[str]:
    """Returns what would prevent the services from running, one sentence each.

    ``program_folders`` are the folders, with symbolic links resolved, of the program and its interpreter.
    """
    if layout.user:
        return []
    folders = [("program folder", folder, "/opt/previewops") for folder in dict.fromkeys(program_folders)]
    folders.append(("DATA_DIR", layout.data_dir, str(SYSTEM_DATA_DIR)))
    return hidden_folders(folders)


def next_steps(layout: UnitLayout, *, enabled: Sequence[str] = ()) -> list[str]:
    """Returns the commands that activate installed files, in order.

    ``enabled`` are the units of an earlier installation that start by themselves: they are restarted.
    """
    systemctl = "systemctl --user" if layout.user else "systemctl"
    accounts = (
        []
        if layout.user
        else ["systemd-sysusers previewops.conf", "systemd-tmpfiles --create previewops.conf"]
    )
    if enabled:
        return [
            *accounts,
            f"{systemctl} daemon-reload",
            f"{systemctl} restart {' '.join(enabled)}    # running jobs may finish",
        ]
    steps = [
        *accounts,
        f"edit {layout.env_file}",
        f"{systemctl} daemon-reload",
        f"{systemctl} enable --now {SUPERVISOR} {HEALTH_TIMER}",
    ]
    return (
        [*steps, "loginctl enable-linger    # keeps them running after you log out"] if layout.user else steps
    )


def _check_paths(layout: UnitLayout) -> None:
    for name, path in (
        ("the program's path", layout.command[0]),
        ("DATA_DIR", str(layout.data_dir)),
        ("the folder of the environment file", str(layout.config_dir)),
    ):
        if not _PLAIN_PATH.fullmatch(path):
            raise UsageError(
                f"{name}: found {path!r}, allowed an absolute path without spaces, quotes and any of "
                "\\ % $ : ; #",
                hint="rename the folder",
            )


def _fill(text: str, layout: UnitLayout) -> str:
    """Returns ``text`` with snippets inserted and every ``@NAME@`` replaced."""
    complete = "".join(_with_snippets(text, layout))
    values = {
        "PREVIEWOPS": " ".join(layout.command),
        "DATA_DIR": str(layout.data_dir),
        "ENV_FILE": str(layout.env_file),
        "WANTED_BY": "default.target" if layout.user else "multi-user.target",
    }
    return re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], complete)


def _with_snippets(text: str, layout: UnitLayout) -> Iterator[str]:
    snippets = {
        "@SYSTEM_ONLY@\n": SYSTEM_SNIPPET,
        "@HARDENING@\n": HARDENING_SNIPPET,
        "@SANDBOX@\n": SANDBOX_SNIPPET,
    }
    for line in text.splitlines(keepends=True):
        name = snippets.get(line)
        if name is None:
            yield line
        elif name != SYSTEM_SNIPPET or not layout.user:
            yield read_shipped("snippets", name)


def _for_version(text: str, version: int | None) -> str:
    if version is None:
        return text
    return "".join(
        line
        for line in text.splitlines(keepends=True)
        if _DIRECTIVE_SINCE.get(line.partition("=")[0], 0) <= version
    )
