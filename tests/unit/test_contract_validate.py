"""Validation beyond the examples: Python values, limits, order, cost, and access to a valid payload."""

from __future__ import annotations

import copy
import hashlib
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from previewops import contract_maxima
from previewops.contract import (
    AssetPolicy,
    Payload,
    explain,
    find_violations,
    limits,
    parse_payload,
    validate,
)
from previewops.contract.json_copy import copy_as_json
from previewops.contract.limits import MAX_COUNTED_VIOLATIONS
from previewops.contract.output_rules import parse_resolution
from previewops.contract.timestamps import is_rfc3339
from previewops.errors import EXIT_INVALID, InvalidPayload, Violation
from previewops.schemas import example, schema
from previewops.states import Priority
from previewops.worker.render.encode.stills import MEDIA_TYPES
from previewops.worker.render.storyboard import ANIMATED_FORMATS, STILL_FORMATS


def job(**request: Any) -> dict[str, Any]:
    return {
        "jobId": "j",
        "projectId": "p",
        "requestId": "r",
        "dryRun": False,
        "previewRequest": {"steps": [], "assets": [], "audio": {}, **request},
    }


def codes(payload: object) -> list[tuple[str, str]]:
    return [(item.pointer, item.code) for item in find_violations(payload)]


def test_importing_the_contract_loads_no_engine_and_no_schema_library() -> None:
    probe = (
        "import sys, previewops.contract; "
        "print([m for m in ('jsonschema', 'jsonschema_rs', 'redis', 'arq', 'PIL', 'click', 'hashlib', "
        "'importlib.resources') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_valid_payload_is_accepted_without_the_slow_schema_library() -> None:
    probe = (
        "import sys; from previewops.contract import validate; from previewops.schemas import example; "
        "validate(example('full')); print('jsonschema' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_valid_payload_gives_typed_access() -> None:
    payload = validate(example("full"))
    assert (payload.job_id, payload.project_id, payload.request_id) == (
        "tutorial-0042",
        "morris",
        "req-2025-01-31-0042",
    )
    assert payload.priority is Priority.HIGH
    assert payload.dry_run is False
    assert payload.request == example("full")["previewRequest"]
    assert payload.raw == example("full")
    assert validate(example("minimal")).priority is Priority.NORMAL


def test_payload_is_a_private_copy() -> None:
    document = example("full")
    payload = validate(document)
    document["previewRequest"]["steps"].clear()
    assert payload.raw == example("full")


def test_whole_floats_are_integers_and_change_no_digest() -> None:
    document = job(steps=[{"durationMs": 2000.0}], options={"fps": 24.0})
    payload = validate(document)
    assert type(payload.request["options"]["fps"]) is int
    assert type(payload.request["steps"][0]["durationMs"]) is int
    assert payload.digest == validate(job(steps=[{"durationMs": 2000}], options={"fps": 24})).digest


def test_body_is_sorted_compact_utf8_and_digest_is_its_sha256() -> None:
    payload = validate(job(title="é\n", metadata={"b": [1.5, -0.0, True, None], "a": "\u2028"}))
    assert (
        payload.body
        == (
            '{"dryRun":false,"jobId":"j","previewRequest":{"assets":[],"audio":{},'
            '"metadata":{"a":"\u2028","b":[1.5,0,true,null]},"steps":[],"title":"é\\n"},'
            '"projectId":"p","requestId":"r"}'
        ).encode()
    )
    assert payload.digest == hashlib.sha256(payload.body).hexdigest()
    assert parse_payload(payload.body) == payload.raw


def test_a_changed_body_changes_the_digest() -> None:
    assert validate(job(title="a")).digest != validate(job(title="b")).digest


@pytest.mark.parametrize("value", [None, 1, "job", [], b"{}", object(), {1, 2}, math.nan])
def test_non_objects_are_rejected(value: object) -> None:
    assert codes(value)[0][0] == ""
    with pytest.raises(InvalidPayload):
        validate(value)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (math.nan, "not-finite"),
        (-math.inf, "not-finite"),
        (b"x", "not-json-value"),
        ((1, 2), "not-json-value"),
        ({1: "one"}, "not-json-value"),
        (2**53, "integer-range"),
        pytest.param(10**5000, "integer-range", id="5001-digits"),
        ("\ud800", "lone-surrogate"),
    ],
)
def test_non_json_values_are_rejected_everywhere(value: object, code: str) -> None:
    assert codes(job(metadata={"deep": [value]})) == [("/previewRequest/metadata/deep/0", code)]
    assert codes(job(title=value)) == [("/previewRequest/title", code)]


