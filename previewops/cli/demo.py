"""Demo of ``previewops up --demo``: submits sample jobs, waits for them and prints a summary."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from previewops.cli.deferred_output import DeferredOutput
from previewops.cli.output import print_out, print_status
from previewops.cli.progress import NoProgress, ProgressDisplay, show_progress
from previewops.cli.waiting import wait_for_jobs
from previewops.errors import PreviewopsError
from previewops.formatting import clean
from previewops.queue.records import JobRecord
from previewops.settings import Settings
from previewops.states import JobState

if TYPE_CHECKING:
    from previewops.queue.queue import Queue
    from previewops.worker.demo import DemoJob

PROJECT = "nine-mens-morris"


async def run_demo(queue: Queue, settings: Settings) -> None:
    """Draws the assets, submits the jobs, waits for all of them and prints a summary.

    Raises:
        PreviewopsError: a job was rejected or ended in an unexpected state.
    """
    started = time.monotonic()
    print_status("drawing the demo's pictures …")
    with show_progress() as display:
        jobs, records = await _run_jobs(queue, settings, display, display.note)
    print_out(_summary(settings, jobs, records, time.monotonic() - started))
    unexpected = [job.payload["jobId"] for job in jobs if not _ended_as_expected(job, records)]
    if unexpected:
        raise PreviewopsError(
            f"unexpected state of {', '.join(unexpected)}",
            hint="see `previewops status JOB` and DATA_DIR/logs",
        )


async def run_demo_in_background(queue: Queue, settings: Settings, output: DeferredOutput) -> None:
    """Runs the demo beside the TUI, which shows the jobs. The summary is printed when the TUI ends."""
    started = time.monotonic()
    try:
        jobs, records = await _run_jobs(queue, settings, NoProgress(), output.print)
    except Exception as error:
        output.print(f"the demo failed: {error}")
        raise
    for line in _summary(settings, jobs, records, time.monotonic() - started):
        output.print(line)


async def _run_jobs(
    queue: Queue, settings: Settings, display: ProgressDisplay, note: Callable[[str], None]
) -> tuple[Sequence[DemoJob], dict[str, JobRecord]]:
    """Submits the jobs and waits until all have ended.

    Writes the late asset after the first attempt of its job failed.
    """
    from previewops.contract import validate
    from previewops.worker.demo import FOLDER, Expectation, finish_upload, jobs, write_assets

    folder = settings.data_dir / "assets" / FOLDER
    await asyncio.to_thread(write_assets, folder)
    now = datetime.now().astimezone()
    demo = jobs(project_id=PROJECT, created_at_ms=int(now.timestamp() * 1000), prefix=f"{now:%m%d-%H%M%S}-")
    for result in await queue.submit_many([validate(job.payload) for job in demo]):
        if isinstance(result, PreviewopsError):
            raise result
    display.note(f"submitted {len(demo)} jobs")
    late = {job.payload["jobId"] for job in demo if job.expectation is Expectation.RETRIED}
    ended: dict[str, JobRecord] = {}

    def show(polled: Iterable[JobRecord]) -> None:
        records = list(polled)
        display.update(records)
        if any(record.attempts > 0 for record in records if record.job_id in late):
            late.clear()
            finish_upload(folder)
            display.note("the late picture is written; the retry will read it")

    def keep(job_id: str, record: JobRecord | None) -> None:
        if record is not None:
            ended[job_id] = record

    job_ids = [job.payload["jobId"] for job in demo]
    await wait_for_jobs(queue, job_ids, timeout_s=None, show=show, on_finished=keep, note=note)
    return demo, ended


def _ended_as_expected(job: DemoJob, records: dict[str, JobRecord]) -> bool:
    record = records.get(job.payload["jobId"])
    expected = JobState.DEAD if job.expectation == "dead" else JobState.COMPLETED
    return record is not None and record.state is expected


def _summary(
    settings: Settings, jobs: Sequence[DemoJob], records: dict[str, JobRecord], seconds: float
) -> list[str]:
    ended = [(job, records[job.payload["jobId"]]) for job in jobs if job.payload["jobId"] in records]
    done = [(job, record) for job, record in ended if record.state is JobState.COMPLETED]
    dead = [(job, record) for job, record in ended if record.state is JobState.DEAD]
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
    lines += [
        "",
        *_format_bundle_lines(settings, first),
        "",
        "Next steps",
        "  previewops up                                 continue with this data; then, in another terminal:",
        "  previewops dlq list                           failed jobs and their errors",
        f"  previewops dlq discard --project {PROJECT}",
        "                                                remove them: health reports dead letters",
        f"  previewops status {first}",
        "  previewops submit job.json --import --wait    your own job",
    ]
    return lines


def _format_bundle_lines(settings: Settings, first: str) -> list[str]:
    if settings.store is not None:
        return [f"Bundles    {settings.store}/previews/{PROJECT}"]
    project = settings.data_dir / "previews" / PROJECT
    return [f"Bundles    {project}", f"Open       {_main_file(project / first)}"]


def _main_file(bundle: Path) -> Path:
    pictures = [path for path in sorted(bundle.glob("sheet.*")) if path.suffix != ".vtt"]
    return next(iter(pictures), bundle)
