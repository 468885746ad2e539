"""Object stores for tests: in memory; ministack, a small S3 server from PyPI; the S3 gateway of a one-node Ceph.

A server that cannot be had here is skipped, with the reason.
"""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import hmac
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from previewops.bucket_addresses import parse_bucket_address
from previewops.process.parent_death import die_with_parent_argv
from previewops.stores.objects.store import ObjectStore
from tests.process_guard import guarded_environ

MINISTACK = "ministack==1.5.33"
ACCESS_KEY, SECRET_KEY, REGION = "test", "test", "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_REGION": REGION}
START_TIMEOUT_S = 90.0
CEPH_PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "ceph-authtool", "monmaptool")


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running server. ``endpoint`` is its address; it accepts ``CREDENTIALS``."""

    endpoint: str

    def make_bucket(self) -> str:
        """Creates a bucket and returns its name."""
        name = f"bucket-{uuid4().hex[:12]}"
        signed_request("PUT", f"{self.endpoint}/{name}")
        return name

    def address(self, bucket: str, prefix: str = "some/prefix", *, endpoint: str | None = None) -> str:
        """The value of PREVIEW_STORE; ``endpoint`` is a proxy in front of the server."""
        return f"s3://{bucket}/{prefix}?endpoint={endpoint or self.endpoint}&region={REGION}"

    def make_store(self) -> ObjectStore:
        """A store in a bucket of its own."""
        return ObjectStore(parse_bucket_address(self.address(self.make_bucket())))


def signed_request(method: str, url: str) -> bytes:
    """Sends a request without content, signed by AWS Signature Version 4."""
    parts, now = urlsplit(url), datetime.datetime.now(datetime.UTC)
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    empty = hashlib.sha256(b"").hexdigest()
    headers = {"host": parts.netloc, "x-amz-content-sha256": empty, "x-amz-date": stamp}
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"{method}\n{parts.path or '/'}\n{parts.query}\n{lines}\n{names}\n{empty}"
    scope = f"{day}/{REGION}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = b"AWS4" + SECRET_KEY.encode()
    for part in (day, REGION, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    request = urllib.request.Request(url, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        content: bytes = response.read()
    return content


def free_port() -> int:
    """A port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits until a process listens."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
        time.sleep(0.05)  # a process that starts sends no signal


