"""Fingerprints: equal for failures of one cause whatever their values, different for different causes."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewops.job_errors import PermanentJobError, TransientJobError
from previewops.queue.fingerprint import FINGERPRINT_DIGITS, fingerprint, foreign_template, stored_template
from previewops.worker.assets.opener import AssetRef, permanent_asset_error, storage_errors
from previewops.worker.engine.execution import Failed, failure_from_error
from previewops.worker.sandbox.child_messages import crash_error
from previewops.worker.sandbox.error_codec import decode_error, encode_error

NAMES = st.one_of(
    st.text(min_size=1, max_size=40),
    st.sampled_from(
        ["My Rome in Otto.png", "Screenshot 2026-11-28 at 10.png", "it's [a] (b) {c}", "/srv/a b/ä.png"]
    ),
    st.integers().map(str),
    st.uuids().map(str),
    st.builds(
        "https://{}.example.org:{}/{}?x=1".format, st.uuids(), st.integers(1, 65_535), st.text(max_size=9)
    ),
    st.builds("{}x{}".format, st.integers(0), st.integers(0)),
)


def cause(error: BaseException) -> str:
    failed = failure_from_error(error)
    return fingerprint(failed.error_class, failed.code, failed.template)


def missing(name: str) -> PermanentJobError:
    return permanent_asset_error(
        "asset-missing",
        AssetRef(id="a", uri=name),
        f"the file {name} does not exist",
        found=name,
        allowed=f"a file under {name}",
        hint=f"searched {name}",
    )


def raised(name: str) -> BaseException:
    try:
        raise ValueError(f"cannot use {name}: bad")
    except ValueError as error:
        return error


@given(name=NAMES)
def test_no_value_of_an_argument_changes_the_fingerprint(name: str) -> None:
    assert cause(missing(name)) == cause(missing("a.png"))
    assert cause(raised(name)) == cause(raised("a.png"))


@given(name=NAMES)
def test_an_error_of_a_render_process_keeps_its_fingerprint(name: str) -> None:
    for error in (missing(name), raised(name)):
        decoded = decode_error(encode_error(error))
        assert cause(decoded) == fingerprint(
            type(error).__name__, failure_from_error(decoded).code, failure_from_error(error).template
        )


@given(name=NAMES)
def test_letters_of_earlier_versions_get_the_fingerprint_of_new_ones(name: str) -> None:
    for error in (missing(name), raised(name), crash_error(-11), crash_error(3), io_error(name)):
        failed = failure_from_error(error)
        template = stored_template(failed.code, failed.message, failed.traceback)
        assert fingerprint(failed.error_class, failed.code, template) == cause(error)


def io_error(name: str) -> BaseException:
    try:
        with storage_errors():
            raise OSError(5, "Input/output error", name)
    except TransientJobError as error:
        return error


def test_different_causes_have_different_fingerprints() -> None:
    try:
        with storage_errors():
            raise PermissionError(13, "Permission denied", "/srv/x")
    except TransientJobError as error:
        denied = error
    try:
        raise KeyError("cannot use x: bad")
    except KeyError as error:
        other_class = error
    try:
        Path("/nowhere/at/all").read_bytes()
    except OSError as error:
        system = error
    causes = [
        *(missing("x"), raised("x"), io_error("x"), denied, other_class, system),
        *(crash_error(-11), crash_error(-9), crash_error(1), crash_error(None)),
        TransientJobError("deadline-exceeded", "killed at its deadline of 3 s"),
        PermanentJobError("invalid-payload", "invalid payload: /a: x", template="unknown-asset"),
        PermanentJobError("invalid-payload", "invalid payload: /a: x", template="duplicate-id"),
    ]
    assert len({cause(error) for error in causes}) == len(causes)


def test_the_errno_of_a_system_error_tells_causes_of_one_line_apart() -> None:
    frames = 'Traceback (most recent call last):\n  File "a/b.py", line 3, in f\n    open(path)\n'
    templates = {
        foreign_template(f"OSError: [Errno {number}] text: 'x'", f"{frames}OSError: [Errno {number}]\n")
        for number in (2, 28)
    }
    assert len(templates) == 2


def test_a_message_that_looks_like_a_traceback_changes_nothing() -> None:
    hostile = '\n\nTraceback (most recent call last):\n  File "evil.py", line 1, in evil\n    evil()\n'
    assert cause(raised(hostile)) == cause(raised("x"))


def test_line_numbers_and_folders_of_an_installation_are_ignored() -> None:
    text = 'Traceback (most recent call last):\n  File "/opt/one/pkg/mod.py", line 10, in f\n    g()\nE: x\n'
    other = text.replace("/opt/one", "/home/ada/two").replace("line 10", "line 99")
    assert foreign_template("E: x", text) == foreign_template("E: y", other)


def test_without_a_traceback_values_are_masked_as_far_as_patterns_find_them() -> None:
    assert foreign_template("no file '/srv/a.png' of 7", None) == foreign_template('no file "b" of 12', None)
    assert foreign_template("cannot read", None) != foreign_template("cannot write", None)


def test_a_letter_of_an_invalid_payload_is_grouped_by_its_masked_reason() -> None:
    one, other = (
        stored_template("invalid-payload", f"/steps/{n}: unknown asset 'a{n}'", None) for n in (1, 22)
    )
    assert one == other != ""


def test_frames_after_the_first_exception_are_ignored() -> None:
    first = 'Traceback (most recent call last):\n  File "a/b.py", line 3, in f\n    g()\n\nE: x\n'
    assert foreign_template("E: x", first + '  File "c/d.py", line 1, in h\n    i()\n') == foreign_template(
        "E: x", first
    )


def test_class_and_code_change_the_fingerprint() -> None:
    fingerprints = {
        fingerprint(name, code, "it broke") for name in ("AError", "BError") for code in ("one", "two", "")
    }
    assert len(fingerprints) == 6
    assert fingerprint("a", "b", "c") != fingerprint("ab", "", "c")


@given(template=st.text())
def test_fingerprint_is_twelve_hexadecimal_digits(template: str) -> None:
    digits = fingerprint("SomeError", "some-code", template)
    assert re.fullmatch(r"[0-9a-f]{12}", digits)
    assert FINGERPRINT_DIGITS == 12


def test_lone_surrogate_is_accepted() -> None:
    assert re.fullmatch(r"[0-9a-f]{12}", fingerprint("E", "c", "no file caf\udce9.png"))


@pytest.mark.parametrize("word", ["a" * 50_000, "a-" * 25_000, "'" * 20_000, '"' * 20_000])
def test_long_messages_take_linear_time(word: str) -> None:
    # Quadratic time would hit the test's time limit.
    assert foreign_template(word, None)
    assert foreign_template("x", f"Traceback\n  File {word}")


def test_failures_of_a_traceback_are_real_ones() -> None:
    failed = failure_from_error(raised("x"))
    assert isinstance(failed, Failed)
    assert "test_fingerprint.py raised raise ValueError" in failed.template
    assert "Traceback" in "".join(traceback.format_exception(raised("x")))
