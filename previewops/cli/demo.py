"""Demo of ``previewops up --demo``: submits sample jobs, waits for them and prints a summary."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from previewops.cli.deferred_output import DeferredOutput
from previewops.cli.output import print_out, print_status
from previewops.cli.progress import NoProgress, ProgressDisplay, show_progress
from previewops.errors import PreviewopsError
from previewops.formatting import clean
from previewops.queue.records import JobRecord
from previewops.settings import Settings
from previewops.states import JobState

if TYPE_CHECKING:
    from previewops.queue.queue import Queue
    from previewops.worker.demo import DemoJob

PROJECT = "nine-mens-morris"
POLL_INTERVAL_S = 0.2


async def run_demo(queue: Queue, settings: Settings) -> None:
    """Draws the assets, submits the jobs, waits for all of them and prints a summary.

    Raises:
        PreviewopsError: a job was rejected or ended in an unexpected state.
    """
    started = time.monotonic()
    print_status("drawing the demo's pictures …")
    with show_progress() as shown:
        lesson, records = await _teach(queue, settings, shown)
    for line in _summary(settings, lesson, records, time.monotonic() - started):
        print_out(line)
    surprises = [job.payload["jobId"] for job in lesson if not _as_told(job, records)]
    if surprises:
        raise PreviewopsError(
            f"unexpected state of {', '.join(surprises)}",
            hint="see `previewops status JOB` and DATA_DIR/logs",
        )


async def run_demo_in_background(queue: Queue, settings: Settings, voice: DeferredOutput) -> None:
    """Runs the demo beside the TUI, which shows the jobs. The summary is printed when the TUI ends."""
    started = time.monotonic()
    lesson, records = await _teach(queue, settings, NoProgress())
    for line in _summary(settings, lesson, records, time.monotonic() - started):
        voice.print(line)


async def _teach(
    queue: Queue, settings: Settings, shown: ProgressDisplay
) -> tuple[Sequence[DemoJob], dict[str, JobRecord]]:
    """Draws the assets, submits the jobs and waits until all have ended."""
    from previewops.contract import validate
    from previewops.worker.demo import FOLDER, Expectation, finish_upload, jobs, write_assets

    folder = settings.data_dir / "assets" / FOLDER
    await asyncio.to_thread(write_assets, folder)
    now = datetime.now().astimezone()
    lesson = jobs(project_id=PROJECT, created_at_ms=int(now.timestamp() * 1000), prefix=f"{now:%m%d-%H%M%S}-")
    for answer in await queue.submit_many([validate(job.payload) for job in lesson]):
        if isinstance(answer, PreviewopsError):
            raise answer
    late = {job.payload["jobId"] for job in lesson if job.expectation is Expectation.RETRIED}
    shown.note(f"submitted {len(lesson)} jobs")
    return lesson, await _watch(queue, lesson, shown, late, lambda: finish_upload(folder))


async def _watch(
    queue: Queue,
    lesson: Sequence[DemoJob],
    shown: ProgressDisplay,
    late: set[str],
    finish_upload: Callable[[], object],
) -> dict[str, JobRecord]:
    """Polls until all jobs have ended. Writes the late asset after the first attempt of its job failed."""
    ids = [job.payload["jobId"] for job in lesson]
    while True:
        records = {record.job_id: record for record in await queue.records(ids)}
        shown.update(records[job_id] for job_id in ids if job_id in records)
        if any(records[job_id].attempts > 0 for job_id in late if job_id in records):
            late.clear()
            finish_upload()
            shown.note("the late picture is written; the retry will read it")
        if not any(record.state.pending for record in records.values()):
            return records
        await asyncio.sleep(POLL_INTERVAL_S)


def _as_told(job: DemoJob, records: dict[str, JobRecord]) -> bool:
    record = records.get(job.payload["jobId"])
    wanted = JobState.DEAD if job.expectation == "dead" else JobState.COMPLETED
    return record is not None and record.state is wanted


def _summary(
    settings: Settings, lesson: Sequence[DemoJob], records: dict[str, JobRecord], seconds: float
) -> list[str]:
    ended = [(job, records[job.payload["jobId"]]) for job in lesson if job.payload["jobId"] in records]
    done = [(job, record) for job, record in ended if record.state is JobState.COMPLETED]
    dead = [(job, record) for job, record in ended if record.state is JobState.DEAD]
    project = settings.data_dir / "previews" / PROJECT
    lines = ["", f"Done in {seconds:.1f} s: {len(done)} of {len(ended)} jobs completed.", ""]
    width = max(len(record.job_id) for _, record in ended)
    for job, record in done:
        tries = record.attempts + record.crashes + 1
        again = f" (attempt {tries})" if tries > 1 else ""
        lines.append(f"  {clean(record.job_id):<{width}}  {record.priority.value:<6}  {job.note}{again}")
    lines += ["", f"{len(dead)} dead letters, as expected:", ""]
    for _, record in dead:
        lines.append(f"  {clean(record.job_id):<{width}}  {clean(record.reason or '')}")
    first = next((job.payload["jobId"] for job, _ in done if not job.payload["dryRun"]), "")
    sheet = _look_at(project / first)
    lines += [
        "",
        f"Bundles    {project}",
        f"Open       {sheet}",
        "",
        "Next steps",
        "  previewops up                                 continue with this data; then, in another terminal:",
        "  previewops dlq list                           failed jobs and their errors",
        f"  previewops status {first}",
        "  previewops submit job.json --import --wait    your own job",
    ]
    return lines


def _look_at(bundle: Path) -> Path:
    pictures = [path for path in sorted(bundle.glob("sheet.*")) if path.suffix != ".vtt"]
    return next(iter(pictures), bundle)
