"""Folders of hosts that no longer exist are removed; folders in use are not."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from previewops.settings import Settings
from previewops.supervisor.host import host_name
from previewops.supervisor.lock import LOG_FOLDER, SUPERVISOR_FOLDER, hold_supervisor_lock, own_folder
from previewops.supervisor.records import DRAINED_NAME, LOCK_NAME, SupervisorRecords
from previewops.supervisor.stale_folders import STALE_AFTER_S, remove_stale_folders

NOW_S = 2_000_000_000.0
OLD_S = NOW_S - STALE_AFTER_S - 1


def host(data_dir: Path, kind: str, name: str, files: dict[str, float]) -> Path:
    """Makes a host's folder with files of these times."""
    folder = data_dir / kind / f"host-{name}" / "queue-q"
    folder.mkdir(parents=True)
    for file, used_s in files.items():
        (folder / file).touch()
        os.utime(folder / file, (used_s, used_s))
    return folder.parent


def test_only_folders_of_hosts_that_are_gone_are_removed(tmp_path: Path) -> None:
    gone = host(tmp_path, SUPERVISOR_FOLDER, "gone", {LOCK_NAME: OLD_S, "workers.json": OLD_S - 9})
    gone_logs = host(tmp_path, LOG_FOLDER, "gone", {"worker-1.log": OLD_S})
    kept = [
        host(tmp_path, SUPERVISOR_FOLDER, "used", {LOCK_NAME: NOW_S - 3600, "workers.json": OLD_S}),
        host(tmp_path, LOG_FOLDER, "used", {"worker-1.log": OLD_S}),
        host(tmp_path, SUPERVISOR_FOLDER, "drained", {LOCK_NAME: OLD_S, DRAINED_NAME: OLD_S}),
        host(tmp_path, LOG_FOLDER, "recent", {"worker-1.log": NOW_S - 9}),
        host(tmp_path, SUPERVISOR_FOLDER, host_name(), {LOCK_NAME: OLD_S}),
        host(tmp_path, SUPERVISOR_FOLDER, "held", {LOCK_NAME: OLD_S}),
    ]
    before = tmp_path / LOG_FOLDER / "worker-1.log"
    before.touch()
    with (tmp_path / SUPERVISOR_FOLDER / "host-held" / "queue-q" / LOCK_NAME).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert remove_stale_folders(tmp_path, NOW_S) == [gone, gone_logs]
    assert not gone.exists()
    assert all(folder.exists() for folder in kept)
    assert before.exists(), "logs of earlier versions stay"
    assert remove_stale_folders(tmp_path / "missing", NOW_S) == []


def test_a_running_supervisor_keeps_its_folder_fresh(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with hold_supervisor_lock(settings):
        folder = own_folder(settings, SUPERVISOR_FOLDER)
        os.utime(folder / LOCK_NAME, (OLD_S, OLD_S))
        SupervisorRecords(folder).keep_alive()
        assert (folder / LOCK_NAME).stat().st_mtime != OLD_S


def test_hosts_and_queues_have_their_own_logs(tmp_path: Path) -> None:
    one, other = (own_folder(Settings(data_dir=tmp_path, queue_name=name), LOG_FOLDER) for name in ("a", "b"))
    assert one != other
    assert host_name() in one.parent.name
