"""systemd units, sysusers.d, tmpfiles.d and the environment file, as they are to stand on one host.

The shipped files (package data in ``previewops/systemd``) name what differs from host to host as ``@NAME@``; here
they become text for one :class:`Layout`. Nothing is written, and systemd is not asked for anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from previewops.errors import UsageError

SYSTEM_DATA_DIR = Path("/var/lib/previewops")
SERVICE_USER = "previewops"
SUPERVISOR = "previewops-supervisor.service"
HEALTH_TIMER = "previewops-health.timer"
API = "previewops-api.service"

UNITS = (
    SUPERVISOR,
    "previewops-worker@.service",
    "previewops-health.service",
    HEALTH_TIMER,
    API,
    "previewops.slice",
)
ENVIRONMENT_FILE = "previewops.env"

# The first version of systemd that knows a directive. Older ones warn of it at each load.
_SINCE = {"RestartSteps": 254, "RestartMaxDelaySec": 254}

# With ProtectHome=yes these are empty for the services of the system.
_HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"))
_PRIVATE_TMP = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - compared with, not written to

# systemd gives each of the other characters a meaning somewhere in the files: word ends, quotes, specifiers,
# variables, comments; PREVIEW_ASSET_ROOTS is split at colons.
_PLAIN = re.compile(r"/[^\s\"'\\%$:;#\x00-\x1f\x7f]*")


@dataclass(frozen=True, slots=True)
class UnitLayout:
    """Where everything is on one host. All paths are absolute.

    ``command`` is the words that run previewops, the program's path first; ``user`` tells units of a user's own
    manager from those of the system.
    """

    command: tuple[str, ...]
    data_dir: Path
    config_dir: Path
    unit_dir: Path
    user: bool

    @property
    def env_file(self) -> Path:
        """The settings of this host, which an administrator edits."""
        return self.config_dir / ENVIRONMENT_FILE


@dataclass(frozen=True, slots=True)
class HostFile:
    """One file of a host. With ``keep`` a file that is there already is a person's and stays as it is."""

    path: Path
    text: str
    mode: int = 0o644
    keep: bool = False


def system_layout(command: tuple[str, ...], data_dir: Path | None) -> UnitLayout:
    """Units of the system manager; ``data_dir`` None stands for /var/lib/previewops."""
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
    """Units of a user's own manager.

    ``config_home`` and ``data_home`` are the base directories of the XDG specification ($XDG_CONFIG_HOME and
    $XDG_DATA_HOME, or what stands for them).
    """
    return UnitLayout(
        command=command,
        data_dir=data_dir or data_home / "previewops",
        config_dir=config_home / "previewops",
        unit_dir=config_home / "systemd" / "user",
        user=True,
    )


def render_host_files(layout: UnitLayout, *, systemd_version: int | None) -> list[HostFile]:
    """Every file of ``layout``, units first.

    ``systemd_version`` None stands for a version that knows every directive.

    Raises:
        UsageError: a path has characters that systemd gives a meaning.
    """
    _refuse_odd_paths(layout)

    def shipped(*parts: str) -> str:
        return _for_version(_filled(_shipped(*parts), layout), systemd_version)

    files = [HostFile(layout.unit_dir / name, shipped(name)) for name in UNITS]
    files.append(
        # It may hold the password of Redis. tmpfiles.d lets the service's group read it.
        HostFile(layout.env_file, shipped(ENVIRONMENT_FILE), mode=0o600, keep=True)
    )
    if not layout.user:
        files += [
            HostFile(Path("/etc") / folder / "previewops.conf", shipped(folder, "previewops.conf"))
            for folder in ("sysusers.d", "tmpfiles.d")
        ]
    return files


def preflight_errors(layout: UnitLayout, program_folders: tuple[Path, ...]) -> list[str]:
    """What will keep the services from running, each a sentence for a person; empty when nothing is known of.

    ``program_folders`` are the folders, symbolic links resolved, that the program and its interpreter are read
    from.
    """
    if layout.user:
        return []
    found = [
        f"the program is read from {folder}, which the hardened services cannot see; allowed is any folder outside "
        f"{_listed(_HIDDEN + _PRIVATE_TMP)}, /opt/previewops for one"
        for folder in dict.fromkeys(program_folders)
        if _within(folder, _HIDDEN + _PRIVATE_TMP)
    ]
    if _within(layout.data_dir, _HIDDEN + _PRIVATE_TMP):
        found.append(
            f"DATA_DIR is {layout.data_dir}, which the hardened services cannot see; allowed is any folder outside "
            f"{_listed(_HIDDEN + _PRIVATE_TMP)}, {SYSTEM_DATA_DIR} for one"
        )
    return found


def next_steps(layout: UnitLayout) -> list[str]:
    """The commands that bring installed files to life, in order."""
    if layout.user:
        return [
            "systemctl --user daemon-reload",
            f"systemctl --user enable --now {SUPERVISOR} {HEALTH_TIMER}",
            "loginctl enable-linger    # keeps them running when you log out",
        ]
    return [
        "systemd-sysusers previewops.conf",
        "systemd-tmpfiles --create previewops.conf",
        "systemctl daemon-reload",
        f"systemctl enable --now {SUPERVISOR} {HEALTH_TIMER}",
    ]


def _refuse_odd_paths(layout: UnitLayout) -> None:
    for name, path in (
        ("the program's path", layout.command[0]),
        ("DATA_DIR", str(layout.data_dir)),
        ("the folder of the environment file", str(layout.config_dir)),
    ):
        if not _PLAIN.fullmatch(path):
            raise UsageError(
                f"{name} is {path!r}; allowed in a unit is an absolute path without spaces, quotes and any of "
                "\\ % $ : ; #",
                hint="give the folder a plainer name",
            )


@cache
def _shipped(*parts: str) -> str:
    from importlib.resources import files

    return files("previewops").joinpath("systemd", *parts).read_text(encoding="utf-8")


def _filled(text: str, layout: UnitLayout) -> str:
    """``text`` with the snippets in their places and every ``@NAME@`` replaced."""
    whole = "".join(_with_snippets(text, layout))
    values = {
        "PREVIEWOPS": " ".join(layout.command),
        "DATA_DIR": str(layout.data_dir),
        "ENV_FILE": str(layout.env_file),
        "WANTED_BY": "default.target" if layout.user else "multi-user.target",
    }
    return re.sub(r"@([A-Z_]+)@", lambda found: values[found[1]], whole)


def _with_snippets(text: str, layout: UnitLayout) -> Iterator[str]:
    snippets = {"@SYSTEM_ONLY@\n": "system-only.conf", "@HARDENING@\n": "hardening.conf"}
    for line in text.splitlines(keepends=True):
        name = snippets.get(line)
        if name is None:
            yield line
        elif name != "system-only.conf" or not layout.user:
            yield _shipped("snippets", name)


def _for_version(text: str, version: int | None) -> str:
    if version is None:
        return text
    return "".join(
        line for line in text.splitlines(keepends=True) if _SINCE.get(line.partition("=")[0], 0) <= version
    )


def _within(path: Path, folders: tuple[Path, ...]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _listed(folders: tuple[Path, ...]) -> str:
    return ", ".join(map(str, folders))
