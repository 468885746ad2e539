"""Simulated hosts: network namespaces with links to a server, and file systems that only one worker sees."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PORT = 6379
SERVER = "192.0.2.254"
"""Address of the server in a routed network."""


def run(*command: str) -> None:
    """Runs a system tool; its output is in the failure."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def _works(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


def no_network_namespaces() -> str | None:
    """Returns why hosts cannot be created here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need ip (Debian: iproute2)"
    probe = f"pvprobe{os.getpid()}"
    if not _works("ip", "netns", "add", probe):
        return "network namespaces cannot be created on this machine"
    has_veth = _works("ip", "-n", probe, "link", "add", "name", "v0", "type", "veth", "peer", "name", "v1")
    run("ip", "netns", "del", probe)
    return None if has_veth else "this machine has no veth devices"


def no_routed_network() -> str | None:
    """Returns why hosts that reach each other cannot be created here, or None."""
    reason = no_network_namespaces()
    if reason is not None:
        return reason
    probe = f"pvprobe{os.getpid()}"
    run("ip", "netns", "add", probe)
    forwards = _works(*_forwarding(probe))
    run("ip", "netns", "del", probe)
    return None if forwards else "network namespaces cannot forward packets on this machine"


def _forwarding(namespace: str) -> Sequence[str]:
    return (*_inside(namespace), "/bin/sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")


def no_mount_namespaces() -> str | None:
    """Returns why a worker cannot get its own file system, or None."""
    if os.geteuid() != 0:
        return "mounting needs root"
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return "mounting for one process needs unshare and nsenter (Debian: util-linux)"
    if not _works("unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"):
        return "file systems cannot be mounted on this machine"
    return None


def no_host_names() -> str | None:
    """Returns why a process cannot get a host name of its own, or None."""
    if os.geteuid() != 0:
        return "host names need root"
    if shutil.which("unshare") is None:
        return "host names need unshare (Debian: util-linux)"
    return None if _works(*named("probe"), "true") else "UTS namespaces cannot be created on this machine"


def named(host: str) -> Sequence[str]:
    """Returns the prefix of a command that runs under a host name of its own. Its process id stays."""
    script = 'echo "$0" > /proc/sys/kernel/hostname && exec "$@"'
    return (str(shutil.which("unshare")), "--uts", "/bin/sh", "-c", script, host)


@dataclass(frozen=True, slots=True)
class Host:
    """A host with one link to the server."""

    namespace: str
    server: str
    server_port: str
    server_address: str
    address: str

    @property
    def prefix(self) -> Sequence[str]:
        """Prefix of a command on this host."""
        return _inside(self.namespace)

    @property
    def named_prefix(self) -> Sequence[str]:
        """Prefix of a command on this host that sees a host name of its own, the name of the namespace."""
        script = 'hostname "$0" && exec "$@"'
        return (*self.prefix, str(shutil.which("unshare")), "--uts", "/bin/sh", "-c", script, self.namespace)

    @property
    def url(self) -> str:
        """Address of Redis on the server for this host."""
        return f"redis://{self.server_address}:{PORT}"

    def cut(self) -> None:
        """Takes down the link at the server: packets are lost without an error."""
        run("ip", "-n", self.server, "link", "set", self.server_port, "down")

    def mend(self) -> None:
        """Brings up the link again."""
        run("ip", "-n", self.server, "link", "set", self.server_port, "up")


@dataclass(frozen=True, slots=True)
class Network:
    """A server's namespace, and the hosts around it."""

    server: str
    hosts: tuple[Host, ...]

    @property
    def server_prefix(self) -> Sequence[str]:
        """Prefix of a command on the server."""
        return _inside(self.server)


def _inside(namespace: str) -> Sequence[str]:
    return (str(shutil.which("ip")), "netns", "exec", namespace)


@contextmanager
def network(hosts: int, *, routed: bool = False) -> Iterator[Network]:
    """Creates a star of hosts, and removes the namespaces with their links at the end.

    In a ``routed`` one hosts reach each other too, and the server at ``SERVER``.
    """
    namespaces: list[str] = []

    def namespace(name: str) -> str:
        full = f"pv{os.getpid()}{name}"
        run("ip", "netns", "add", full)
        namespaces.append(full)
        run("ip", "-n", full, "link", "set", "lo", "up")
        return full

    try:
        server = namespace("s")
        plugged = tuple(_plugged(server, namespace(f"h{n}"), n) for n in range(hosts))
        if routed:
            run("ip", "-n", server, "address", "add", f"{SERVER}/32", "dev", "lo")
            run(*_forwarding(server))
            for number, host in enumerate(plugged):
                run("ip", "-n", host.namespace, "route", "add", "default", "via", host.server_address)
                # Used while the link is down: packets are lost without an error.
                subnet = f"192.0.2.{number * 4}/30"
                run("ip", "-n", server, "route", "add", "blackhole", subnet, "metric", "9999")
        yield Network(server, plugged)
    finally:
        for name in namespaces:
            run("ip", "netns", "del", name)


def _plugged(server: str, namespace: str, number: int) -> Host:
    port = f"to-h{number}"
    run(
        "ip",
        "-n",
        server,
        "link",
        "add",
        "name",
        port,
        "type",
        "veth",
        "peer",
        "name",
        "eth0",
        "netns",
        namespace,
    )
    # Addresses for documentation (RFC 5737), and only within these namespaces.
    for where, device, last in ((server, port, 1), (namespace, "eth0", 2)):
        run("ip", "-n", where, "address", "add", f"192.0.2.{number * 4 + last}/30", "dev", device)
        run("ip", "-n", where, "link", "set", device, "up")
    return Host(namespace, server, port, f"192.0.2.{number * 4 + 1}", f"192.0.2.{number * 4 + 2}")


def with_small_disk(folder: Path, mebibytes: int) -> Sequence[str]:
    """Returns the prefix of a command that alone sees an empty disk of that size at ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    script = f'mount -t tmpfs -o size={mebibytes}m,mode=755 tmpfs "$0" && exec "$@"'
    return (str(shutil.which("unshare")), "--mount", "/bin/sh", "-c", script, str(folder))


def seen_by(pid: int, path: Path) -> Path:
    """Returns ``path`` as the process sees it."""
    return Path(f"/proc/{pid}/root{path}")


def remount(pid: int, folder: Path, how: str) -> None:
    """Remounts the process's file system at ``folder``: "ro" or "rw"."""
    run("nsenter", f"--mount=/proc/{pid}/ns/mnt", "mount", "-o", f"remount,{how}", str(folder))
