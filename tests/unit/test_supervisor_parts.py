"""Environment files, the process registry, the lock, the systemd backend and notifier."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from previewops.errors import SupervisorRunning, UsageError
from previewops.process.sd_notify import SystemdNotifier
from previewops.settings import Settings
from previewops.supervisor.environment import check_reload, read_environment_file, worker_environment
from previewops.supervisor.lock import hold_supervisor_lock, supervisor_folder
from previewops.supervisor.process_registry import ProcessRegistry
from previewops.supervisor.systemd_backend import format_environment_file, parse_exit_status


def test_an_environment_file_that_cannot_be_read_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "environment"
    path.write_bytes(b"\xff=1\n")
    for unreadable in (path, tmp_path / "missing"):
        with pytest.raises(UsageError, match="cannot be read"):
            read_environment_file(unreadable)


def test_workers_get_the_settings_and_not_the_notify_socket(tmp_path: Path) -> None:
    settings = Settings(queue_name="q", data_dir=tmp_path)
    environ = worker_environment(
        {"A": "1", "NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "9"}, settings, "unix:///r"
    )
    assert environ == {
        "A": "1",
        "REDIS_URL": "unix:///r",
        "PREVIEW_QUEUE_NAME": "q",
        "DATA_DIR": str(tmp_path.resolve()),
    }


def test_a_reload_cannot_change_the_queue() -> None:
    old = Settings()
    check_reload(old, replace(old, drain_timeout_s=1))
    with pytest.raises(UsageError, match="PREVIEW_QUEUE_NAME, DATA_DIR cannot change"):
        check_reload(old, replace(old, queue_name="other", data_dir=Path("elsewhere")))


def test_the_registry_recognizes_its_processes_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "workers.json"
    registry = ProcessRegistry(path)
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()", "vm-1-abc"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # Popen returns before the kernel has set the command line
        registry.add("vm-1-abc", process.pid)
        registry.add("vm-1-other", process.pid)
        first, other = ProcessRegistry(path).read()
        registered = first.process()
        assert registered is not None
        assert registered.pid == process.pid
        assert other.process() is None, "its command line does not match"
        assert replace(first, started_s=first.started_s - 60).process() is None, "the process id was reused"
        process.communicate(b"\n")
    assert first.process() is None
    registry.remove("vm-1-abc")
    assert ProcessRegistry(path).read() == [other]
    path.write_text("[{]")
    assert ProcessRegistry(path).read() == []


def test_one_supervisor_per_queue_and_data_dir(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with hold_supervisor_lock(settings):
        second = hold_supervisor_lock(settings)
        with (
            pytest.raises(SupervisorRunning, match=f"process {os.getpid()} already supervises") as caught,
            second,
        ):
            pytest.fail("the lock is held")
        assert caught.value.pid == os.getpid()
        with hold_supervisor_lock(replace(settings, queue_name="another")):
            pass
    with hold_supervisor_lock(settings):
        pass


def test_each_host_of_a_shared_data_dir_has_a_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=tmp_path)
    with hold_supervisor_lock(settings):
        monkeypatch.setattr("previewops.supervisor.lock.host_name", lambda: "another-host")
        with hold_supervisor_lock(settings):
            assert supervisor_folder(settings).is_relative_to(tmp_path / "supervisor" / "host-another-host")


def test_an_unusable_data_dir_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(UsageError, match="DATA_DIR"):
        supervisor_folder(Settings(data_dir=tmp_path / "data"))


def test_systemd_is_notified_by_datagrams(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        notifier = SystemdNotifier(
            {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "6000000", "WATCHDOG_PID": str(os.getpid())}
        )
        assert notifier.watchdog_s == 6.0
        notifier.ready("works")
        notifier.feed_watchdog()
        notifier.reloading(7)
        notifier.stopping("drains")
        messages = [manager.recv(1000).decode() for _ in range(4)]
        assert messages == [
            "READY=1\nSTATUS=works",
            "WATCHDOG=1",
            "RELOADING=1\nMONOTONIC_USEC=7",
            "STOPPING=1\nSTATUS=drains",
        ]
        unwatched = SystemdNotifier({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "6000000", "WATCHDOG_PID": "1"})
        unwatched.feed_watchdog()
        unwatched.status("idle")
        assert manager.recv(1000) == b"STATUS=idle"
        notifier.close()
        unwatched.close()
    alone = SystemdNotifier({"NOTIFY_SOCKET": path})
    alone.ready("without a listener")
    alone.close()


def test_without_systemd_nothing_is_sent() -> None:
    notifier = SystemdNotifier({"WATCHDOG_USEC": "1"})
    assert notifier.watchdog_s is None
    notifier.ready("works")
    notifier.close()


@pytest.mark.parametrize(
    ("output", "status"),
    [
        ("Main processes terminated with: code=exited, status=3/NOTIMPLEMENTED", 3),
        ("Main processes terminated with: code=exited/status=78", 78),
        ("Main processes terminated with: code=killed, status=9/KILL", -9),
        ("Finished with result: oom-kill\nMain processes terminated with: code=killed/status=KILL", -9),
        ("Main processes terminated with: code=dumped, status=6/ABRT", -6),
        ("Main processes terminated with: code=killed/status=NONSENSE", None),
        ("Failed to connect to bus", None),
    ],
)
def test_the_exit_status_is_parsed_from_the_output_of_systemd_run(output: str, status: int | None) -> None:
    assert parse_exit_status(output) == status


def test_an_environment_file_for_systemd_is_escaped() -> None:
    environ = {"A": 'a "b" \\ $C `d`', "INVOCATION_ID": "ours", "BASH_FUNC_x%%": "() {}", "B": "two\nlines"}
    assert format_environment_file(environ) == 'A="a \\"b\\" \\\\ \\$C \\`d\\`"\nB="two\nlines"\n'
