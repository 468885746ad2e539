"""Typed results of client calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from previewops.queue.records import JobRecord
from previewops.states import JobState


@dataclass(frozen=True, slots=True)
class JobResult:
    """A completed job.

    ``bundle`` is the folder's path on the worker's host, None for a dry run and for a bundle in an object store.
    ``location`` is that path, or the address in the object store. ``artifacts`` of a client returns the files in this
    process's store. ``plan`` is the plan of a dry run. Lengths are in ms and pixels.
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
    location: str | None = None

    @classmethod
    def from_record(cls, record: JobRecord) -> JobResult:
        """Returns the result of a completed job's record."""
        result = record.result or {}
        bundle, warnings = result.get("bundle"), result.get("warnings")
        location = bundle if isinstance(bundle, str) else None
        return cls(
            job_id=record.job_id,
            project_id=record.project_id,
            bundle=None if location is None or "://" in location else Path(location),
            duration_ms=result.get("durationMs"),
            width=result.get("width"),
            height=result.get("height"),
            warnings=tuple(map(str, warnings)) if isinstance(warnings, list) else (),
            plan=result.get("plan"),
            record=record,
            location=location,
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a job.

    ``fraction`` (0 to 1) and ``phase`` describe the current attempt. ``attempts`` counts failed attempts before it,
    crashes included.
    """

    job_id: str
    state: JobState
    fraction: float
    phase: str | None
    attempts: int

    @classmethod
    def from_record(cls, record: JobRecord) -> Progress:
        """Returns the progress of a job's record."""
        active = record.state is JobState.ACTIVE
        return cls(
            job_id=record.job_id,
            state=record.state,
            fraction=record.fraction,
            phase=record.phase if active else None,
            attempts=record.attempts + record.crashes,
        )
