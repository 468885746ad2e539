"""What a client is told of a job, as typed values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from previewops.queue.records import JobRecord
from previewops.states import JobState


@dataclass(frozen=True, slots=True)
class JobResult:
    """A completed job.

    ``bundle`` is the folder as the worker that made it names it, None for a dry run; ``artifacts`` of a client
    finds the files under this process's DATA_DIR. ``plan`` is what a dry run found. Lengths are in ms and pixels.
    """

    job_id: str
    project_id: str
    bundle: Path | None
    duration_ms: int | None
    width: int | None
    height: int | None
    warnings: tuple[str, ...]
    plan: dict[str, Any] | None
    record: JobRecord

    @classmethod
    def from_record(cls, record: JobRecord) -> JobResult:
        """The result in the record of a completed job."""
        said = record.result or {}
        return cls(
            job_id=record.job_id,
            project_id=record.project_id,
            bundle=Path(said["bundle"]) if "bundle" in said else None,
            duration_ms=said.get("durationMs"),
            width=said.get("width"),
            height=said.get("height"),
            warnings=tuple(said.get("warnings", ())),
            plan=said.get("plan"),
            record=record,
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """How a job gets on.

    ``fraction`` (0..1) and ``phase`` (a word) are of the present attempt; ``attempts`` counts those that failed
    before it, crashes included.
    """

    job_id: str
    state: JobState
    fraction: float
    phase: str | None
    attempts: int

    @classmethod
    def from_record(cls, record: JobRecord) -> Progress:
        """How the job of a record gets on."""
        active = record.state is JobState.ACTIVE
        return cls(
            job_id=record.job_id,
            state=record.state,
            fraction=record.fraction,
            phase=record.phase if active else None,
            attempts=record.attempts + record.crashes,
        )
