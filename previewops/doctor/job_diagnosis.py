"""Decides what is damaged about one job, and how it is repaired. Pure: an observation in, a diagnosis out.

The record is believed where it can be read; otherwise the indexes are. A job without a known state becomes a dead
letter, so that an operator decides. No payload and no record is deleted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from previewops.queue.fingerprint import FINGERPRINT_DIGITS, fingerprint, stored_template
from previewops.queue.keys import ARQ_JOB_PREFIX, ARQ_RESULT_PREFIX, Keys, KeyType
from previewops.states import JobState, Priority

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MAX_LEASE_MS = 600_000
"""Maximum of PREVIEW_LEASE_MS."""

LAST_SCORE_MS = 2**53 - 1
DAMAGED_CLASS, DAMAGED_CODE, DAMAGED_CAUSE = "RecordDamaged", "record-damaged", "permanent"
DAMAGED_MESSAGE = "the job's record in Redis was damaged; requeue it to run it again"

_SETS = (*(priority.value for priority in Priority), "schedule", "active", "completed", "cancelled", "dead")
_FIELDS = (
    *("state", "priority", "project", "digest", "accepted", "order", "since", "claimed", "finished"),
    *("attempts", "crashes", "requeues", "attempts_dropped", "progress", "token", "worker", "class", "code"),
    *("reason", "cause", "fingerprint"),
)
"""Sorted sets and record fields in the order of lua/include/observe_job.lua."""

_INTEGER = re.compile(r"[0-9]{1,15}")
_ORDER = re.compile(r"[0-9]{1,16}")
_PROGRESS = re.compile(r"[01](\.[0-9]{1,20})?|0?\.[0-9]{1,20}|[0-9](\.[0-9]{1,20})?e-[0-9]{1,2}")
_COUNTS = ("attempts", "crashes", "requeues", "attempts_dropped")
_LATER_COUNTS = ("requeues", "attempts_dropped")
"""Counts that a record has from their first event on."""
_TIMES = ("claimed", "finished")


@dataclass(frozen=True, slots=True)
class Finding:
    """One damaged thing: its key, what was found, what is expected, and what the repair does."""

    key: str
    found: str
    expected: str
    repair: str

    def as_json(self) -> dict[str, str]:
        """The finding as ``doctor --json`` prints it."""
        return {"key": self.key, "found": self.found, "expected": self.expected, "repair": self.repair}


@dataclass(frozen=True, slots=True)
class JobObservation:
    """All that Redis stores about one job. ``scores`` are those of the sorted sets that contain it.

    A type is "none" for a missing key. ``in_group``: the group of its fingerprint has the job.
    """

    record_type: str
    attempts_type: str
    body_type: str
    result_type: str
    damaged_attempts: int
    invalid_id: bool
    scores: Mapping[str, float]
    fields: Mapping[str, str]
    in_group: bool

    @classmethod
    def from_reply(cls, values: Sequence[bytes]) -> JobObservation:
        """Parses the reply of the ``inspect_jobs`` script."""
        texts = [value.decode("utf-8", "replace") for value in values]
        record, attempts, body, result, damaged, invalid = texts[:6]
        scores = dict(zip(_SETS, texts[6:], strict=False))
        fields = dict(zip(_FIELDS, texts[6 + len(_SETS) : -1], strict=True))
        return cls(
            record,
            attempts,
            body,
            result,
            int(damaged),
            invalid == "1",
            {name: float(score) for name, score in scores.items() if score},
            {name: text[1:] for name, text in fields.items() if text},
            bool(texts[-1]),
        )

    @property
    def has_record(self) -> bool:
        """Whether there is a hash at the record's key."""
        return self.record_type == KeyType.HASH

    @property
    def unadmitted(self) -> bool:
        """Whether a stock arq client enqueued it and no worker has admitted it: it has no record yet."""
        only_due = set(self.scores) == {"schedule"} and self.scores["schedule"] >= 0
        return (
            only_due
            and self.record_type == "none"
            and self.body_type == KeyType.STRING
            and not self.invalid_id
        )