def test_recursive_value_is_too_deep() -> None:
    ring: dict[str, Any] = {}
    ring["ring"] = ring
    ((_, code),) = codes(job(metadata=ring))
    assert code == "too-deep"


def test_ten_thousand_levels_of_python_do_not_recurse() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    ((pointer, code),) = codes(job(metadata={"deep": deep}))
    assert code == "too-deep"
    assert pointer.count("/") == limits.MAX_DEPTH_LEVELS


def test_oversized_python_payload_is_rejected() -> None:
    filler = "x" * limits.MAX_PAYLOAD_BYTES
    (violation,) = find_violations(job(metadata={"filler": filler}))
    assert (violation.pointer, violation.code) == ("", "too-large")


def test_too_many_values_are_rejected_uncopied() -> None:
    assert ("", "too-large") not in codes(job(metadata={"zeros": [0] * 100}))
    violations = codes(job(metadata={"zeros": [0] * limits.MAX_VALUES}))
    assert violations == [("/previewRequest/metadata/zeros", "too-large")]


def test_items_of_overlong_array_are_not_checked() -> None:
    assert codes(job(steps=[7] * 501)) == [("/previewRequest/steps", "max-items")]
    assert codes(job(assets=[{}] * 501)) == [
        ("/previewRequest/assets", "max-items"),
    ]


def test_report_is_bounded_and_ordered() -> None:
    payload = job()
    payload.update({f"k{number}": 0 for number in range(5_000)})
    violations = find_violations(payload)
    assert len(violations) == limits.MAX_VIOLATIONS + 1
    assert violations[-1].code == "more-violations"


def test_violations_are_ordered_by_array_index_and_unique() -> None:
    violations = codes(job(steps=[{"layout": 1}] * 11))
    assert [pointer for pointer, _ in violations] == [f"/previewRequest/steps/{n}/layout" for n in range(11)]
    assert len(set(violations)) == len(violations)


def test_every_missing_member_is_reported() -> None:
    assert [pointer for pointer, code in codes({}) if code == "required"] == [
        "/dryRun",
        "/jobId",
        "/previewRequest",
        "/projectId",
        "/requestId",
    ]


@pytest.mark.parametrize("key", ["\x1b[2J", "k" * 129, "\u202ereversed"])
def test_unprintable_name_is_escaped_and_reported_at_its_object(key: str) -> None:
    (violation,) = find_violations(job(**{key: 1}))
    assert (violation.pointer, violation.code) == ("/previewRequest", "unknown-property")
    assert violation.found.isprintable()
    assert len(violation.found) < 120


def test_messages_contain_no_control_characters() -> None:
    hostile = "\x1b]0;owned\x07\u202e"
    payload = job(
        steps=[{"layout": hostile, "assetIds": [hostile]}],
        assets=[{"id": hostile, "uri": f"x{hostile}:y", "type": hostile}],
        options={"format": hostile, hostile: hostile},
    )
    violations = find_violations(payload | {"jobId": hostile, hostile: 1})
    assert len(violations) > 6
    for violation in violations:
        assert all(text.isprintable() for text in violation.as_json().values()), violation


