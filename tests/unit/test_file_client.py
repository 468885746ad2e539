"""Output of a confined render process: few requests, few open files at a time, none left open."""

from __future__ import annotations

import math
import os
from itertools import chain
from pathlib import Path
from typing import Any, cast

import pytest

from previewops.job_errors import TransientJobError
from previewops.worker.publish.output import MAX_CREATE_BATCH
from previewops.worker.sandbox.child import TaskContext
from previewops.worker.sandbox.file_client import RemoteOutput


class _FakeContext:
    """Answers like a worker, and records the requests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[list[str]] = []
        self.handles: set[int] = set()
        self.fails = False

    def request(self, *, create: list[str]) -> tuple[dict[str, Any], tuple[int, ...]]:
        self.requests.append(create)
        if self.fails:
            raise TransientJobError("disk-full", "the disk is full")
        handles = tuple(os.open(self.folder / path, os.O_RDWR | os.O_CREAT) for path in create)
        self.handles.update(handles)
        return {}, handles

    @property
    def open(self) -> int:
        return sum(Path(f"/proc/self/fd/{handle}").exists() for handle in self.handles)


@pytest.fixture
def context(tmp_path: Path) -> _FakeContext:
    return _FakeContext(tmp_path)


def _output(context: _FakeContext) -> RemoteOutput:
    return RemoteOutput(cast("TaskContext", context))


def _write(output: RemoteOutput, path: str) -> None:
    with output.create(path) as file:
        file.write(path.encode())


def test_expected_files_are_requested_together(context: _FakeContext) -> None:
    output = _output(context)
    names = [f"{number:03d}" for number in range(40)]
    output.expect(names)
    for name in names:
        _write(output, name)
    assert len(context.requests) == math.ceil(len(names) / MAX_CREATE_BATCH)
    assert all(len(request) <= MAX_CREATE_BATCH for request in context.requests)
    assert sorted(chain.from_iterable(context.requests)) == names
    assert all((context.folder / name).read_text() == name for name in names)
    assert context.open == 0


def test_open_files_are_limited_to_one_request_in_any_order(context: _FakeContext) -> None:
    output = _output(context)
    names = [f"{number:03d}" for number in range(60)]
    output.expect(names)
    for name in reversed(names):
        _write(output, name)
        assert context.open <= MAX_CREATE_BATCH
    assert sorted(chain.from_iterable(context.requests)) == names, "each once"
    assert all((context.folder / name).read_text() == name for name in names)


def test_an_unexpected_file_is_requested_alone(context: _FakeContext) -> None:
    output = _output(context)
    _write(output, "one")
    output.expect(["three"])
    _write(output, "two")
    _write(output, "three")
    assert context.requests == [["one"], ["two", "three"]]


def test_closing_closes_files_that_were_not_written(context: _FakeContext) -> None:
    output = _output(context)
    output.expect(["one", "two", "three"])
    _write(output, "one")
    assert context.open == 2
    output.close()
    assert context.open == 0


def test_an_error_of_the_worker_is_raised(context: _FakeContext) -> None:
    output = _output(context)
    output.expect(["one", "two"])
    context.fails = True
    with pytest.raises(TransientJobError):
        output.create("one")
    output.close()
