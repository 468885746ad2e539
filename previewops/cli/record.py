"""``previewops record``: records snapshots of the queue in a file."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_err, print_out, print_status
from previewops.cli.shared_options import Age, SecondsRange
from previewops.clock import SystemClock
from previewops.errors import EXIT_UNREACHABLE
from previewops.formatting import format_bytes, format_duration, pluralize
from previewops.health import Health, evaluate, parse_thresholds
from previewops.health.collect import collect_inputs
from previewops.recording.format import Header
from previewops.recording.recorder import Recorder, SnapshotRequest
from previewops.recording.writer import RecordingWriter, WriteStats
from previewops.redis_server.connection import connect, redis_errors
from previewops.settings import Settings
from previewops.snapshot.history import History
from previewops.snapshot.model import Snapshot
from previewops.snapshot.reader import SnapshotReader

MIB = 1 << 20


@click.command(
    epilog="""\b
Examples:
  previewops record night.rec
  previewops record night.rec --every 5 --for 12h
  previewops tui --replay night.rec      replay the recording
"""
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--every", metavar="S", type=SecondsRange(0.25, 600), default=1.0, show_default=True,
    help="Interval in seconds.",
)  # fmt: skip
@click.option(
    "--max-mb", metavar="N", type=click.IntRange(1, 4096), default=64, show_default=True,
    help="Rotate FILE at this size in MiB: FILE to FILE.1, FILE.1 to FILE.2, and so on.",
)  # fmt: skip
@click.option(
    "--keep", metavar="N", type=click.IntRange(0, 1000), default=3, show_default=True,
    help="Number of rotated files to keep.",
)  # fmt: skip
@click.option(
    "--for", "for_ms", metavar="DURATION", type=Age(min_ms=1),
    help="Stop after 30s, 15m, 2h, 7d. Default: at Ctrl-C or SIGTERM.",
)  # fmt: skip
@pass_context
def record(context: Context, file: Path, *, every: float, max_mb: int, keep: int, for_ms: int | None) -> int:
    """Record the queue into FILE, for `previewops tui --replay FILE`.

    While Redis is unavailable, the command retries and records a gap. An existing recording of the same queue is
    continued; any other FILE is rejected. Payloads and results of jobs are not recorded.
    """
    url, settings = context.redis_url(), context.settings
    writer = RecordingWriter(file, Header(settings.queue_name, every), max_bytes=max_mb * MIB, keep=keep)
    lasts = f"for {format_duration(for_ms)}" if for_ms is not None else "until Ctrl-C"
    print_status(f"recording {settings.queue_name} into {file} every {every:g} s {lasts}")
    try:
        asyncio.run(_record(url, settings, writer, every, None if for_ms is None else for_ms / 1000))
    finally:
        written = writer.close()
        print_out(_summary(written, file))
    return 0 if written.frames or not written.gaps else EXIT_UNREACHABLE


async def _record(
    url: str, settings: Settings, writer: RecordingWriter, every_s: float, for_s: float | None
) -> None:
    thresholds = parse_thresholds(os.environ)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    redis = connect(url, role="record")

    async def take(request: SnapshotRequest) -> Snapshot:
        async with redis_errors(url):
            return await SnapshotReader(redis, settings).read(
                history_s=request.history_s,
                history_min=request.history_min,
                events=request.events,
                after=request.after,
                running_jobs=True,
            )

    async def check(snapshot: Snapshot, history: History) -> Health:
        async with redis_errors(url):
            inputs = await collect_inputs(redis, settings, snapshot, buckets=history.tens.values())
        return evaluate(inputs, thresholds)

    try:
        recorder = Recorder(take, check, writer, SystemClock(), interval_s=every_s, print_note=print_err)
        await recorder.run(stop, for_s)
    finally:
        await redis.aclose()


def _summary(written: WriteStats, file: Path) -> str:
    text = pluralize(written.frames, "snapshot")
    if written.first_ms is not None:
        text += f" over {format_duration((written.last_ms or 0) - written.first_ms)}"
    text += f", {format_bytes(written.size_bytes)}, in {file}"
    if written.files > 1:
        text += f" and {pluralize(written.files - 1, 'file')} before it"
    if written.gaps:
        text += f"; {pluralize(written.gaps, 'gap')} of {format_duration(written.gap_ms)} in all"
    return text
