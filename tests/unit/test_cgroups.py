"""Processors and memory that control groups allow, from the text of the kernel's files."""

from __future__ import annotations

import subprocess
import sys

import pytest

from previewops.process.cgroups import GroupLimits, parse_membership, read_limits
from previewops.process.resources import available_memory, count_processors, usable_processors

MIB = 1 << 20
V2_HOST = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1_HOST = (
    "33 32 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "36 32 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)
V1_DOCKER = (
    "33 32 0:30 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
    "36 32 0:33 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
)
V1_GROUP = "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n"
CPU, MEMORY = "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory"

CASES: dict[str, tuple[dict[str, str], GroupLimits]] = {
    "no control groups": ({}, GroupLimits()),
    "version 2 without limits": (
        {
            "/proc/self/cgroup": "0::/user.slice\n",
            "/proc/self/mountinfo": V2_HOST,
            "/sys/fs/cgroup/user.slice/cpu.max": "max 100000\n",
            "/sys/fs/cgroup/user.slice/memory.max": "max\n",
            "/sys/fs/cgroup/user.slice/memory.current": "1000\n",
        },
        GroupLimits(),
    ),
    "version 2, a container in its own namespace": (
        {
            "/proc/self/cgroup": "0::/\n",
            "/proc/self/mountinfo": V2_HOST,
            "/sys/fs/cgroup/cpu.max": "150000 100000\n",
            "/sys/fs/cgroup/cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
            "/sys/fs/cgroup/memory.max": f"{700 * MIB}\n",
            "/sys/fs/cgroup/memory.current": f"{500 * MIB}\n",
            "/sys/fs/cgroup/memory.stat": f"anon 1\ninactive_file {100 * MIB}\n",
        },
        GroupLimits(1.5, 2.5, 300 * MIB),
    ),
    "version 2, a parent allows less": (
        {
            "/proc/self/cgroup": "0::/previewops.slice/supervisor.service\n",
            "/proc/self/mountinfo": V2_HOST,
            "/sys/fs/cgroup/previewops.slice/supervisor.service/cpu.max": "400000 100000\n",
            "/sys/fs/cgroup/previewops.slice/supervisor.service/memory.max": "max\n",
            "/sys/fs/cgroup/previewops.slice/supervisor.service/memory.current": "5\n",
            "/sys/fs/cgroup/previewops.slice/cpu.max": "200000 100000\n",
            "/sys/fs/cgroup/previewops.slice/memory.max": f"{64 * MIB}\n",
            "/sys/fs/cgroup/previewops.slice/memory.current": f"{80 * MIB}\n",
        },
        GroupLimits(2.0, None, 0),
    ),
    "version 1, from the host": (
        {
            "/proc/self/cgroup": V1_GROUP,
            "/proc/self/mountinfo": V1_HOST,
            f"{CPU}/docker/abc/cpu.cfs_quota_us": "50000\n",
            f"{CPU}/docker/abc/cpu.cfs_period_us": "100000\n",
            f"{CPU}/docker/abc/cpuacct.usage": "7000000000\n",
            f"{CPU}/docker/cpu.cfs_quota_us": "-1\n",
            f"{CPU}/docker/cpu.cfs_period_us": "100000\n",
            f"{MEMORY}/docker/abc/memory.limit_in_bytes": f"{9223372036854771712}\n",
            f"{MEMORY}/docker/abc/memory.usage_in_bytes": "100\n",
            f"{MEMORY}/docker/memory.limit_in_bytes": f"{10 * MIB}\n",
            f"{MEMORY}/docker/memory.usage_in_bytes": f"{4 * MIB}\n",
            f"{MEMORY}/docker/memory.stat": f"inactive_file 1\ntotal_inactive_file {MIB}\n",
        },
        GroupLimits(0.5, 7.0, 7 * MIB),
    ),
    "version 1, a container that sees the host's path": (
        {
            "/proc/self/cgroup": V1_GROUP,
            "/proc/self/mountinfo": V1_DOCKER,
            f"{CPU}/cpu.cfs_quota_us": "300000\n",
            f"{CPU}/cpu.cfs_period_us": "100000\n",
            f"{MEMORY}/memory.limit_in_bytes": f"{9 * MIB}\n",
            f"{MEMORY}/memory.usage_in_bytes": "0\n",
        },
        GroupLimits(3.0, None, 9 * MIB),
    ),
    "a path outside the mount": (
        {
            "/proc/self/cgroup": "0::/../other\n",
            "/proc/self/mountinfo": V2_HOST,
            "/sys/fs/cgroup/cpu.max": "100000 100000\n",
        },
        GroupLimits(1.0),
    ),
    "a mount point with a blank": (
        {
            "/proc/self/cgroup": "0::/a\n",
            "/proc/self/mountinfo": "29 23 0:26 / /mnt/c\\040g rw - cgroup2 none rw\n",
            "/mnt/c g/a/cpu.max": "200000 100000\n",
        },
        GroupLimits(2.0),
    ),
    "version 1 without any limit": (
        {
            "/proc/self/cgroup": V1_GROUP,
            "/proc/self/mountinfo": V1_DOCKER,
            f"{MEMORY}/memory.limit_in_bytes": f"{9223372036854771712}\n",
            f"{MEMORY}/memory.usage_in_bytes": "100\n",
        },
        GroupLimits(),
    ),
    "version 1, processor time is counted elsewhere": (
        {
            "/proc/self/cgroup": "2:cpu:/a/b\n3:cpuacct:/\n",
            "/proc/self/mountinfo": (
                "33 32 0:30 / /c rw - cgroup cgroup rw,cpu\n34 32 0:31 / /u rw - cgroup cgroup rw,cpuacct\n"
            ),
            "/c/a/cpu.cfs_quota_us": "50000\n",
            "/c/a/cpu.cfs_period_us": "100000\n",
            "/u/cpuacct.usage": "7000000000\n",
        },
        GroupLimits(0.5),
    ),
    "a limit without usage, and hierarchies of other controllers": (
        {
            "/proc/self/cgroup": "5:pids:/a\n0::/\n",
            "/proc/self/mountinfo": (
                "33 32 0:30 / /p rw - cgroup cgroup rw,pids,memory\n"
                "34 32 0:31 / /short - cgroup2 none\n"
                "35 32 0:32 - cgroup2 none rw\n"
                "36 32 0:33 / /x rw cgroup2 none rw\n"
                f"{V2_HOST}"
            ),
            "/sys/fs/cgroup/memory.max": "1000\n",
            "/p/a/memory.limit_in_bytes": "1000\n",
            "/p/a/memory.usage_in_bytes": "1\n",
        },
        GroupLimits(),
    ),
    "no mounts": ({"/proc/self/cgroup": "0::/\n"}, GroupLimits()),
    "no membership": ({"/proc/self/mountinfo": V2_HOST}, GroupLimits()),
    "files that make no sense": (
        {
            "/proc/self/cgroup": "nonsense\n0::/a\n:::\n",
            "/proc/self/mountinfo": f"x\n1 2 - cgroup2\n{V2_HOST}",
            "/sys/fs/cgroup/a/cpu.max": "soon\n",
            "/sys/fs/cgroup/cpu.max": "100 0\n",
            "/sys/fs/cgroup/a/memory.max": "-5\n",
        },
        GroupLimits(),
    ),
}


@pytest.mark.parametrize(("files", "limits"), CASES.values(), ids=CASES)
def test_limits(files: dict[str, str], limits: GroupLimits) -> None:
    assert read_limits(files.get) == limits


def test_membership_names_each_controller() -> None:
    groups = parse_membership("2:cpu,cpuacct:/a:b\n0::/c\n")
    assert groups == {"cpu": "/a:b", "cpuacct": "/a:b", "": "/c"}


@pytest.mark.parametrize(
    ("affinity", "quota", "processors"),
    [(8, None, 8), (8, 2.0, 2), (8, 1.5, 2), (8, 0.1, 1), (1, 4.0, 1), (0, None, 1)],
)
def test_processors(affinity: int, quota: float | None, processors: int) -> None:
    assert count_processors(affinity, GroupLimits(quota)) == processors


def test_taskset_counts() -> None:
    count = "from previewops.process.resources import usable_processors; print(usable_processors())"
    done = subprocess.run(
        ["taskset", "--cpu-list", "0", sys.executable, "-c", count],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n"


def test_this_process_has_some_of_both() -> None:
    assert usable_processors() >= 1
    assert available_memory() >= 0
