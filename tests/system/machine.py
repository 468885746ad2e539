"""A temporary machine with its own systemd: a container over a copy of this machine's root."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from previewops.process.parent_death import die_with_parent_argv
from previewops.redis_server.binary import find_server_binary
from tests.process_guard import guarded_environ

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
HOME = Path("/opt/previewops")
PREVIEWOPS = HOME / "venv" / "bin" / "previewops"
REDIS_UNIT = "test-redis.service"
TARGET = "throw-away.target"

BOOT_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
RUN_TIMEOUT_S = 30.0
LOOK_EVERY_S = 0.05

SANDBOX_CALLS = (
    *("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"),
    *("open_tree", "move_mount", "mount_setattr"),
)

# Only what the units need, so that the boot is fast.
_TARGET_TEXT = """\
[Unit]
Requires=sysinit.target dbus.socket timers.target
After=sysinit.target dbus.socket
AllowIsolate=yes
"""

# An interpreter with a shared library looks for it where it was installed, which the service's user may not read.
_LIBRARIES = f"LD_LIBRARY_PATH={HOME}/python/lib"

_PROGRAM_TEXT = f"""\
#!{HOME}/venv/bin/python
from previewops.cli import main

main()
"""


def why_not() -> str | None:
    """Returns why no machine can be started here, or None."""
    if sys.platform != "linux":
        return "it is not Linux"
    if os.geteuid() != 0:
        return "it needs root"
    missing = [
        tool for tool in ("systemd-nspawn", "dbus-daemon", "unshare", "nsenter") if not shutil.which(tool)
    ]
    if missing:
        return f"{', '.join(missing)} missing (Debian: systemd-container, dbus, util-linux)"
    return _why_no_mounts()


def _why_no_mounts() -> str | None:
    """Tries the steps of boot.sh before the container."""
    groups = _own_cgroups("probe")
    if not groups:
        return "no cgroup hierarchy is mounted for systemd"
    with tempfile.TemporaryDirectory(prefix="pvs-") as folder:
        script = (
            'mount -t tmpfs t "$0" && mkdir "$0/u" "$0/w" "$0/r" && '
            'mount -t overlay -o "lowerdir=/,upperdir=$0/u,workdir=$0/w" t "$0/r" && mkdir $1 && rmdir $1'
        )
        tried = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, folder, " ".join(groups)],
            capture_output=True,
            text=True,
            check=False,
        )
    return f"no overlay or cgroup can be made: {tried.stderr.strip()}" if tried.returncode else None


def _own_cgroups(name: str) -> list[str]:
    """Returns the folders of a cgroup ``name`` below that of this process, in each hierarchy that systemd uses."""
    mounts = {
        "name=systemd": Path("/sys/fs/cgroup/systemd"),  # version 1
        "": next(path for path in (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")) if path.is_dir()),
    }
    folders = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        mount = mounts.get(controllers)
        if mount is not None and (mount / "cgroup.procs").exists():
            folders.append(str(mount / path.strip("/") / f"previewops-test-{os.getpid()}-{name}"))
    return folders


@dataclass(slots=True)
class Machine:
    """A container that boots at :meth:`start`; :meth:`stop` ends its processes and removes its files.

    It has a loopback network only, this interpreter and checkout in /opt/previewops as an unprivileged service
    can read them, and a Redis on the default port.
    """

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="pvs-", dir="/tmp")))
    _nspawn: subprocess.Popen[bytes] | None = None
    _leader: int = 0
    _cgroups: list[str] = field(default_factory=list)

    def start(self) -> None:
        self._lay_out()
        self._cgroups = _own_cgroups("machine")
        for group in self._cgroups:
            Path(group).mkdir()
        with (self.folder / "console.log").open("wb") as log:
            self._nspawn = subprocess.Popen(
                die_with_parent_argv(self._command(), signal.SIGTERM),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.until(self._booted, "the machine boots", BOOT_TIMEOUT_S)
        self.systemctl("set-environment", _LIBRARIES)
        self._start_redis()

    def stop(self) -> None:
        """Ends the machine in any state, and removes its files and cgroups."""
        nspawn, self._nspawn = self._nspawn, None
        if nspawn is not None:
            # All its processes end with the first one; a shutdown by systemd would take longer.
            if self._leader:
                os.kill(self._leader, signal.SIGKILL)
            else:
                nspawn.kill()
            try:
                nspawn.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                nspawn.kill()
                nspawn.wait()
        self._remove_cgroups()
        shutil.rmtree(self.folder)

    def attempt(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Runs a command in the machine as root with any result; 124 is a timeout."""
        return subprocess.run(
            [
                "nsenter",
                "-t",
                str(self._leader),
                "-m",
                "-u",
                "-i",
                "-n",
                "-p",
                "--",
                "timeout",
                str(RUN_TIMEOUT_S),
                *command,
            ],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LC_ALL": "C.UTF-8",
                **guarded_environ(),
            },
        )

    def run(self, *command: str, stdin: str = "") -> str:
        """Runs a command that has to succeed, and returns its output."""
        done = self.attempt(*command, stdin=stdin)
        assert done.returncode == 0, (
            f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}{self.journal()}"
        )
        return done.stdout

    def systemctl(self, *arguments: str) -> str:
        return self.run("systemctl", "--no-pager", *arguments)

    def show(self, unit: str, name: str) -> str:
        """Returns one property of a unit."""
        return self.systemctl("show", "--property", name, "--value", unit).strip()

    def main_pid(self, unit: str) -> int:
        return int(self.show(unit, "MainPID"))

    def pids(self, unit: str) -> set[int]:
        """Returns the process ids of a unit in the machine."""
        group = self.show(unit, "ControlGroup")
        listed = self.attempt(
            "sh", "-c", f"cat /sys/fs/cgroup/*{group}/cgroup.procs /sys/fs/cgroup{group}/cgroup.procs"
        )
        return {int(word) for word in listed.stdout.split()} if group else set()

    def write(self, path: str, text: str) -> None:
        self.run("sh", "-c", 'mkdir -p "$(dirname "$0")" && cat > "$0"', path, stdin=text)

    def drop_in(self, unit: str, text: str) -> None:
        """Adds a drop-in to a unit."""
        self.write(f"/etc/systemd/system/{unit}.d/test.conf", text)
        self.systemctl("daemon-reload")

    def revert(self, unit: str) -> None:
        """Removes the drop-ins of a unit."""
        self.run("rm", "-r", f"/etc/systemd/system/{unit}.d")
        self.systemctl("daemon-reload")

    def journal(self, *arguments: str) -> str:
        return self.attempt("journalctl", "--no-pager", "-o", "cat", *(arguments or ("-n", "60"))).stdout

    def until(self, holds: Callable[[], object], what: str, timeout_s: float = 60.0) -> None:
        """Waits until ``holds`` returns true.

        Raises:
            AssertionError: it does not within ``timeout_s`` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}\n{self._output()}"
            time.sleep(LOOK_EVERY_S)

    def _lay_out(self) -> None:
        """Writes the files that are bound into the machine."""
        (self.folder / "disk").mkdir()
        (self.folder / TARGET).write_text(_TARGET_TEXT)
        venv = self.folder / "venv"
        site = venv / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
        site.mkdir(parents=True)
        (site / "previewops.pth").write_text(f"{HOME}/checkout\n{HOME}/site\n")
        (venv / "pyvenv.cfg").write_text(f"home = {HOME}/python/bin\ninclude-system-site-packages = false\n")
        (venv / "bin").mkdir()
        name = f"python{sysconfig.get_python_version()}"
        (venv / "bin" / "python").symlink_to(f"{HOME}/python/bin/{name}")
        (venv / "bin" / "previewops").write_text(_PROGRAM_TEXT)
        (venv / "bin" / "previewops").chmod(0o755)

    def _command(self) -> list[str]:
        redis = find_server_binary()
        assert redis is not None
        bound = {
            self.folder / TARGET: Path("/etc/systemd/system") / TARGET,
            self.folder / "venv": HOME / "venv",
            Path(sys.base_prefix): HOME / "python",
            Path(sysconfig.get_path("purelib")): HOME / "site",
            CHECKOUT: HOME / "checkout",
            redis.resolve(): HOME / "redis-server",
        }
        shell = shutil.which("sh")
        unshare = shutil.which("unshare")
        assert shell is not None
        assert unshare is not None
        return [
            *(unshare, "--mount", "--propagation", "private"),
            *(shell, str(HERE / "boot.sh"), str(self.folder / "disk"), " ".join(self._cgroups)),
            *("--quiet", "--register=no", "--keep-unit", "--private-network", "--link-journal=no"),
            # Filtered by default; without them no service could confine its renders.
            f"--system-call-filter={' '.join(SANDBOX_CALLS)}",
            *("--uuid=" + os.urandom(16).hex(), f"--machine=previewops-test-{os.getpid()}", "--console=pipe"),
            *(f"--bind-ro={here}:{there}" for here, there in bound.items()),
            *("--boot", f"systemd.unit={TARGET}"),
        ]

    def _booted(self) -> bool:
        nspawn = self._nspawn
        assert nspawn is not None
        assert nspawn.poll() is None, f"systemd-nspawn ended with {nspawn.returncode}\n{self._output()}"
        children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children").read_text().split()
        if Path(f"/proc/{nspawn.pid}/comm").read_text() != "systemd-nspawn\n" or not children:
            return False
        self._leader = int(children[0])
        return self.attempt("systemctl", "is-system-running").stdout.strip() in ("running", "degraded")

    def _start_redis(self) -> None:
        server = str(HOME / "redis-server")
        self.run("systemd-run", "--quiet", f"--unit={REDIS_UNIT}", server, "--save", "", "--dir", "/run")
        ping = "exec 3<>/dev/tcp/127.0.0.1/6379 && echo PING >&3 && read -r answer <&3 && [[ $answer == +PONG* ]]"
        self.until(lambda: self.attempt("bash", "-c", ping).returncode == 0, "Redis is available")

    def _output(self) -> str:
        console = (self.folder / "console.log").read_text(errors="replace")
        return console + (self.journal() if self._leader else "")

    def _remove_cgroups(self) -> None:
        for group in map(Path, self._cgroups):
            for folder, _, _ in os.walk(group, topdown=False):
                self.until(lambda path=Path(folder): _removed(path), f"the cgroup {folder} is empty")


def _removed(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
