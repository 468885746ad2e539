"""Job records: read from Redis into typed values, and written as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from previewops.clock import iso_from_ms, optional_iso
from previewops.errors import RecordUnreadable
from previewops.queue.tolerant_values import StoredFields, UnreadableCollector, UnreadableKeys
from previewops.states import JobState, Priority

RENDER_FUNCTION = "render_preview"
"""The one function name that arq jobs use here."""

RECORD_FIELDS = (
    *(b"state", b"priority", b"project", b"accepted", b"claimed", b"finished", b"attempts", b"crashes"),
    *(b"requeues", b"progress", b"phase", b"worker", b"reason", b"class", b"code", b"cause", b"fingerprint"),
    *(b"order", b"since", b"previous", b"batch", b"due"),
)
"""Hash fields that make a record, as lua/include/record.lua lists them; the last is from the schedule."""


_ATTEMPT_KEYS = ("at", "durationMs", "worker", "kind", "class", "code", "message", "traceback")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed attempt: start (server ms), duration (ms), worker and error."""

    at_ms: int
    duration_ms: int
    worker: str
    kind: str
    error_class: str
    code: str
    message: str
    traceback: str | None

    def as_json(self) -> dict[str, Any]:
        """The attempt as JSON. ``status --json`` formats ``at`` as RFC 3339."""
        return dict(zip(_ATTEMPT_KEYS, astuple(self), strict=True))

    def as_redis(self) -> tuple[str, str]:
        """The attempt without its traceback, and the traceback or "", both as JSON (lua/include/attempts.lua)."""
        members = self.as_json()
        traceback = members.pop("traceback")
        return json.dumps(members), "" if traceback is None else json.dumps(traceback)

    @classmethod
    def from_stored(cls, row: StoredFields, traceback: str | None) -> Attempt:
        """Builds an attempt from its stored members. Damaged ones become empty."""
        return cls(
            at_ms=row.integer("at"),
            duration_ms=row.integer("durationMs"),
            worker=row.text("worker"),
            kind=row.text("kind"),
            error_class=row.text("class"),
            code=row.text("code"),
            message=row.text("message"),
            traceback=traceback,
        )


def parse_history(
    entries: Sequence[bytes], *, key: str = "", unreadable: UnreadableCollector | None = None
) -> tuple[Attempt, ...]:
    """Parses the stored attempts of one job. Attempts that failed alike share one stored traceback.

    ``unreadable`` gets ``key`` if any part is damaged.
    """
    collector = unreadable or UnreadableCollector()
    rows = [StoredFields.from_json(key, entry, collector) for entry in entries]
    stored = [(row, row.optional_text("tracebackId"), row.optional_text("traceback")) for row in rows]
    shared = {digest: text for _, digest, text in stored if digest is not None and text is not None}
    return tuple(
        Attempt.from_stored(row, shared.get(digest) if text is None and digest is not None else text)
        for row, digest, text in stored
    )


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job as stored. Times are server ms since the epoch; None means "not yet".

    ``history`` has the first and the last attempts of all lives; ``attempts_dropped`` in between are not kept.
    ``queued_ms`` is when it last entered the queue: by its submit, a requeue, the end of a backoff or of a lost
    lease; None if unknown. ``digest`` identifies the payload. It is "" for a job of a stock arq client, and in
    listings, which have no payload. ``due_ms`` is when a delayed job may start, if it was read. ``previous_ms`` is
    when the bundle of an earlier payload was completed, which readers see until the job is completed again.
    ``batch_id`` is its batch, None without one.
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
    attempts_dropped: int = 0
    digest: str = ""
    queued_ms: int | None = None
    due_ms: int | None = None
    previous_ms: int | None = None
    batch_id: str | None = None

    @property
    def has_bundle(self) -> bool:
        """Whether readers see a bundle: of this payload, or of the one that it replaces."""
        if self.state is JobState.COMPLETED:
            return (self.result or {}).get("bundle") is not None
        return self.previous_ms is not None

    @property
    def fraction(self) -> float:
        """Progress 0..1 of the running attempt; 0 without one, 1 when completed."""
        if self.state is JobState.COMPLETED:
            return 1.0
        # In other states the stored progress belongs to an attempt that has ended.
        return min(1.0, self.progress or 0.0) if self.state is JobState.ACTIVE else 0.0

    @property
    def numbered_history(self) -> tuple[tuple[int, Attempt], ...]:
        """The kept attempts with their numbers, counted from 1 over all lives."""
        return tuple(
            (index + 1 + (self.attempts_dropped if index else 0), attempt)
            for index, attempt in enumerate(self.history)
        )

    def as_json(self) -> dict[str, Any]:
        """The job as ``status --json`` prints it. Keys in camelCase, times in RFC 3339."""
        return {
            "jobId": self.job_id,
            "projectId": self.project_id,
            "batchId": self.batch_id,
            "status": self.state.value,
            "priority": self.priority.value,
            "attemptsMade": self.attempts + self.crashes + (self.state is JobState.COMPLETED),
            "attempts": self.attempts,
            "crashes": self.crashes,
            "requeues": self.requeues,
            "createdAt": iso_from_ms(self.accepted_ms),
            "startedAt": optional_iso(self.claimed_ms),
            "finishedAt": optional_iso(self.finished_ms),
            "dueAt": optional_iso(self.due_ms),
            "previousBundleAt": optional_iso(self.previous_ms),
            "progress": self.fraction,
            "phase": self.phase,
            "worker": self.worker,
            "failedReason": self.reason,
            "errorClass": self.error_class,
            "errorCode": self.code,
            "cause": self.cause,
            "fingerprint": self.fingerprint,
            "artifacts": (self.result or {}).get("artifacts", []),
            "result": self.result and {key: self.result[key] for key in self.result if key != "artifacts"},
            "history": [{**attempt.as_json(), "at": iso_from_ms(attempt.at_ms)} for attempt in self.history],
            "attemptsDropped": self.attempts_dropped,
        }


