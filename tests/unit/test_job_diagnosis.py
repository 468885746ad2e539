"""What doctor decides about one job, from an observation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from previewops.doctor.job_diagnosis import JobObservation, diagnose_job
from previewops.queue.keys import Keys
from previewops.states import JobState, Priority

NOW_MS = 1_800_000_000_000
ORDER = NOW_MS * 1000 - 5_000
KEYS = Keys("q")
RECORD = {
    **{"state": "waiting", "priority": "low", "project": "p", "digest": "d", "accepted": str(NOW_MS - 5)},
    **{"order": str(ORDER), "attempts": "0", "crashes": "0"},
}
WAITING = JobObservation(
    record_type="hash",
    attempts_type="none",
    body_type="string",
    result_type="none",
    damaged_attempts=0,
    invalid_id=False,
    scores={"low": ORDER, "schedule": -float(NOW_MS)},
    fields=RECORD,
    in_group=False,
)


def seen(state: str, scores: dict[str, float], **changes: Any) -> JobObservation:
    """A job in a state, with ``changes`` of the observation and of record fields."""
    known = {
        name: changes.pop(name) for name in tuple(changes) if name in JobObservation.__dataclass_fields__
    }
    fields = {**RECORD, "state": state, **changes}
    kept = {name: value for name, value in fields.items() if value is not None}
    return replace(WAITING, scores=scores, fields=kept, **known)


INTACT = {
    "waiting": WAITING,
    "active": seen("active", {"active": NOW_MS + 9_000, "schedule": -5.0}, token=str(ORDER), claimed="1"),
    "delayed": seen("delayed", {"schedule": NOW_MS + 10**9}),
    "completed": seen("completed", {"completed": NOW_MS - 1}, finished=str(NOW_MS - 1)),
    "cancelled": seen("cancelled", {"cancelled": NOW_MS - 1}, finished=str(NOW_MS - 1)),
    "dead": seen("dead", {"dead": 1.0}, finished="1", fingerprint="0123456789ab", in_group=True),
    "unadmitted": replace(WAITING, record_type="none", fields={}, scores={"schedule": 5.0}),
    "due again by a stock client": seen("dead", {"dead": 1.0, "schedule": 5.0}, finished="1",
                                        fingerprint="0123456789ab", in_group=True),
    "ahead of the clock": seen("waiting", {"low": 2.0**52, "schedule": -5.0}, order=str(2**52)),
}  # fmt: skip


@pytest.mark.parametrize("name", INTACT)
def test_an_intact_job_has_no_finding(name: str) -> None:
    assert diagnose_job(KEYS, "a", INTACT[name], NOW_MS).findings == ()


@pytest.mark.parametrize(
    ("observation", "state"),
    [
        (replace(WAITING, record_type="string", fields={}), JobState.WAITING),
        (replace(WAITING, record_type="none", fields={}), JobState.WAITING),
        (replace(WAITING, scores={}), JobState.WAITING),
        (replace(WAITING, scores={"low": float("inf"), "schedule": -5.0}), JobState.WAITING),
        (replace(WAITING, scores={"low": ORDER, "high": ORDER, "schedule": -5.0}), JobState.WAITING),
        (seen("?", {"schedule": 5.0}), JobState.DELAYED),
        (seen("?", {"schedule": -5.0}), JobState.WAITING),
        (seen("?", {"completed": 5.0}), JobState.COMPLETED),
        (seen("?", {}), JobState.DEAD),
        (replace(WAITING, record_type="none", fields={}, scores={"dead": 5.0}), JobState.DEAD),
        (replace(WAITING, record_type="none", fields={}, scores={"completed": 5.0}), None),
        (seen("active", {"active": NOW_MS, "schedule": -5.0}), JobState.WAITING),
        (seen("active", {"active": 1e300, "schedule": -5.0}, token="5"), JobState.WAITING),
        (seen("completed", {}, finished="nan"), JobState.COMPLETED),
        (seen("dead", {"dead": 5.0, "schedule": -5.0}, finished="5", fingerprint="x"), JobState.DEAD),
        (replace(WAITING, invalid_id=True), None),
    ],
)
def test_state_after_the_repair(observation: JobObservation, state: JobState | None) -> None:
    diagnosis = diagnose_job(KEYS, "a", observation, NOW_MS)
    assert diagnosis.findings
    assert diagnosis.repair is not None
    assert diagnosis.repair.state is state


@pytest.mark.parametrize(
    ("field", "value", "repaired"),
    [
        ("priority", "top", "low"),
        ("attempts", "-1", "0"),
        ("crashes", None, "0"),
        ("requeues", "many", "0"),
        ("accepted", "9" * 15, None),
        ("order", "inf", str(ORDER)),
    ],
)
def test_a_damaged_field_is_set(field: str, value: str | None, repaired: str | None) -> None:
    diagnosis = diagnose_job(KEYS, "a", seen("waiting", dict(WAITING.scores), **{field: value}), NOW_MS)
    (finding,) = diagnosis.findings
    assert finding.key == "q:job:a"
    assert finding.found.startswith(f"no {field}" if value is None else f"{field} ")
    assert diagnosis.repair is not None
    assert diagnosis.repair.values[field] == (repaired or str(NOW_MS))


@pytest.mark.parametrize(("field", "value"), [("claimed", "soon"), ("progress", "1e400"), ("since", "-1")])
def test_a_damaged_optional_field_is_deleted(field: str, value: str) -> None:
    diagnosis = diagnose_job(KEYS, "a", seen("waiting", dict(WAITING.scores), **{field: value}), NOW_MS)
    assert diagnosis.repair is not None
    assert diagnosis.repair.delete == (field,)


def test_a_foreign_type_is_named_with_its_key() -> None:
    damaged = replace(WAITING, attempts_type="set", body_type="zset", damaged_attempts=2)
    findings = diagnose_job(KEYS, "a", damaged, NOW_MS).findings
    assert [(f.key, f.found, f.expected) for f in findings] == [
        ("q:attempts:a", "a set", "a list"),
        ("arq:job:a", "a zset", "a string"),
        ("q:attempts:a", "2 entries that are not attempts", "attempts as JSON"),
    ]


def test_a_job_without_a_readable_priority_keeps_the_class_of_its_index() -> None:
    damaged = seen("waiting", {"high": ORDER, "schedule": -5.0}, priority="\x00")
    repair = diagnose_job(KEYS, "a", damaged, NOW_MS).repair
    assert repair is not None
    assert repair.priority is Priority.HIGH
