"""Alive files: signs of running processes, and what `previewops alive` makes of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from previewops.cli.program import run
from previewops.process import alive
from previewops.process.alive import AliveFile, Role, alive_prefix, read_signs
from previewops.process.sd_notify import SystemdNotifier
from previewops.settings import Settings

HEAVY = (
    "redis",
    "arq",
    "asyncio",
    "structlog",
    "jsonschema",
    "jsonschema_rs",
    "psutil",
    "socket",
    "tempfile",
)


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The prefix of this test's processes, for `previewops alive` too."""
    monkeypatch.setattr(alive, "_TMP", tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    return alive_prefix(tmp_path / "data", Settings().queue_name)


def grow_old(prefix: Path, role: Role, seconds: float) -> None:
    """Makes the signs of ``role`` older."""
    for path in prefix.parent.glob(f"{prefix.name}-{role}-*"):
        path.write_text(f"{time.monotonic() - seconds:020.3f}\n")


def leave_behind(prefix: Path) -> None:
    """Runs a process that exits without closing its alive file, as if it had been killed."""
    script = (
        "import os, sys; from pathlib import Path; from previewops.process.alive import AliveFile, Role\n"
        "file = AliveFile(Path(sys.argv[1]), Role.WORKER); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, str(prefix)], check=True)


def test_a_sign_names_its_process_and_is_gone_when_closed(prefix: Path) -> None:
    file = AliveFile(prefix, Role.WORKER)
    (sign,) = read_signs(prefix)
    assert (sign.role, sign.pid) == (Role.WORKER, os.getpid())
    grow_old(prefix, Role.WORKER, 100)
    assert read_signs(prefix)[0].age_s > 99
    file.refresh()
    assert read_signs(prefix)[0].age_s < 50
    file.close()
    file.refresh()
    assert list(prefix.parent.iterdir()) == []


def test_the_file_of_a_killed_process_counts_no_longer_and_is_removed_by_the_next(prefix: Path) -> None:
    leave_behind(prefix)
    assert len(list(prefix.parent.iterdir())) == 1
    assert read_signs(prefix) == []
    file = AliveFile(prefix, Role.WORKER)
    assert [path.name.split("-")[3] for path in prefix.parent.iterdir()] == [str(os.getpid())]
    file.close()


def test_other_files_are_ignored(prefix: Path) -> None:
    file = AliveFile(prefix, Role.WORKER)
    prefix.with_name(f"{prefix.name}-worker-1").touch()
    prefix.with_name(f"{prefix.name}-worker-1-0").symlink_to("nowhere")
    assert len(read_signs(prefix)) == 1
    file.close()


def test_queues_data_dirs_and_users_have_names_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefixes = {alive_prefix(tmp_path / name, queue) for name in "ab" for queue in ("one", "two")}
    assert len(prefixes) == 4
    assert alive_prefix(Path("data"), "one") == alive_prefix(Path("data").absolute(), "one")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert alive_prefix(tmp_path / "a", "one") not in prefixes


def test_a_folder_that_others_can_write_is_not_used(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prefix.parent.mkdir()
    prefix.parent.chmod(0o777)
    AliveFile(prefix, Role.WORKER).refresh()
    assert list(prefix.parent.iterdir()) == []
    assert run(["alive"]) == 1
    assert f"{prefix.parent}: it is not a folder that only this user can write to" in capsys.readouterr().err


def test_a_process_without_a_folder_works_without_signs(prefix: Path) -> None:
    prefix.parent.touch()
    file = AliveFile(prefix, Role.SUPERVISOR)
    file.refresh()
    file.close()


def test_the_notifier_refreshes_and_closes_the_file_also_without_systemd(prefix: Path) -> None:
    notifier = SystemdNotifier({}, alive=AliveFile(prefix, Role.WORKER))
    assert notifier.feed_interval_s == alive.REFRESH_INTERVAL_S
    grow_old(prefix, Role.WORKER, 100)
    notifier.feed_watchdog()
    assert read_signs(prefix)[0].age_s < 50
    notifier.close()
    assert read_signs(prefix) == []


@pytest.mark.parametrize(("limit_us", "interval_s"), [("3000000", 1.0), ("60000000", 2.0)])
def test_the_watchdog_is_fed_three_times_within_its_limit(limit_us: str, interval_s: float) -> None:
    notifier = SystemdNotifier({"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": limit_us})
    assert notifier.feed_interval_s == interval_s


def test_nothing_that_runs_is_not_alive(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["alive"]) == 1
    assert "no supervisor, worker or API of queue preview-jobs" in capsys.readouterr().err
    file = AliveFile(prefix, Role.WORKER)
    assert run(["--queue", "another", "alive"]) == 1
    file.close()


def test_running_processes_are_listed(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = AliveFile(prefix, Role.WORKER)
    assert run(["alive"]) == 0
    assert re.fullmatch(rf"worker {os.getpid()}: alive \d\.\d s ago\n", capsys.readouterr().out)
    assert run(["alive", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["alive"] is True
    assert [(one["role"], one["pid"]) for one in report["processes"]] == [("worker", os.getpid())]
    file.close()


def test_one_hung_worker_of_two_is_reported(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hung = AliveFile(prefix, Role.WORKER)
    grow_old(prefix, Role.WORKER, 45)
    other = AliveFile(prefix, Role.WORKER)
    assert run(["alive"]) == 1
    assert f"no progress: found worker {os.getpid()} for 45 s, allowed 30 s" in capsys.readouterr().err
    assert run(["alive", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"] == "error"
    assert run(["alive", "--max-age", "1m"]) == 0
    hung.close()
    other.close()


def test_a_supervisor_answers_for_its_workers(prefix: Path) -> None:
    supervisor, worker = AliveFile(prefix, Role.SUPERVISOR), AliveFile(prefix, Role.WORKER)
    grow_old(prefix, Role.WORKER, 45)
    assert run(["alive"]) == 0
    grow_old(prefix, Role.SUPERVISOR, 45)
    worker.refresh()
    assert run(["alive"]) == 1
    supervisor.refresh()
    api = AliveFile(prefix, Role.API)
    grow_old(prefix, Role.API, 45)
    assert run(["alive"]) == 1
    for file in (supervisor, worker, api):
        file.close()


def test_the_check_imports_neither_redis_nor_anything_slow(tmp_path: Path) -> None:
    script = (
        "import sys; sys.argv = ['previewops', 'alive']\n"
        "from previewops.cli import main\n"
        "try: main()\n"
        f"finally: print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    environ = {**os.environ, "DATA_DIR": str(tmp_path / "none")}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environ, check=False
    )
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "HEAVY []"
