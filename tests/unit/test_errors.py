"""Errors: exit codes, codes, data and pickling."""

from __future__ import annotations

import errno
import json
import pickle
import traceback
from typing import Any

import pytest

from previewops import errors
from previewops.client.arguments import BadArgument
from previewops.errors import (
    ForeignKey,
    InvalidPayload,
    JobConflict,
    JobIdMismatch,
    JobNotFound,
    LayoutUnsupported,
    PayloadChanged,
    PreviewopsError,
    QueueFull,
    RecordUnreadable,
    RedisUnavailable,
    UsageError,
    Violation,
    WrongState,
)
from previewops.job_errors import FailureKind, PermanentJobError, RenderCrashed, StaleToken, TransientJobError
from previewops.recording import errors as recording_errors

VIOLATION = Violation("/jobId", "too-short", "jobId is empty", '""', "1 to 128 characters")


@pytest.mark.parametrize(
    ("error", "exit_code", "code", "data"),
    [
        (UsageError("wrong words"), 2, "usage", {}),
        (InvalidPayload([VIOLATION]), 65, "invalid-payload", {"violations": (VIOLATION,)}),
        (JobIdMismatch("a", "b"), 65, "other-job", {"job_id": "a", "payload_job_id": "b"}),
        (JobConflict("a", "dead"), 1, "conflict", {"job_id": "a", "state": "dead"}),
        (JobNotFound("a", "q"), 1, "not-found", {"job_id": "a"}),
        (PayloadChanged("a"), 1, "body-changed", {"job_id": "a"}),
        (WrongState("a", "dead", "cancel", "waiting"), 1, "wrong-state", {"job_id": "a", "state": "dead"}),
        (QueueFull("a", 20, 20), 75, "queue-full", {"job_id": "a", "backlog": 20, "limit": 20}),
        (RecordUnreadable("a", "q:job:a", "no state"), 76, "record-unreadable", {"key": "q:job:a"}),
        (ForeignKey("q:meta", "list", "hash"), 76, "foreign-key", {"key": "q:meta", "found": "list"}),
        (LayoutUnsupported("q", 2, 1), 75, "newer-layout", {"found": 2, "supported": 1}),
        (RedisUnavailable("redis://h", "refused"), 69, "redis-unavailable", {"address": "redis://h"}),
    ],
)
def test_exit_code_code_and_data_of_each_error(
    error: PreviewopsError, exit_code: int, code: str, data: dict[str, Any]
) -> None:
    assert (error.exit_code, error.code) == (exit_code, code)
    assert {name: getattr(error, name) for name in data} == data
    body = json.loads(json.dumps(error.as_json()))
    assert (body["error"], body["message"]) == (code, str(error))
    assert body.get("hint") == error.hint


@pytest.mark.parametrize(
    "error",
    [
        QueueFull("a", 20, 20),
        InvalidPayload([VIOLATION], source="jobs.jsonl"),
        BadArgument("timeout", "a number of seconds", "'1'"),
        PermanentJobError("asset-missing", "it is not there", hint="upload it", assetId="a"),
        TransientJobError("io-error", "the disk went away"),
    ],
)
def test_errors_survive_pickling(error: Exception) -> None:
    revived = pickle.loads(pickle.dumps(error))
    assert type(revived) is type(error)
    assert (str(revived), vars(revived)) == (str(error), vars(error))


def test_codes_of_errors_are_unique() -> None:
    def below(kind: type[PreviewopsError]) -> list[type[PreviewopsError]]:
        return [kind, *(subclass for child in kind.__subclasses__() for subclass in below(child))]

    modules = (errors.__name__, recording_errors.__name__)
    codes = [kind.code for kind in below(PreviewopsError) if kind.__module__ in modules]
    assert len(set(codes)) == len(codes)


def test_invalid_payload_message_has_first_violation_and_count() -> None:
    error = InvalidPayload([VIOLATION, VIOLATION, VIOLATION], source="jobs.jsonl")
    assert str(error) == "jobs.jsonl: invalid payload: /jobId: jobId is empty (and 2 more)"
    assert error.as_json()["violations"][0] == {
        "pointer": "/jobId",
        "code": "too-short",
        "message": "jobId is empty",
        "found": '""',
        "allowed": "1 to 128 characters",
    }


def test_queue_full_and_conflict_name_the_job() -> None:
    assert "20" in str(QueueFull("job-1", 20, 20))
    assert "job-1" in str(QueueFull("job-1", 20, 20))
    assert "PREVIEW_QUEUE_MAX" in str(QueueFull("job-1", 20, 20).hint)
    assert "completed" in str(JobConflict("a", "completed"))


def test_failure_kind_of_each_job_error() -> None:
    assert PermanentJobError("x", "y").kind is FailureKind.PERMANENT
    assert TransientJobError("x", "y").kind is FailureKind.TRANSIENT
    assert RenderCrashed("was killed").kind is FailureKind.TRANSIENT


def test_a_job_error_carries_its_data() -> None:
    error = PermanentJobError("too-large", "it is too large", hint="make it smaller", found=5, allowed=[1, 2])
    assert (error.code, str(error), error.hint) == ("too-large", "it is too large", "make it smaller")
    assert error.data == {"found": 5, "allowed": [1, 2]}


def test_render_crashed_carries_signal_and_status() -> None:
    error = RenderCrashed("was killed by SIGSEGV", signal_name="SIGSEGV")
    assert (error.code, error.signal_name, error.exit_status) == ("render-crashed", "SIGSEGV", None)
    assert "SIGSEGV" in str(error)


def test_stale_token_names_both_tokens() -> None:
    error = StaleToken(5, 7)
    assert (error.found, error.newest) == (5, 7)
    assert error.data == {"found": 5, "allowed": 7}


def test_a_folder_that_a_unit_may_not_write_names_the_command_for_it() -> None:
    failed = errors.data_dir_error("/srv/previews", OSError(errno.EROFS, "Read-only file system"))
    assert failed.exit_code == errors.EXIT_TRY_AGAIN
    assert "--data-dir DIR systemd install" in str(failed.hint)
    assert "systemd" not in str(errors.data_dir_error("/srv", OSError(errno.ENOSPC, "No space left")).hint)


def test_a_traceback_ends_with_the_hint() -> None:
    text = "".join(
        traceback.format_exception(RedisUnavailable("redis://127.0.0.1:6379", "connection refused"))
    )
    assert text.splitlines()[-1].startswith("hint: set REDIS_URL")
    assert (
        pickle.loads(pickle.dumps(RedisUnavailable("a", "b"))).__notes__
        == RedisUnavailable("a", "b").__notes__
    )
