"""What is known of a job, read from Redis into typed values, and how it looks as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from previewops.clock import iso_from_ms
from previewops.states import JobState, Priority

RENDER_FUNCTION = "render_preview"
"""The name under which arq knows the one kind of job there is."""

RECORD_FIELDS = (
    b"state",
    b"priority",
    b"project",
    b"accepted",
    b"claimed",
    b"finished",
    b"attempts",
    b"crashes",
    b"requeues",
    b"progress",
    b"phase",
    b"worker",
    b"reason",
    b"class",
    b"code",
    b"cause",
    b"fingerprint",
)
"""The fields of a job's hash that a record is made of, as lua/include/record.lua lists them."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed attempt: when (server ms), how long (ms), where, and how it failed."""

    at_ms: int
    duration_ms: int
    worker: str
    kind: str
    error_class: str
    code: str
    message: str
    traceback: str | None

    def as_json(self) -> dict[str, Any]:
        """The attempt as a JSON object, also the form it has in Redis apart from the readable time."""
        return {
            "at": self.at_ms,
            "durationMs": self.duration_ms,
            "worker": self.worker,
            "kind": self.kind,
            "class": self.error_class,
            "code": self.code,
            "message": self.message,
            "traceback": self.traceback,
        }

    @classmethod
    def from_redis(cls, raw: bytes) -> Attempt:
        """Reads what ``as_json`` or the recovery script wrote."""
        data = json.loads(raw)
        return cls(
            at_ms=int(data["at"]),
            duration_ms=int(data["durationMs"]),
            worker=data["worker"],
            kind=data["kind"],
            error_class=data["class"],
            code=data["code"],
            message=data["message"],
            traceback=data.get("traceback"),
        )


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job as the queue knows it. Times are server ms since the epoch; None is "not yet".

    ``digest`` tells one body of it from another: "" where none is on record, as for a job of a stock arq client,
    and in lists, which have no payload either.
    """

    job_id: str
    state: JobState
    priority: Priority
    project_id: str
    accepted_ms: int
    claimed_ms: int | None
    finished_ms: int | None
    attempts: int
    crashes: int
    requeues: int
    progress: float | None
    phase: str | None
    worker: str | None
    reason: str | None
    error_class: str | None
    code: str | None
    cause: str | None
    fingerprint: str | None
    payload: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    history: tuple[Attempt, ...] = ()
    digest: str = ""

    @property
    def fraction(self) -> float:
        """How far the job is, 0..1: of the present attempt, 0 where there is none, 1 when it is completed."""
        if self.state is JobState.COMPLETED:
            return 1.0
        # What is on record otherwise belongs to an attempt that has ended.
        return (self.progress or 0.0) if self.state is JobState.ACTIVE else 0.0

    def as_json(self) -> dict[str, Any]:
        """The job as ``status --json`` shows it. Keys in camelCase, times in RFC 3339."""
        result = self.result or {}
        return {
            "jobId": self.job_id,
            "projectId": self.project_id,
            "status": self.state.value,
            "priority": self.priority.value,
            "attemptsMade": self.attempts + self.crashes + (self.state is JobState.COMPLETED),
            "attempts": self.attempts,
            "crashes": self.crashes,
            "requeues": self.requeues,
            "createdAt": iso_from_ms(self.accepted_ms),
            "startedAt": _iso(self.claimed_ms),
            "finishedAt": _iso(self.finished_ms),
            "progress": self.fraction,
            "phase": self.phase,
            "worker": self.worker,
            "failedReason": self.reason,
            "errorClass": self.error_class,
            "errorCode": self.code,
            "cause": self.cause,
            "fingerprint": self.fingerprint,
            "artifacts": result.get("artifacts", []),
            "result": self.result,
            "history": [{**attempt.as_json(), "at": iso_from_ms(attempt.at_ms)} for attempt in self.history],
        }


def _iso(ms: int | None) -> str | None:
    return None if ms is None else iso_from_ms(ms)


def _optional_ms(fields: Mapping[str, str], name: str) -> int | None:
    return int(fields[name]) if name in fields else None


def record_from_reply(job_id: str, reply: Sequence[Any]) -> JobRecord | None:
    """A whole record out of what the script ``read_job`` answers, or None if there is none."""
    flat, body, result, attempts, *_ = reply
    if not flat:
        return None
    raw = dict(zip(flat[::2], flat[1::2], strict=True))
    return record_from_redis(job_id, raw, body=body, result=result, attempts=attempts)


def record_from_redis(
    job_id: str,
    raw: Mapping[bytes, bytes],
    *,
    body: bytes | None = None,
    result: bytes | None = None,
    attempts: Sequence[bytes] = (),
) -> JobRecord:
    """A record from the job's hash and, where they were asked for, arq's body and result and the attempts."""
    fields = {name.decode(): value.decode("utf-8", "replace") for name, value in raw.items()}
    state = JobState(fields["state"])
    outcome = _json_object(result)
    payload = extract_payload(body) or extract_payload(result)
    made = outcome.get("r") if outcome.get("s") is True else None
    return JobRecord(
        job_id=job_id,
        state=state,
        priority=Priority(fields["priority"]),
        project_id=fields.get("project", ""),
        accepted_ms=int(fields["accepted"]),
        claimed_ms=_optional_ms(fields, "claimed"),
        finished_ms=_optional_ms(fields, "finished"),
        attempts=int(fields.get("attempts", 0)),
        crashes=int(fields.get("crashes", 0)),
        requeues=int(fields.get("requeues", 0)),
        progress=float(fields["progress"]) if "progress" in fields else None,
        phase=fields.get("phase") or None,
        worker=fields.get("worker"),
        reason=fields.get("reason") if state is not JobState.COMPLETED else None,
        error_class=fields.get("class"),
        code=fields.get("code"),
        cause=fields.get("cause"),
        fingerprint=fields.get("fingerprint"),
        payload=payload,
        result=made if isinstance(made, dict) else None,
        history=tuple(Attempt.from_redis(entry) for entry in attempts),
        digest=fields.get("digest", ""),
    )


def _json_object(raw: bytes | None) -> dict[str, Any]:
    if raw is None:
        return {}
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        # A body that a stock client put there is whatever it is; nested too deeply is one way to be unreadable.
        return {}
    return value if isinstance(value, dict) else {}


def extract_payload(arq_record: bytes | None) -> dict[str, Any] | None:
    """The payload inside one of arq's JSON records (a job or a result), or None if it holds none."""
    arguments = _json_object(arq_record).get("a")
    if isinstance(arguments, list) and arguments and isinstance(arguments[0], dict):
        return arguments[0]
    return None