@pytest.mark.parametrize(
    "name", ["a", "A-b_c.d", "0", "a" * 128, "tutorial-0042", "a.b.c", "9f86d081-884c-4d65"]
)
def test_valid_folder_names(name: str) -> None:
    assert find_violations(job() | {"jobId": name, "projectId": name}) == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".a",
        "-a",
        "_a",
        "a.",
        "a..b",
        "a/b",
        "a\\b",
        "../../x",
        "a\n",
        "a\0",
        "é",
        "a b",
        "a" * 129,
    ],
)
def test_invalid_folder_names(name: str) -> None:
    assert {pointer for pointer, _ in codes(job() | {"jobId": name, "projectId": name})} == {
        "/jobId",
        "/projectId",
    }


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("2025-01-31T09:30:00Z", True),
        ("2025-01-31t09:30:00.123456789z", True),
        ("2024-02-29T23:59:59-23:59", True),
        ("2016-12-31T23:59:60Z", True),
        ("2025-02-29T00:00:00Z", False),
        ("2025-13-01T00:00:00Z", False),
        ("2025-01-31T24:00:00Z", False),
        ("2025-01-31T09:60:00Z", False),
        ("2025-01-31T09:30:61Z", False),
        ("2025-01-31T09:30:00", False),
        ("2025-01-31T09:30Z", False),
        ("2025-01-31 09:30:00Z", False),
        ("2025-01-31T09:30:00+0100", False),
        ("2025-01-31T09:30:00+24:00", False),
        ("2025-01-31T09:30:00.Z", False),
        ("2025-01-31T09:30:00Z\n", False),
        ("0000-01-01T00:00:00Z", False),
        ("\uff12025-01-31T09:30:00Z", False),
    ],
)
def test_timestamps_are_rfc_3339(text: str, valid: bool) -> None:
    assert is_rfc3339(text) is valid
    assert (codes(job() | {"createdAt": text}) == []) is valid


@pytest.mark.parametrize(
    ("resolution", "valid"),
    [
        ("64x64", True),
        ("63x64", False),
        ("3840x2160", True),
        ("2160x3840", True),
        ("3841x64", False),
        ("3840x2161", False),
        ("1279x719", True),
    ],
)
def test_resolution_limits(resolution: str, valid: bool) -> None:
    assert (codes(job(options={"resolution": resolution})) == []) is valid


@pytest.mark.parametrize(("last", "valid"), [(598_000 - 2_000, True), (598_000 - 1_999, False)])
def test_the_total_length_counts_title_card_and_default_steps(last: int, valid: bool) -> None:
    request = job(steps=[{}, {"durationMs": last}])["previewRequest"]
    assert (codes(job(**request)) == []) is valid


def test_every_format_of_the_schema_is_rendered() -> None:
    options = schema()["$defs"]["options"]["properties"]
    assert set(options["format"]["enum"]) == {*ANIMATED_FORMATS, "png", "jpeg"}
    assert set(options["imageFormat"]["enum"]) == set(STILL_FORMATS) < set(MEDIA_TYPES)
    for name in options["format"]["enum"]:
        assert codes(job(options={"format": name})) == []


def test_the_limits_are_those_of_the_schema() -> None:
    request = schema()["$defs"]["previewRequest"]["properties"]
    options = schema()["$defs"]["options"]["properties"]
    step = schema()["$defs"]["step"]["properties"]
    assert request["steps"]["maxItems"] == contract_maxima.MAX_STEPS
    assert request["assets"]["maxItems"] == contract_maxima.MAX_ASSETS
    assert step["durationMs"]["default"] == limits.DEFAULT_STEP_MS
    assert step["durationMs"]["maximum"] == limits.MAX_TOTAL_MS
    assert options["resolution"]["default"] == limits.DEFAULT_RESOLUTION
    assert options["format"]["default"] == limits.DEFAULT_FORMAT
    assert options["imageFormat"]["description"].endswith(f"else {limits.DEFAULT_IMAGE_FORMAT}.")
    assert options["fps"]["default"] == limits.DEFAULT_FPS
    assert options["quality"]["default"] == limits.DEFAULT_QUALITY_PERCENT
    assert options["theme"]["default"] == limits.DEFAULT_THEME
    assert options["onAssetError"]["default"] == limits.DEFAULT_ON_ASSET_ERROR
    assert parse_resolution(limits.DEFAULT_RESOLUTION) == (1280, 720)
    assert {member.value for member in Priority} == set(schema()["properties"]["priority"]["enum"])
    assert schema()["properties"]["priority"]["default"] == Priority.NORMAL
    inline = limits.MAX_INLINE_BYTES * 4 // 3 + len("data:image/png;base64,") + 4
    assert schema()["$defs"]["uri"]["maxLength"] >= inline


