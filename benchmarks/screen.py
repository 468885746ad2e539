"""Cost of the operator's screen: start, bytes on the line, processor, memory, and reaction time.

    python -m benchmarks.screen

The real program runs in a pseudo-terminal of 120 by 40 over a private Redis. htop and btop, if installed, run in the
same way in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import platform
import pty
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import psutil
import redis

from benchmarks.queue import private_redis
from previewops.queue.keys import Keys
from previewops.queue.scripts import text_with_keys
from previewops.redis_server.connection import connect
from previewops.settings import Settings
from previewops.snapshot.reader import SnapshotReader

COLUMNS, ROWS = 120, 40
SETTLE_S = 5.0
QUIET_S = 0.15
KEYS = "2345671"

FILL = """
local kind, first, last, now = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
for n = first, last do
  local id = kind .. '-' .. n
  if kind == 'w' then
    redis.call('HSET', P_JOB .. id, 'state', 'waiting', 'priority', 'normal', 'project', 'bench', 'digest', '',
      'accepted', now, 'order', now * 1000 + n, 'attempts', 0, 'crashes', 0)
    redis.call('ZADD', K_NORMAL, now * 1000 + n, id)
    redis.call('ZADD', K_SCHEDULE, -now, id)
  else
    redis.call('HSET', P_JOB .. id, 'state', 'dead', 'priority', 'normal', 'project', 'bench', 'digest', '',
      'accepted', now, 'order', now, 'attempts', 1, 'crashes', 0, 'finished', now, 'cause', 'permanent',
      'class', 'PermanentJobError', 'code', 'asset-missing', 'reason', 'no file ' .. n, 'fingerprint', '9a1c33d0be77')
    redis.call('ZADD', K_DEAD, now, id)
    redis.call('ZADD', P_DEAD_GROUP .. '9a1c33d0be77', now, id)
    redis.call('ZINCRBY', K_DEAD_GROUPS, 1, '9a1c33d0be77')
  end
  redis.call('HINCRBY', K_META, 'accepted', 1)
end
"""


class Seen:
    """A program in a pseudo-terminal, and its output."""

    def __init__(self, command: Sequence[str], environ: dict[str, str]) -> None:
        self.started = time.monotonic()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], list(command), {**os.environ, **environ, "TERM": "xterm-256color"})
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)
        self.bytes = 0

    def read(self, timeout_s: float) -> bytes:
        """Returns its output within ``timeout_s`` seconds, b"" if none."""
        if not select.select([self._fd], [], [], timeout_s)[0]:
            return b""
        data = os.read(self._fd, 1 << 16)
        self.bytes += len(data)
        return data

    def wait_for(self, text: bytes, timeout_s: float = 30.0) -> float:
        """Returns the seconds from the program's start until it wrote ``text``."""
        seen = b""
        while text not in seen:
            seen += self.read(timeout_s)
            if time.monotonic() - self.started > timeout_s:
                raise TimeoutError(f"{text!r} was not written")
        return time.monotonic() - self.started

    def watch(self, seconds: float) -> tuple[float, float]:
        """Returns (bytes per second, processor in percent of a core) over that time."""
        until, began = time.monotonic() + seconds, time.monotonic()
        bytes_before, cpu_before = self.bytes, self._cpu_s()
        while (left := until - time.monotonic()) > 0:
            self.read(left)
        passed = time.monotonic() - began
        return (self.bytes - bytes_before) / passed, (self._cpu_s() - cpu_before) / passed * 100

    def answer_ms(self, key: str) -> float:
        """Returns the ms from a key to the next frame; the screen is quiet before."""
        while self.read(QUIET_S):
            pass
        began = time.monotonic()
        os.write(self._fd, key.encode())
        self.read(10.0)
        return (time.monotonic() - began) * 1000

    def rss_mib(self) -> float:
        """Resident memory."""
        return float(psutil.Process(self.pid).memory_info().rss) / 2**20

    def _cpu_s(self) -> float:
        used = psutil.Process(self.pid).cpu_times()
        return float(used.user + used.system)

    def close(self) -> None:
        """Ends the program."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._fd)


@contextmanager
def screen(url: str, *options: str) -> Iterator[Seen]:
    """Runs ``previewops tui`` on a queue until its first figures are drawn."""
    seen = Seen(
        [sys.executable, "-m", "previewops", "tui", *options], {"REDIS_URL": url, "COLORTERM": "truecolor"}
    )
    try:
        yield seen
    finally:
        seen.close()


def fill(url: str, waiting: int, dead: int) -> None:
    """Writes that many jobs into the queue, in the format that the scripts write."""
    script = text_with_keys(FILL, Keys(Settings().queue_name))
    with redis.Redis.from_url(url) as client:
        for kind, count in (("w", waiting), ("d", dead)):
            for first in range(0, count, 5_000):
                client.eval(script, 0, kind, first, min(first + 5_000, count) - 1, int(time.time() * 1000))


async def snapshot_ms(url: str, samples: int = 50) -> tuple[float, float]:
    """Median and maximum duration of the screen's snapshot, in ms."""
    client = connect(url, role="bench")
    snapshots = SnapshotReader(client, Settings())
    taken = []
    await snapshots.read(history_s=60, events=200, running_jobs=True)
    for _ in range(samples):
        began = time.perf_counter()
        await snapshots.read(history_s=60, events=200, running_jobs=True)
        taken.append((time.perf_counter() - began) * 1000)
    await client.aclose()
    return statistics.median(taken), max(taken)


