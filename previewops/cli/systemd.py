"""``previewops systemd``: prints, installs or removes the systemd units of this host."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from previewops.atomic_files import FileWriteFailed, write_text_atomically
from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_err, print_out
from previewops.cli.systemd_uninstall import (
    active_units_command,
    below,
    check_data_dir,
    enabled_units,
    installed_data_dir,
    last_steps,
    leftovers,
    parse_active_units,
    removable_files,
    stop_command,
)
from previewops.cli.systemd_units import (
    HostFile,
    UnitLayout,
    next_steps,
    preflight_errors,
    render_host_files,
    system_layout,
    user_layout,
)
from previewops.errors import PreviewopsError, UsageError

SYSTEMCTL_TIMEOUT_S = 10
_F = TypeVar("_F", bound=Callable[..., Any])
_BOOTED = Path("/run/systemd/system")  # sd_booted(3)
_ROOT_HINT = "use sudo for system units, or --user for your own service manager"

_user_option = click.option(
    "--user", is_flag=True, help="Units of your own service manager instead of the system's."
)


def _prefix_option(help_text: str) -> Callable[[_F], _F]:
    return click.option("--prefix", metavar="DIR", type=click.Path(path_type=Path), help=help_text)


@click.group(
    epilog="""\b
Examples:
  previewops systemd print
  sudo previewops systemd install
  previewops --data-dir /srv/previews systemd install --dry-run
  sudo previewops systemd uninstall
"""
)
def systemd() -> None:
    """Print, install or remove systemd units for previewops, with the paths of this installation.

    Data is kept in /var/lib/previewops, or with --user in $XDG_DATA_HOME/previewops, unless --data-dir or
    DATA_DIR is set.
    """


@systemd.command(
    "print",
    epilog="""\b
Examples:
  previewops systemd print
  previewops systemd print previewops-supervisor.service
  previewops systemd print --user
""",
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@_user_option
@pass_context
def print_files(context: Context, names: tuple[str, ...], user: bool) -> None:
    """Print all files or the named ones, each below its path."""
    layout = _layout(context, user=user)
    files = render_host_files(layout, systemd_version=_systemd_version())
    for line in preflight_errors(layout, _program_folders()):
        print_err(f"note: {line}")
    for file in _select(files, names):
        print_out([f"# {file.path}", file.text])


@systemd.command(
    epilog="""\b
Examples:
  sudo previewops systemd install
  previewops systemd install --user
  previewops systemd install --prefix build/root     for a package or an image
"""
)
@_user_option
@_prefix_option("Folder to write to instead of /. Paths inside the files still start at /.")
@click.option("--dry-run", is_flag=True, help="Report what would be written; write nothing.")
@pass_context
def install(context: Context, user: bool, prefix: Path | None, dry_run: bool) -> None:
    """Write the files and print the next steps. Nothing is started.

    Units are replaced by those of this version; put your own changes in `systemctl edit UNIT`. An existing
    environment file is kept.
    """
    layout = _layout(context, user=user)
    files = render_host_files(layout, systemd_version=None if prefix is not None else _systemd_version())
    problems = preflight_errors(layout, _program_folders())
    if problems and prefix is None:
        raise UsageError("; ".join(problems), hint="or use --user for your own service manager")
    for file in files:
        target, is_written, did, would = _plan(file, prefix)
        if is_written and not dry_run:
            _write(target, file)
        print_out(f"{would if dry_run else did:<16}{target}")
    if prefix is None and not dry_run:
        steps = next_steps(layout, enabled=enabled_units(layout, prefix))
        print_out(["", "Next steps", *(f"  {line}" for line in steps)])


@systemd.command(
    epilog="""\b
Examples:
  sudo previewops systemd uninstall
  previewops systemd uninstall --user --dry-run