def test_policy_is_applied_to_audio_and_assets(tmp_path: Path) -> None:
    payload = job(assets=[{"id": "a", "uri": "/elsewhere/a.png"}], audio={"uri": "/elsewhere/b.ogg"})
    assert find_violations(payload) == []
    violations = find_violations(payload, AssetPolicy((tmp_path,)))
    assert [(item.pointer, item.code) for item in violations] == [
        ("/previewRequest/assets/0/uri", "uri-root"),
        ("/previewRequest/audio/uri", "uri-root"),
    ]
    assert str(tmp_path) in violations[0].allowed


def test_the_error_carries_source_exit_code_and_every_violation() -> None:
    payload = copy.deepcopy(example("full"))
    payload["dryRun"] = "no"
    payload["previewRequest"]["steps"][0]["assetIds"] = ["nothing"]
    with pytest.raises(InvalidPayload) as caught:
        validate(payload, source="job.json")
    assert caught.value.exit_code == EXIT_INVALID
    assert caught.value.source == "job.json"
    assert [item.pointer for item in caught.value.violations] == [
        "/dryRun",
        "/previewRequest/steps/0/assetIds/0",
    ]


def test_explain_aligns_its_lines() -> None:
    error = InvalidPayload(
        [
            Violation("", "type", "must be an object, not null", "null", "an object"),
            Violation("/dryRun", "required", "is missing", "nothing", "true or false"),
        ],
        source="job.json",
    )
    assert explain(error) == [
        "job.json: 2 violations",
        "  (document)  must be an object, not null",
        "      found    null",
        "      allowed  an object",
        "  /dryRun     is missing",
        "      found    nothing",
        "      allowed  true or false",
    ]


def test_explain_of_one_violation_without_a_source() -> None:
    error = InvalidPayload([Violation("/a", "type", "must be a string, not null", "null", "a string")])
    assert explain(error)[0] == "payload: 1 violation"


def test_a_payload_cannot_be_reassigned() -> None:
    payload = validate(example("minimal"))
    assert isinstance(payload, Payload)
    with pytest.raises(AttributeError):
        setattr(payload, "raw", {})  # noqa: B010 - the type checker rejects the assignment


def paths(value: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [at, *(path for name, member in members for path in paths(member, (*at, name)))]


@pytest.mark.parametrize("path", paths(example("full"))[1:], ids=lambda path: "/".join(map(str, path)))
def test_value_of_any_type_is_validated_everywhere(path: tuple[str | int, ...]) -> None:
    samples: list[Any] = [None, True, 1, 1.5, "", "x", [], {}, [[]], [{}], {"id": []}, {"id": {}, "uri": []}]
    for value in samples:
        document = example("full")
        parent: Any = document
        for part in path[:-1]:
            parent = parent[part]
        parent[path[-1]] = value
        for violation in find_violations(document, AssetPolicy(())):
            assert violation.code


@pytest.mark.parametrize("name", ["steps", "assets"])
def test_items_beyond_the_longest_list_are_not_read(name: str) -> None:
    longest = contract_maxima.MAX_STEPS if name == "steps" else contract_maxima.MAX_ASSETS
    broken = {"no": "item", "inf": float("inf")}
    document, violations = copy_as_json({"previewRequest": {name: [broken] * (longest + 1_000)}})
    assert isinstance(document, dict)
    assert document["previewRequest"][name] == [{"no": "item", "inf": None}] * longest + [0] * 1_000
    assert len(violations) == min(longest, MAX_COUNTED_VIOLATIONS + 1)
    many = find_violations({"previewRequest": {name: [{}] * 100_000}})
    assert (f"/previewRequest/{name}", "100000 items") in [(item.pointer, item.found) for item in many]
