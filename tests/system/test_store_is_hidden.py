"""A render process beside a worker that is connected to a bucket: neither credentials, connection nor address."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from previewops.bucket_addresses import parse_bucket_address
from previewops.stores.objects.store import ObjectStore
from previewops.worker.sandbox.child import ChildLimits
from previewops.worker.sandbox.confinement import detect_support
from previewops.worker.sandbox.pool import RenderPool
from tests.object_servers import S3Server
from tests.system import escape_attempts
from tests.system.escape_attempts import DENIED

MIB = 1024 * 1024
SECRETS = {"AWS_SECRET_ACCESS_KEY": "key-7f3a91c2e85b", "AWS_SESSION_TOKEN": "session-5d20b6e41f9c"}

pytestmark = [
    pytest.mark.skipif(not detect_support().complete, reason="this kernel lacks Landlock or seccomp"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can look into the memory of a confined process"),
]


def sockets_of(pid: int) -> set[str]:
    """The sockets that a process has open, by their inodes."""
    links = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return {link for link in links if link.startswith("socket:")}


def connections_to(port: int) -> set[str]:
    """The sockets of this process that are connected to a port of this machine."""
    connections = psutil.Process().net_connections("tcp")
    handles = [
        connection.fd for connection in connections if connection.raddr and connection.raddr.port == port
    ]
    return {str(Path(f"/proc/self/fd/{handle}").readlink()) for handle in handles}


def names_in_environment(pid: int, names: list[str]) -> list[str]:
    """Those of ``names`` that are in the environment that a process was started with."""
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    return [name for name in names if name.encode() in environment]


def found_in_memory(pid: int, texts: list[str]) -> set[str]:
    """Those of ``texts`` that are somewhere in the memory of a process."""
    found = set()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            area, permissions, *_ = line.split()
            start, end = (int(part, 16) for part in area.split("-"))
            if not permissions.startswith("rw") or end >= 2**47:
                continue
            try:
                content = os.pread(memory.fileno(), end - start, start)
            except OSError:
                continue  # a guard page
            found |= {text for text in texts if text.encode() in content}
    return found


async def test_a_render_process_sees_nothing_of_the_store(
    ministack: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = ministack.address(ministack.make_bucket())
    for name, value in {**SECRETS, "PREVIEW_STORE": address}.items():
        monkeypatch.setenv(name, value)
    store = ObjectStore(parse_bucket_address(address))
    store.probe()
    server = urlsplit(ministack.endpoint)
    assert server.port is not None
    pool = RenderPool(
        f"{escape_attempts.__name__}:look_for_store",
        size=1,
        limits=ChildLimits(512 * MIB),
        recycle_jobs=10,
        preload=[],
        confined=True,
    )
    try:
        await pool.start()
        store.identify(create=True)
        connected = connections_to(server.port)
        assert connected, "the store's connection is open while the render process runs"
        result = await pool.run({"address": [server.hostname, server.port]}, deadline_s=60)
        assert result["connect"] in DENIED
        assert not [name for name in result["environment"] if name.startswith(("AWS_", "PREVIEW_"))]
        assert found_in_memory(os.getpid(), [*SECRETS.values()]) == {*SECRETS.values()}, "they would be found"
        for pid in pool.all_pids():
            assert not sockets_of(pid) & connected
            assert not names_in_environment(pid, [*SECRETS, "PREVIEW_STORE"])
            assert found_in_memory(pid, [*SECRETS.values(), address]) == set()
    finally:
        await pool.close()