def report(name: str, measured: str, target: str) -> None:
    """One line of the table."""
    print(f"{name:<44}{measured:>28}   {target}")


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=15.0, help="duration of each measurement")
    parser.add_argument("--waiting", type=int, default=1_000_000)
    parser.add_argument("--dead", type=int, default=100_000)
    options = parser.parse_args()
    when = f"{datetime.now(tz=UTC):%Y-%m-%d}"
    load = os.getloadavg()[0]
    print(
        f"{when}, {os.cpu_count()} processors, Python {platform.python_version()}, load {load:.1f}, {COLUMNS}x{ROWS}"
    )
    report("", "found", "wanted")
    with private_redis() as socket:
        url = f"unix://{socket}"
        measure_start_and_rest(url, options.seconds)
        measure_load(url, options.seconds)
        fill(url, options.waiting, options.dead)
        measure_depth(url, options.waiting, options.dead)
    for peer in ("htop", "btop"):
        if (program := shutil.which(peer)) is not None:
            seen = Seen([program], {})
            seen.watch(SETTLE_S)
            line, cpu = seen.watch(options.seconds)
            seen.close()
            report(f"{peer} at rest", f"{line:,.0f} B/s, {cpu:.1f} %", "")


def measure_start_and_rest(url: str, seconds: float) -> None:
    """First paint, and the cost of an idle queue."""
    paints = []
    for _ in range(4):
        with screen(url) as seen:
            paints.append(seen.wait_for(b"all told"))
    report("first frame with figures, warm", f"{min(paints[1:]):.2f} to {max(paints[1:]):.2f} s", "0.6 s")
    with screen(url) as seen:
        seen.watch(SETTLE_S)
        line, cpu = seen.watch(seconds)
    report("at rest", f"{line:,.0f} B/s, {cpu:.1f} %", "1,000 B/s, 2 %")


def measure_load(url: str, seconds: float) -> None:
    """Cost of a busy queue."""
    command = [sys.executable, "-m", "benchmarks.peers.load_peer", url, "200", str(seconds + 3 * SETTLE_S)]
    with subprocess.Popen(command) as peer, screen(url) as seen:
        seen.watch(SETTLE_S)
        line, cpu = seen.watch(seconds)
        peer.terminate()
    report("under 200 jobs/s", f"{line:,.0f} B/s, {cpu:.1f} %", "8,000 B/s, 10 %")


def measure_depth(url: str, waiting: int, dead: int) -> None:
    """A deep queue: snapshot, keys and memory."""
    median_ms, most_ms = asyncio.run(snapshot_ms(url))
    report(
        f"snapshot, {waiting:,} waiting and {dead:,} dead", f"{median_ms:.2f} ms (most {most_ms:.1f})", "5 ms"
    )
    with screen(url, "--refresh", "60") as seen:
        seen.watch(SETTLE_S)
        for key in KEYS:  # each screen is composed when it is first opened
            seen.answer_ms(key)
        times = [seen.answer_ms(key) for key in KEYS * 3 + "zz"]
        rss = seen.rss_mib()
    report("reaction to a key", f"{statistics.median(times):.0f} ms (most {max(times):.0f})", "50 ms")
    report("memory of the screen", f"{rss:.0f} MiB", "120 MiB")


if __name__ == "__main__":
    main()
