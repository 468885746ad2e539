"""Object stores for tests: ministack, a small S3 server from PyPI, and the S3 gateway of a one-node Ceph.

All pytest processes of a run share one of each (tests/shared_servers.py), with a bucket for each test.
"""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import hmac
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from previewops.bucket_addresses import parse_bucket_address
from previewops.process.parent_death import die_with_parent_argv
from previewops.stores.objects.store import ObjectStore
from tests.ports import free_port
from tests.process_guard import guarded_environ
from tests.shared_servers import ServerMissing

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


def install_ministack(folder: Path) -> Path:
    """Installs ministack below ``folder``, once; returns the folder of its modules.

    Raises:
        ServerMissing: pip cannot install it.
    """
    modules = folder / "modules"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not modules.exists():
            partial = folder / "partial"
            shutil.rmtree(partial, ignore_errors=True)
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(partial), MINISTACK]
            done = subprocess.run(pip, check=False, capture_output=True, text=True)
            if done.returncode:
                raise ServerMissing(
                    f"{MINISTACK} cannot be installed: {done.stderr.strip().splitlines()[-1:]}"
                )
            partial.rename(modules)
    return modules


@contextmanager
def run_ministack(
    folder: Path, cache: str, *, prefix: Sequence[str] = (), host: str = "127.0.0.1"
) -> Iterator[str]:
    """Runs ministack, installed below ``cache``, under the command ``prefix``; ``host`` is its address.

    It compares no signatures. Returns its address.

    Raises:
        ServerMissing: pip cannot install it.
    """
    modules, port = install_ministack(Path(cache, MINISTACK)), free_port()
    environ = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        **guarded_environ(),
        "PYTHONPATH": str(modules),
        "TMPDIR": str(folder),
        "GATEWAY_PORT": str(port),
        "SERVICES": "s3",
    }
    argv = [*prefix, sys.executable, "-u", "-m", "ministack"]
    with run_server(argv, folder / "ministack.log", environ, folder, ready="Running on"):
        yield f"http://{host}:{port}"


@dataclass(slots=True)
class _Ceph:
    """A Ceph of one monitor, one OSD in memory and one gateway."""

    folder: Path
    prefix: Sequence[str]
    port: int = field(default_factory=free_port)
    monitor_port: int = field(default_factory=free_port)

    @property
    def keyring(self) -> Path:
        return self.folder / "keyring"

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, "CEPH_CONF": str(self.folder / "ceph.conf")}

    def run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self.prefix, program, *arguments],
            check=False,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{program}: {done.stderr[-2000:]}"

    def daemon(self, program: str, *arguments: str, ready: str = "") -> AbstractContextManager[object]:
        argv = [*self.prefix, program, *arguments, "-f"]
        return run_server(argv, self.folder / f"{program}.log", self.environ, self.folder, ready=ready)

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
admin socket =
log file =
log to stderr = true
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd crush chooseleaf type = 0
mon allow pool size one = true
paxos propose interval = 0.02
paxos min wait = 0.01
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
rgw frontends = beast port={self.port} tcp_nodelay=1
rgw data = {folder}/rgw
rgw enable usage log = false
debug rgw = 0
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
def run_radosgw(folder: Path, *, prefix: Sequence[str] = (), host: str = "127.0.0.1") -> Iterator[str]:
    """Runs Ceph's S3 gateway, which compares signatures; as ``run_ministack``. Takes about 3 s to start.

    Raises:
        ServerMissing: its packages are not installed.
    """
    missing = [program for program in CEPH_PROGRAMS if shutil.which(program) is None]
    if missing:
        raise ServerMissing(
            f"not installed: {', '.join(missing)} (packages radosgw, ceph-mon, ceph-osd, ceph-common)"
        )
    ceph = _Ceph(folder, prefix)
    ceph.write_config()
    ceph.prepare_monitor()
    with ceph.daemon("ceph-mon", "-i", "a", ready="is new leader"):
        secret = str(uuid4())
        ceph.run("ceph", "osd", "new", secret)
        ceph.run("ceph-osd", "-i", "0", "--mkfs", "--keyring", str(ceph.keyring), "--osd-uuid", secret)
        with (
            ceph.daemon("ceph-osd", "-i", "0"),
            ceph.daemon("radosgw", "-n", "client.rgw", ready="starting handler"),
        ):
            ceph.run(
                "radosgw-admin",
                *("-n", "client.rgw", "user", "create", "--uid=t", "--display-name=t"),
                *(f"--access-key={ACCESS_KEY}", f"--secret={SECRET_KEY}"),
            )
            yield f"http://{host}:{ceph.port}"


@contextmanager
def run_server(
    argv: Sequence[str], log: Path, environ: dict[str, str], folder: Path, *, ready: str = ""
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a program, whose output goes to ``log``; waits until it prints ``ready``."""
    process = subprocess.Popen(
        die_with_parent_argv([shutil.which(argv[0]) or argv[0], *argv[1:]], signal.SIGKILL),
        env=environ,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    is_ready, has_ended = threading.Event(), threading.Event()

    def copy_output() -> None:
        assert process.stdout is not None
        with process.stdout, log.open("ab", buffering=0) as out:
            for line in process.stdout:
                out.write(line)
                if ready.encode() in line:
                    is_ready.set()
        has_ended.set()
        is_ready.set()

    copier = threading.Thread(target=copy_output, daemon=True)
    copier.start()
    try:
        if ready:
            in_time = is_ready.wait(START_TIMEOUT_S) and not has_ended.is_set()
            assert in_time, f"{argv[0]} did not start:\n{log.read_text(errors='replace')[-3000:]}"
        yield process
    finally:
        process.kill()
        process.wait()
        copier.join()
