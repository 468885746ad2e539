"""Plans the removal of installed systemd units: what goes, what stays, and what has to be stopped first.

Only reads; :mod:`previewops.cli.systemd` removes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from previewops.cli.systemd_units import SERVICE_USER, SLICE, SUPERVISOR, HostFile, UnitLayout
from previewops.errors import UsageError

_UNIT_PATTERN = "previewops*"
_DATA_DIR_LINE = "Environment=DATA_DIR="
_HOSTS = "supervisor/host-*"
# Created by every worker at its start.
_OF_DATA_DIR = (".staging", "previews")


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that stays, and what it is or how it is removed."""

    path: str
    remark: str


def below(path: Path, prefix: Path | None) -> Path:
    """Returns ``path`` below the folder ``prefix`` that replaces /."""
    return path if prefix is None else prefix / path.relative_to("/")


def removable_files(files: Sequence[HostFile], prefix: Path | None, *, settings: bool) -> list[Path]:
    """Returns the installed files to remove: those that an administrator edits only with ``settings``."""
    targets = [below(file.path, prefix) for file in files if settings or not file.keep]
    return [target for target in targets if os.path.lexists(target)]


def enabled_units(layout: UnitLayout, prefix: Path | None) -> list[str]:
    """Returns the units that start by themselves: those with a link in a target's folder."""
    folder = below(layout.unit_dir, prefix)
    links = [path.name for kind in ("wants", "requires") for path in folder.glob(f"*.{kind}/{_UNIT_PATTERN}")]
    return sorted(set(links))


def parse_active_units(output: str) -> list[str]:
    """Parses the output of ``systemctl list-units --plain --no-legend``: the units that run.

    The slice is not one: it stays active after its last unit.
    """
    names = [line.split()[0] for line in output.splitlines() if line.strip()]
    return sorted(name for name in names if name != SLICE)


def active_units_command(layout: UnitLayout) -> list[str]:
    """Returns the command whose output :func:`parse_active_units` reads."""
    states = "active,activating,reloading,deactivating"
    options = ["--all", "--plain", "--no-legend", "--full", f"--state={states}"]
    return [*_systemctl(layout), "list-units", *options, _UNIT_PATTERN]


def stop_command(layout: UnitLayout, units: Sequence[str]) -> str:
    """Returns the command that stops and disables ``units``."""
    return " ".join([*_systemctl(layout), "disable", "--now", *units])


def _systemctl(layout: UnitLayout) -> list[str]:
    return ["systemctl", "--user"] if layout.user else ["systemctl"]


def installed_data_dir(layout: UnitLayout, prefix: Path | None) -> Path:
    """Returns the DATA_DIR of the installed units, or of ``layout`` if they name none."""
    try:
        text = below(layout.unit_dir / SUPERVISOR, prefix).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return layout.data_dir
    lines = [line for line in text.splitlines() if line.startswith(_DATA_DIR_LINE)]
    return Path(lines[0].removeprefix(_DATA_DIR_LINE)) if lines else layout.data_dir


def check_data_dir(folder: Path, host: str) -> None:
    """Checks that ``folder`` may be removed. ``host`` is the name of this host.

    Raises:
        UsageError: it is a mount point, other hosts use it, or it is not a DATA_DIR.
    """
    if folder.is_symlink() or os.path.ismount(folder):
        raise UsageError(
            f"DATA_DIR: found {folder}, a mount point or a link, allowed a plain folder",
            hint="remove its content yourself",
        )
    if not all((folder / name).is_dir() for name in _OF_DATA_DIR):
        raise UsageError(
            f"DATA_DIR: found {folder} without the folders {' and '.join(_OF_DATA_DIR)}",
            hint="no worker has run there; remove it yourself",
        )
    others = sorted(path.name for path in folder.glob(_HOSTS) if path.name != f"host-{host}")
    if others:
        raise UsageError(
            f"DATA_DIR: found {folder} in use by {', '.join(others)}, allowed only by this host",
            hint="keep it, or remove it yourself when no host uses it",
        )


def leftovers(layout: UnitLayout, prefix: Path | None, data_dir: Path) -> Iterator[Leftover]:
    """Yields what is left on this host besides the program."""
    if os.path.lexists(below(layout.env_file, prefix)):
        yield Leftover(str(below(layout.env_file, prefix)), "settings; --settings removes them")
    others = [
        path for path in below(layout.config_dir, prefix).glob("*") if path.name != layout.env_file.name
    ]
    for path in sorted(others):
        yield Leftover(str(path), "your file, perhaps with a secret")
    for drop_ins in sorted(below(layout.unit_dir, prefix).glob(f"{_UNIT_PATTERN}.d")):
        yield Leftover(str(drop_ins), "your changes of a unit")
    if os.path.lexists(below(data_dir, prefix)):
        yield Leftover(str(below(data_dir, prefix)), "DATA_DIR with all bundles; --data removes it")
    if not layout.user and prefix is None:
        yield Leftover(f"user {SERVICE_USER}", f"userdel {SERVICE_USER}")
    yield Leftover("jobs and dead letters", "in Redis")


def last_steps(layout: UnitLayout) -> list[str]:
    """Returns the commands that make the service manager forget the removed units."""
    command = " ".join(_systemctl(layout))
    return [
        f"{command} stop {SLICE}",
        f"{command} daemon-reload",
        f"{command} reset-failed '{_UNIT_PATTERN}'",
    ]