def install_ministack(folder: Path) -> Path:
    """Installs ministack into a virtual environment of its own, once; returns the program. Skips if it cannot."""
    program = folder / "venv" / "bin" / "ministack"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            shutil.rmtree(folder / "venv", ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True, capture_output=True)
            pip = [folder / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", MINISTACK]
            done = subprocess.run(pip, check=False, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"{MINISTACK} cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
    return program


@contextmanager
def run_ministack(cache: Path) -> Iterator[S3Server]:
    """Runs ministack. It compares no signatures."""
    os.environ.update(CREDENTIALS)
    program, port = install_ministack(cache / MINISTACK), free_port()
    with tempfile.TemporaryDirectory(prefix="pvm-") as folder:
        log = Path(folder) / "log"
        environ = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            **guarded_environ(),
            "GATEWAY_PORT": str(port),
            "MINISTACK_HOST": "127.0.0.1",
            "SERVICES": "s3",
        }
        with _running([str(program)], log, environ, Path(folder)) as process:
            wait_for_port(port, process, log)
            yield S3Server(f"http://127.0.0.1:{port}")


@dataclass(slots=True)
class _Ceph:
    """A Ceph of one monitor, one OSD in memory and one gateway."""

    folder: Path
    port: int = field(default_factory=free_port)
    monitor_port: int = field(default_factory=free_port)

    @property
    def keyring(self) -> Path:
        return self.folder / "keyring"

    def run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [program, *arguments],
            check=False,
            env={**os.environ, "CEPH_CONF": str(self.folder / "ceph.conf")},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{program}: {done.stderr[-2000:]}"

    def write_config(self) -> None:
        folder, port = self.folder, self.monitor_port
        for name in ("mon", "osd", "rgw"):
            (folder / name).mkdir()
        (folder / "ceph.conf").write_text(f"""
[global]
fsid = {uuid4()}
mon host = v2:127.0.0.1:{port}
mon initial members = a
keyring = {self.keyring}
public network = 127.0.0.0/8
ms bind ipv6 = false
run dir = {folder}
admin socket = {folder}/$name.asok
pid file = {folder}/$name.pid
log file = {folder}/$name.log
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 1
mon data avail warn = 2
osd objectstore = memstore
memstore device bytes = 1073741824
osd memory target = 939524096
[mon.a]
mon data = {folder}/mon
mon addr = 127.0.0.1
[osd.0]
osd data = {folder}/osd
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{self.port}
rgw data = {folder}/rgw
rgw enable usage log = false
rgw thread pool size = 32
""")

    def prepare_monitor(self) -> None:
        everything = ("--cap", "mon", "allow *", "--cap", "osd", "allow *")
        keys = (
            ("mon.", ("--cap", "mon", "allow *")),
            ("client.admin", (*everything, "--cap", "mgr", "allow *")),
            ("osd.0", everything),
            ("client.rgw", everything),
        )
        for name, capabilities in keys:
            create = () if self.keyring.exists() else ("--create-keyring",)
            self.run("ceph-authtool", str(self.keyring), *create, "--gen-key", "-n", name, *capabilities)
        fsid = next(
            line.split(" = ")[1]
            for line in (self.folder / "ceph.conf").read_text().splitlines()
            if line.startswith("fsid")
        )
        map_file = str(self.folder / "monmap")
        address = f"[v2:127.0.0.1:{self.monitor_port}]"
        self.run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, map_file)
        self.run("ceph-mon", "-i", "a", "--mkfs", "--monmap", map_file, "--keyring", str(self.keyring))


@contextmanager
def run_radosgw() -> Iterator[S3Server]:
    """Runs Ceph's S3 gateway, which compares signatures. Takes about 15 s to start. Skips without its packages."""
    os.environ.update(CREDENTIALS)
    missing = [program for program in CEPH_PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(
            f"not installed: {', '.join(missing)} (packages radosgw, ceph-mon, ceph-osd, ceph-common)"
        )
    with tempfile.TemporaryDirectory(prefix="pvc-") as name:
        ceph = _Ceph(Path(name))
        ceph.write_config()
        ceph.prepare_monitor()
        environ = {**os.environ, "CEPH_CONF": f"{name}/ceph.conf"}
        with _running(
            ["ceph-mon", "-i", "a", "-f"], ceph.folder / "mon.out", environ, ceph.folder
        ) as monitor:
            wait_for_port(ceph.monitor_port, monitor, ceph.folder / "mon.out")
            secret = str(uuid4())
            ceph.run("ceph", "osd", "new", secret)
            ceph.run("ceph-osd", "-i", "0", "--mkfs", "--keyring", str(ceph.keyring), "--osd-uuid", secret)
            gateway = ["radosgw", "-n", "client.rgw", "-f"]
            with (
                _running(["ceph-osd", "-i", "0", "-f"], ceph.folder / "osd.out", environ, ceph.folder),
                _running(gateway, ceph.folder / "rgw.out", environ, ceph.folder) as process,
            ):
                wait_for_port(ceph.port, process, ceph.folder / "rgw.out")
                ceph.run(
                    "radosgw-admin",
                    *("-n", "client.rgw", "user", "create", "--uid=t", "--display-name=t"),
                    *(f"--access-key={ACCESS_KEY}", f"--secret={SECRET_KEY}"),
                )
                yield S3Server(f"http://127.0.0.1:{ceph.port}")


@contextmanager
def _running(
    argv: list[str], log: Path, environ: dict[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as out:
        process = subprocess.Popen(
            die_with_parent_argv([shutil.which(argv[0]) or argv[0], *argv[1:]], signal.SIGKILL),
            env=environ,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