def record_from_reply(job_id: str, reply: Sequence[Any], *, key: str) -> JobRecord | None:
    """Parses the reply of the ``read_job`` script; None if the job has no record. ``key`` is that of the record.

    Raises:
        RecordUnreadable: the record is damaged.
    """
    flat, body, result, attempts, due_ms, *_, unreadable = reply
    if not flat:
        if key in UnreadableKeys.from_reply(unreadable).keys:
            raise RecordUnreadable(job_id, key, "a key of another type")
        return None
    raw = dict(zip(flat[::2], flat[1::2], strict=True))
    if due_ms is not None:
        raw[b"due"] = due_ms
    return record_from_redis(job_id, raw, key=key, body=body, result=result, attempts=attempts)


def record_from_redis(
    job_id: str,
    raw: Mapping[bytes, bytes],
    *,
    key: str = "",
    unreadable: UnreadableCollector | None = None,
    body: bytes | None = None,
    result: bytes | None = None,
    attempts: Sequence[bytes] = (),
) -> JobRecord:
    """Builds a record from the job's hash and, if read, arq's body and result and the attempts.

    A damaged field becomes its default, and ``unreadable`` gets ``key``, the key of the hash.

    Raises:
        RecordUnreadable: the job has no valid state.
    """
    fields = {
        name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in raw.items()
    }
    collector = unreadable or UnreadableCollector()
    row = StoredFields(key, fields, collector)
    state = row.choice("state", JobState)
    if state is None:
        raise RecordUnreadable(job_id, key, f"the state {fields.get('state', 'of none')[:40]!r}")
    arq_result = _json_object(result)
    success = arq_result.get("r") if arq_result.get("s") is True else None
    return JobRecord(
        job_id=job_id,
        state=state,
        priority=row.choice("priority", Priority) or Priority.NORMAL,
        project_id=row.text("project"),
        accepted_ms=row.required_integer("accepted"),
        claimed_ms=row.optional_integer("claimed"),
        finished_ms=row.optional_integer("finished"),
        attempts=row.integer("attempts"),
        crashes=row.integer("crashes"),
        requeues=row.integer("requeues"),
        progress=row.optional_number("progress"),
        # Like its progress, the stored phase is that of the last attempt.
        phase=row.text("phase") or None if state is JobState.ACTIVE else None,
        worker=row.optional_text("worker"),
        reason=row.optional_text("reason") if state is not JobState.COMPLETED else None,
        error_class=row.optional_text("class"),
        code=row.optional_text("code"),
        cause=row.optional_text("cause"),
        fingerprint=row.optional_text("fingerprint"),
        payload=extract_payload(body) or extract_payload(result),
        result=success if isinstance(success, dict) else None,
        history=parse_history(attempts, key=key, unreadable=collector),
        attempts_dropped=row.integer("attempts_dropped"),
        digest=row.text("digest"),
        due_ms=row.optional_integer("due") if state is JobState.DELAYED else None,
        previous_ms=row.optional_integer("previous") if state is not JobState.COMPLETED else None,
        batch_id=row.optional_text("batch"),
        queued_ms=max(row.optional_us("order") or 0, row.optional_us("since") or 0) // 1000 or None,
    )


def _json_object(raw: bytes | None) -> dict[str, Any]:
    try:
        value = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        # A stock arq client may store any body; too deep nesting makes it unreadable, for example.
        return {}
    return value if isinstance(value, dict) else {}


def extract_payload(arq_record: bytes | None) -> dict[str, Any] | None:
    """Returns the payload inside an arq JSON record (job or result); None if it has none."""
    arguments = _json_object(arq_record).get("a")
    if isinstance(arguments, list) and arguments and isinstance(arguments[0], dict):
        return arguments[0]
    return None