@dataclass(frozen=True, slots=True)
class JobRepair:
    """The state that a repair gives a job; None removes its entries and moves its keys aside.

    ``at_ms`` is the end of the lease, the due time or the end, by state. ``delete`` and ``values`` change fields of
    the record. ``died_now``: it becomes a dead letter by this repair.
    """

    state: JobState | None
    priority: Priority = Priority.NORMAL
    order: int = 0
    at_ms: int = 0
    fingerprint: str = ""
    died_now: bool = False
    delete: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)

    def arguments(self) -> list[str | int]:
        """The arguments of the ``repair_job`` script after id and digest."""
        reason = (DAMAGED_CAUSE, DAMAGED_CLASS, DAMAGED_CODE, DAMAGED_MESSAGE, self.fingerprint)
        pairs = [part for pair in self.values.items() for part in pair]
        state = "" if self.state is None else self.state.value
        place = (state, self.priority.value, self.order, self.at_ms)
        return [*place, *reason, int(self.died_now), len(self.delete), *self.delete, *pairs]


@dataclass(frozen=True, slots=True)
class JobDiagnosis:
    """What is damaged about a job, and the repair; no findings and no repair if nothing is."""

    findings: tuple[Finding, ...] = ()
    repair: JobRepair | None = None


def diagnose_job(keys: Keys, job_id: str, seen: JobObservation, now_ms: int) -> JobDiagnosis:
    """Returns what is damaged about the job at ``now_ms`` (server)."""
    if seen.unadmitted:
        return JobDiagnosis()
    return _Diagnosis(keys, job_id, seen, now_ms).run()


