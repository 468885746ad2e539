"""Job records: parsed from Redis and written as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewops.cli.status import format_job
from previewops.client.results import JobResult
from previewops.queue.records import Attempt, extract_payload, parse_history, record_from_redis
from previewops.states import JobState, Priority

WAITING = {b"state": b"waiting", b"priority": b"low", b"accepted": b"1700000000000", b"project": b"shop"}
ATTEMPT = Attempt(1_700_000_000_123, 45, "w1", "crash", "WorkerLost", "worker-lost", "gone", None)


def arq_job(payload: Any) -> bytes:
    return json.dumps({"t": None, "f": "render_preview", "a": [payload], "k": {}, "et": 1}).encode()


def arq_result(result: Any, *, success: bool = True) -> bytes:
    return json.dumps({"a": [{"jobId": "a"}], "s": success, "r": result}).encode()


def test_waiting_job() -> None:
    record = record_from_redis("a", WAITING, body=arq_job({"jobId": "a"}))
    assert (record.state, record.priority, record.project_id) == (JobState.WAITING, Priority.LOW, "shop")
    assert (record.claimed_ms, record.finished_ms, record.progress, record.phase) == (None, None, None, None)
    assert record.payload == {"jobId": "a"}
    shown = record.as_json()
    assert shown["createdAt"] == "2023-11-14T22:13:20.000Z"
    assert (shown["startedAt"], shown["finishedAt"], shown["attemptsMade"], shown["progress"]) == (
        None,
        None,
        0,
        0.0,
    )


def test_status_has_every_documented_key() -> None:
    promised = (
        "jobId status priority attemptsMade createdAt startedAt finishedAt progress failedReason artifacts"
    )
    assert set(promised.split()) <= set(record_from_redis("a", WAITING).as_json())


@pytest.mark.parametrize("state", JobState)
def test_phase_is_that_of_a_running_attempt(state: JobState) -> None:
    fields = {**WAITING, b"state": state.value.encode(), b"progress": b"0.1", b"phase": b"starting"}
    shown = record_from_redis("a", fields).as_json()
    assert shown["phase"] == ("starting" if state is JobState.ACTIVE else None)


@pytest.mark.parametrize(
    "stored",
    [
        {"bundle": 1, "warnings": None, "artifacts": [{"path": 1, "bytes": "x"}, {"bytes": None}, 1]},
        {"bundle": None, "warnings": "text", "artifacts": {}},
        {"warnings": [1, {}], "artifacts": None, "width": "wide"},
    ],
)
def test_any_stored_result_can_be_shown(stored: dict[str, Any]) -> None:
    record = record_from_redis("a", {**WAITING, b"state": b"completed"}, result=arq_result(stored))
    assert JobResult.from_record(record).bundle is None
    assert all(isinstance(warning, str) for warning in JobResult.from_record(record).warnings)
    assert "completed" in "\n".join(format_job(record, now_ms=0))


def test_artifacts_are_listed_once() -> None:
    made = {"bundle": "x", "artifacts": [{"path": "poster.webp"}]}
    record = record_from_redis("a", {**WAITING, b"state": b"completed"}, result=arq_result(made))
    assert record.as_json()["artifacts"] == made["artifacts"]
    assert record.as_json()["result"] == {"bundle": "x"}
    assert record.result == made


def test_completed_job_after_a_failure() -> None:
    fields = {
        **WAITING,
        b"state": b"completed",
        b"attempts": b"1",
        b"crashes": b"1",
        b"claimed": b"1700000001000",
        b"finished": b"1700000002000",
        b"progress": b"0.4",
        b"reason": b"an earlier failure",
    }
    made = {"bundle": "x", "artifacts": [{"path": "poster.webp"}]}
    record = record_from_redis(
        "a", fields, result=arq_result(made), attempts=[json.dumps(ATTEMPT.as_json()).encode()]
    )
    shown = record.as_json()
    assert (record.reason, shown["failedReason"]) == (None, None)
    assert (shown["attemptsMade"], shown["progress"]) == (3, 1.0)
    assert shown["artifacts"] == made["artifacts"]
    assert shown["result"] == {"bundle": "x"}
    assert shown["history"][0]["at"] == "2023-11-14T22:13:20.123Z"
    assert record.payload == {"jobId": "a"}, "from the result, because the body is gone"


@pytest.mark.parametrize(
    ("state", "shown"), [("active", 0.4), ("delayed", 0.0), ("dead", 0.0), ("waiting", 0.0)]
)
def test_progress_is_of_the_running_attempt_only(state: str, shown: float) -> None:
    record = record_from_redis("a", {**WAITING, b"state": state.encode(), b"progress": b"0.4"})
    assert record.as_json()["progress"] == shown


def test_failed_result_is_ignored() -> None:
    record = record_from_redis(
        "a", {**WAITING, b"state": b"dead"}, result=arq_result("it broke", success=False)
    )
    assert record.result is None
    assert record.as_json()["artifacts"] == []


@given(
    attempt=st.builds(
        Attempt,
        st.integers(0, 2**43),
        st.integers(0, 2**40),
        st.text(),
        st.sampled_from(["crash", "permanent", "transient"]),
        st.text(),
        st.text(),
        st.text(),
        st.none() | st.text(),
    )
)
def test_attempt_round_trip(attempt: Attempt) -> None:
    attempt_json, traceback_json = attempt.as_redis()
    assert parse_history([attempt_json.encode()]) == (replace(attempt, traceback=None),)
    assert parse_history([json.dumps(attempt.as_json()).encode()]) == (attempt,), "of an earlier version"
    named = f'{attempt_json[:-1]},"tracebackId":"a"'
    held = f'{named},"traceback":{traceback_json or "null"}}}'
    assert parse_history([held.encode(), f"{named}}}".encode()]) == (attempt,) * 2


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"",
        b"\x80\x04.",
        b"null",
        b"[]",
        b"{}",
        b'{"a":[]}',
        b'{"a":"x"}',
        b'{"a":[1]}',
        b'{"a":{"0":{}}}',
        b"[" * 100_000,
    ],
)
def test_record_without_payload_gives_none(body: bytes | None) -> None:
    assert extract_payload(body) is None


@given(body=st.binary(max_size=60))
def test_any_bytes_parse_without_an_error(body: bytes) -> None:
    extract_payload(body)
    record_from_redis("a", WAITING, body=body, result=body)