"""
)
@_user_option
@_prefix_option("Folder that was installed to instead of /.")
@click.option("--settings", is_flag=True, help="Remove the environment file too.")
@click.option("--data", is_flag=True, help="Remove DATA_DIR too, with all bundles.")
@click.option("--dry-run", is_flag=True, help="Report what would be removed; remove nothing.")
@pass_context
def uninstall(
    context: Context, *, user: bool, prefix: Path | None, settings: bool, data: bool, dry_run: bool
) -> None:
    """Remove the files that install wrote, and print what is left.

    Fails while a unit is active or enabled. Settings, data and your changes of units are kept.
    """
    layout = _layout(context, user=user)
    data_dir = installed_data_dir(layout, prefix)
    _require_stopped(layout, prefix)
    folders = [below(data_dir, prefix)] if data and os.path.lexists(below(data_dir, prefix)) else []
    for folder in folders:
        check_data_dir(folder, socket.gethostname())
    files = removable_files(render_host_files(layout, systemd_version=None), prefix, settings=settings)
    for target in [*files, *folders]:
        if not dry_run:
            _remove(target)
        print_out(f"{'would remove' if dry_run else 'removed':<16}{target}")
    if settings and not dry_run:
        with suppress(OSError):  # it has other files
            below(layout.config_dir, prefix).rmdir()
    if dry_run:
        return
    if left := list(leftovers(layout, prefix, data_dir)):
        print_out(["", "Left", *(f"  {item.path}: {item.remark}" for item in left)])
    if prefix is None:
        print_out(["", "Next steps", *(f"  {line}" for line in last_steps(layout))])


def _layout(context: Context, *, user: bool) -> UnitLayout:
    configured = context.env_overrides.get("DATA_DIR") or os.environ.get("DATA_DIR")
    data_dir = Path(os.path.abspath(configured)) if configured else None  # noqa: PTH100 - keeps symlinks
    if not user:
        return system_layout(_command(), data_dir)
    return user_layout(
        _command(),
        data_dir,
        config_home=_base_directory("XDG_CONFIG_HOME", ".config"),
        data_home=_base_directory("XDG_DATA_HOME", ".local/share"),
    )


def _base_directory(variable: str, default: str) -> Path:
    """Returns a base directory. The XDG specification requires ignoring relative values."""
    folder = Path(os.environ.get(variable, ""))
    return folder if folder.is_absolute() else Path.home() / default


def _command() -> tuple[str, ...]:
    """Returns the command line of this installation, independent of a service's PATH."""
    program = Path(sys.executable).with_name("previewops")
    return (str(program),) if program.is_file() else (sys.executable, "-m", "previewops")


def _program_folders() -> tuple[Path, ...]:
    package = Path(__file__).resolve().parent.parent
    return (package, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve())


def _systemd_version() -> int | None:
    """Returns this machine's systemd version, or None without systemd."""
    try:
        output = _run_systemctl(["systemctl", "--version"])
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.match(r"systemd (\d+)", output)
    return int(version[1]) if version else None


def _run_systemctl(command: Sequence[str]) -> str:
    return subprocess.run(  # noqa: S603 - the arguments are fixed
        command, capture_output=True, text=True, timeout=SYSTEMCTL_TIMEOUT_S, check=True
    ).stdout


def _active_units(layout: UnitLayout, prefix: Path | None) -> list[str]:
    """Returns the units that run; none below a prefix, or if systemd is not this machine's init."""
    if prefix is not None or not _BOOTED.is_dir():
        return []
    command = active_units_command(layout)
    try:
        return parse_active_units(_run_systemctl(command))
    except (OSError, subprocess.SubprocessError) as error:
        reason = str(getattr(error, "stderr", None) or error).strip()
        raise PreviewopsError(
            f"cannot list the active units: {reason}", hint=f"it has to work first: {' '.join(command[:3])}"
        ) from error


def _require_stopped(layout: UnitLayout, prefix: Path | None) -> None:
    """Raises PreviewopsError if units are active or enabled."""
    active, enabled = _active_units(layout, prefix), enabled_units(layout, prefix)
    units = sorted({*active, *enabled})
    if units:
        states = ", ".join(f"{unit} {'active' if unit in active else 'enabled'}" for unit in units)
        raise PreviewopsError(
            f"units: found {states}, allowed only stopped and disabled units",
            hint=f"{'' if layout.user else 'sudo '}{stop_command(layout, units)}",
        )


def _remove(target: Path) -> None:
    try:
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink()
    except OSError as error:
        raise PreviewopsError(
            f"cannot remove {error.filename or target}: {error.strerror or error}", hint=_ROOT_HINT
        ) from error


def _select(files: list[HostFile], names: tuple[str, ...]) -> list[HostFile]:
    if not names:
        return files
    known = [file.path.name for file in files]
    for name in names:
        if name not in known:
            raise UsageError(f"unknown file {name!r}; allowed: {', '.join(dict.fromkeys(known))}")
    return [file for file in files if file.path.name in names]


def _plan(file: HostFile, prefix: Path | None) -> tuple[Path, bool, str, str]:
    """Returns the path, whether it has to be written, and the words for both cases: done, and dry run."""
    target = below(file.path, prefix)
    try:
        installed = target.read_text(encoding="utf-8")
    except FileNotFoundError:
        return target, True, "written", "would write"
    except (OSError, UnicodeDecodeError) as error:
        raise _write_error(target, error) from error
    if installed == file.text:
        return target, False, "unchanged", "unchanged"
    if file.keep:
        return target, False, "kept", "would keep"
    return target, True, "replaced", "would replace"


def _write(target: Path, file: HostFile) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _write_error(target, error) from error
    try:
        write_text_atomically(target, file.text, mode=file.mode)
    except FileWriteFailed as error:
        error.hint = _ROOT_HINT
        raise


def _write_error(target: Path, error: OSError | UnicodeDecodeError) -> PreviewopsError:
    reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
    return PreviewopsError(f"cannot write {target}: {reason}", hint=_ROOT_HINT)