class _Diagnosis:
    def __init__(self, keys: Keys, job_id: str, seen: JobObservation, now_ms: int) -> None:
        self._keys = keys
        self._key = keys.job_prefix + job_id
        self._id = job_id
        self._seen = seen
        self._now_ms = now_ms
        self._findings: list[Finding] = []
        self._delete: list[str] = []
        self._values: dict[str, str] = {}

    def run(self) -> JobDiagnosis:
        seen = self._seen
        if seen.invalid_id:
            self._add(
                self._key, "an id that is not text", "a job id", "remove its entries, move its keys aside"
            )
            return JobDiagnosis(tuple(self._findings), JobRepair(None))
        self._check_types()
        stored = self._stored_state()
        state = self._target_state(stored)
        if state is None:
            self._add(self._key, "an entry of an ended job without a record", "a record", "remove the entry")
            return JobDiagnosis(tuple(self._findings), JobRepair(None))
        died_now = state is JobState.DEAD and stored is not JobState.DEAD
        priority = self._priority()
        order = self._order()
        self._check_fields(state, priority, order)
        at_ms = self._check_place(state, priority)
        group = self._check_group(state, died_now)
        if not self._findings:
            return JobDiagnosis()
        repair = JobRepair(
            state, priority, order, at_ms, group, died_now, tuple(self._delete), dict(self._values)
        )
        return JobDiagnosis(tuple(self._findings), repair)

    def _add(self, key: str, found: str, expected: str, repair: str) -> None:
        self._findings.append(Finding(key, found, expected, repair))

    # ---------------------------------------------------------------- keys

    def _check_types(self) -> None:
        seen, suffix = self._seen, self._id
        for key, found, expected in (
            (self._key, seen.record_type, KeyType.HASH),
            (self._keys.attempts_prefix + suffix, seen.attempts_type, KeyType.LIST),
            (ARQ_JOB_PREFIX + suffix, seen.body_type, KeyType.STRING),
            (ARQ_RESULT_PREFIX + suffix, seen.result_type, KeyType.STRING),
        ):
            if found not in ("none", expected):
                self._add(key, f"a {found}", f"a {expected}", "move the key aside")
        if seen.damaged_attempts:
            found = f"{seen.damaged_attempts} entries that are not attempts"
            repair = "move the list aside, keep the other entries"
            self._add(self._keys.attempts_prefix + suffix, found, "attempts as JSON", repair)

    # ---------------------------------------------------------------- state

    def _stored_state(self) -> JobState | None:
        text = self._seen.fields.get("state", "")
        return JobState(text) if self._seen.has_record and text in tuple(JobState) else None

    def _target_state(self, stored: JobState | None) -> JobState | None:
        """The state that the job has after the repair; None if nothing of it is left that could have one."""
        seen = self._seen
        if stored is JobState.ACTIVE and not self._lease_is_readable():
            self._add(
                self._key,
                "a run without a valid lease or token",
                "both",
                "return it to its place in the queue",
            )
            return JobState.WAITING
        if stored is not None:
            return stored
        inferred = self._infer_state()
        found = repr(seen.fields["state"][:40]) if "state" in seen.fields else "no state"
        if not seen.has_record and inferred in (JobState.COMPLETED, JobState.CANCELLED):
            return None
        state = inferred or JobState.DEAD
        self._add(
            self._key, found if seen.has_record else "no record", "a job's state", f"make it {state.value}"
        )
        return state

    def _infer_state(self) -> JobState | None:
        """The state that the indexes tell, the one with work left first."""
        scores = self._seen.scores
        if "active" in scores or any(priority.value in scores for priority in Priority):
            return JobState.WAITING
        if "dead" in scores:
            return JobState.DEAD
        if "schedule" in scores:
            # A delayed job would become due at its score; a negative one marks a job that waits or runs.
            return JobState.DELAYED if scores["schedule"] >= 0 and self._seen.has_record else JobState.WAITING
        if "completed" in scores:
            return JobState.COMPLETED
        return JobState.CANCELLED if "cancelled" in scores else None

    def _lease_is_readable(self) -> bool:
        lease = self._seen.scores.get("active", math.inf)
        token = self._seen.fields.get("token", "")
        return 0 <= lease <= self._now_ms + MAX_LEASE_MS + HOUR_MS and _ORDER.fullmatch(token) is not None

    # ---------------------------------------------------------------- fields

    def _priority(self) -> Priority:
        stored = self._seen.fields.get("priority", "")
        if stored in tuple(Priority):
            return Priority(stored)
        return next((p for p in Priority if p.value in self._seen.scores), Priority.NORMAL)

    def _order(self) -> int:
        # The sequence may be ahead of the clock: after a fail-over, or behind a fence that is.
        waiting = (self._seen.scores.get(priority.value) for priority in Priority)
        stored = self._seen.fields.get("order", "")
        candidates = [int(stored) if _ORDER.fullmatch(stored) else None, *waiting]
        return next(
            (int(o) for o in candidates if o is not None and 0 <= o <= LAST_SCORE_MS), self._now_ms * 1000
        )

    def _time(self, name: str) -> int | None:
        text = self._seen.fields.get(name, "")
        return int(text) if _INTEGER.fullmatch(text) and int(text) <= self._now_ms + DAY_MS else None

    def _check_fields(self, state: JobState, priority: Priority, order: int) -> None:
        fields = self._seen.fields
        if fields.get("priority") != priority.value:
            self._set("priority", priority.value, "high, normal or low")
        if self._time("accepted") is None:
            accepted = self._time("claimed") or self._time("finished") or self._now_ms
            self._set("accepted", str(accepted), "a time in ms")
        for name in _COUNTS:
            text = fields.get(name, "0" if name in _LATER_COUNTS else "")
            if _INTEGER.fullmatch(text) is None:
                self._set(name, "0", "a count")
        for name in _TIMES:
            if name in fields and self._time(name) is None:
                self._drop(name, "a time in ms")
        if "progress" in fields and _PROGRESS.fullmatch(fields["progress"]) is None:
            self._drop("progress", "a number from 0 to 1")
        for name in ("since",) if state.pending else ("since", "order"):
            if name in fields and _ORDER.fullmatch(fields[name]) is None:
                self._drop(name, "a time in µs")
        if state.pending and fields.get("order") != str(order):
            self._set("order", str(order), "a time in µs")

    def _set(self, name: str, value: str, expected: str) -> None:
        self._values[name] = value
        self._field(name, expected, f"set {value}")

    def _drop(self, name: str, expected: str) -> None:
        self._delete.append(name)
        self._field(name, expected, "delete the field")

    def _field(self, name: str, expected: str, repair: str) -> None:
        found = f"{name} {self._seen.fields[name][:40]!r}" if name in self._seen.fields else f"no {name}"
        if self._seen.has_record:  # a record that is made again has no fields to report
            self._add(self._key, found, expected, repair)

    # ---------------------------------------------------------------- indexes

    def _check_place(self, state: JobState, priority: Priority) -> int:
        """Reports entries in wrong indexes and wrong scores. Returns the time that the job's index needs."""
        scores, now_ms = self._seen.scores, self._now_ms
        own = priority.value if state is JobState.WAITING else _INDEX_OF[state]
        allowed = {own, "schedule"}
        for name in scores.keys() - allowed:
            self._index(
                name, f"{self._id} also in this index", f"only jobs that are {name}", "remove the entry"
            )
        if own not in scores:
            self._index(own, f"no entry of {self._id}", "every job in this state", "add the entry")
        elif not self._score_is_valid(state, scores[own]):
            self._index(own, f"{self._id} at {scores[own]:g}", "a time", "correct it")
        if state in (JobState.WAITING, JobState.ACTIVE) and "schedule" not in scores:
            self._index("schedule", f"no entry of {self._id}", "every pending job", "add the entry")
        elif not state.pending and scores.get("schedule", 0) < 0:
            self._index("schedule", f"{self._id}, which has ended", "only pending jobs", "remove the entry")
        if state is JobState.ACTIVE or state is JobState.DELAYED:
            kept = scores.get(own, -1)
            return int(kept) if self._score_is_valid(state, kept) else now_ms
        return self._ended_ms(state)

    def _ended_ms(self, state: JobState) -> int:
        if state is JobState.WAITING:
            return self._now_ms
        score = self._seen.scores.get(_INDEX_OF[state], -1)
        ended = self._time("finished")
        if ended is None:
            ended = int(score) if self._score_is_valid(state, score) else self._now_ms
            if "finished" not in self._delete:
                self._field("finished", "a time in ms", f"set {ended}")
            else:
                self._delete.remove("finished")
            self._values["finished"] = str(ended)
        return ended

    def _score_is_valid(self, state: JobState, score: float) -> bool:
        if state is JobState.WAITING:
            return 0 <= score <= LAST_SCORE_MS
        if state is JobState.DELAYED:
            return 0 <= score <= LAST_SCORE_MS
        latest = self._now_ms + (MAX_LEASE_MS if state is JobState.ACTIVE else 0) + HOUR_MS
        return 0 <= score <= latest

    def _index(self, name: str, found: str, expected: str, repair: str) -> None:
        self._add(_index_key(self._keys, name), found, expected, repair)

    # ---------------------------------------------------------------- dead letters

    def _check_group(self, state: JobState, died_now: bool) -> str:
        """Returns the fingerprint of a dead letter; "" for other jobs."""
        if state is not JobState.DEAD:
            return ""
        if died_now:
            return fingerprint(DAMAGED_CLASS, DAMAGED_CODE, "")
        fields = self._seen.fields
        stored = fields.get("fingerprint", "")
        if re.fullmatch(rf"[0-9a-f]{{{FINGERPRINT_DIGITS}}}", stored) is None:
            defaults = {"class": DAMAGED_CLASS, "code": DAMAGED_CODE, "reason": DAMAGED_MESSAGE}
            texts = {name: fields.get(name) or default for name, default in defaults.items()}
            template = stored_template(texts["code"], texts["reason"], None)
            stored = fingerprint(texts["class"], texts["code"], template)
            for name, text in texts.items():
                if not fields.get(name):
                    self._set(name, text, "a text")
            self._set("fingerprint", stored, "the fingerprint of its error")
        elif not self._seen.in_group:
            self._add(self._keys.dead_group_prefix + stored, f"no entry of {self._id}", "an entry", "add it")
        return stored


_INDEX_OF: dict[JobState, Any] = {
    JobState.DELAYED: "schedule",
    JobState.ACTIVE: "active",
    JobState.COMPLETED: "completed",
    JobState.CANCELLED: "cancelled",
    JobState.DEAD: "dead",
}


def _index_key(keys: Keys, name: str) -> str:
    if name in tuple(Priority):
        return keys.waiting(Priority(name))
    return str(getattr(keys, name))
