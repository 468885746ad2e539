"""Any input gives a payload, or an InvalidPayload whose pointers resolve; never another exception."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import previewops.schemas
from previewops.contract import (
    AssetPolicy,
    FileUri,
    UriNotAllowed,
    explain,
    find_violations,
    parse_payload,
    parse_uri,
    validate,
)
from previewops.contract.json_copy import copy_as_json
from previewops.contract.schema_check import fits_schema
from previewops.contract.schema_validation import schema_violations
from previewops.errors import InvalidPayload, Violation
from previewops.schemas import example

POLICY = AssetPolicy((Path("/srv/previews/assets"),))

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", "..", "a\n", "\ud800", "/etc/passwd", "file:///%zz", "data:image/png;base64,AA=="])
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def places(value: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Paths of all values in the document, except the document itself."""
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    paths: list[tuple[str | int, ...]] = []
    for name, member in members:
        paths += [(*at, name), *places(member, (*at, name))]
    return paths


PLACES = places(example("full"))
EXAMPLES = Path(previewops.schemas.__file__).parent / "examples"


@st.composite
def mutations(draw: st.DrawFn) -> dict[str, Any]:
    """full.json with one to four values replaced, removed, doubled or extended."""
    document = example("full")
    for path in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=4)):
        parent: Any = document
        try:
            for part in path[:-1]:
                parent = parent[part]
            mutate(draw, parent, path[-1])
        except (KeyError, IndexError, TypeError):
            continue  # an earlier mutation removed the place
    return document


def mutate(draw: st.DrawFn, parent: Any, last: str | int) -> None:
    act = draw(st.sampled_from(["replace", "remove", "double", "add"]))
    if act == "replace":
        parent[last] = draw(documents)
    elif act == "remove":
        del parent[last]
    elif act == "double" and isinstance(parent, list) and isinstance(last, int):
        parent.append(parent[last])
    elif act == "add" and isinstance(parent, dict):
        parent[draw(st.text(max_size=8))] = draw(documents)


_ODD_TEXTS = (
    *(
        "",
        " ",
        "a\n",
        "a\r\n",
        "\n",
        "a..b",
        "a.",
        ".a",
        "A-0_.z",
        "\u2028",
        "\x85",
        "\x7f",
        "\U0001f600",
        "a" * 128,
    ),
    *(
        "a" * 129,
        "a" * 200,
        "\U0001f600" * 128,
        "\U0001f600" * 129,
        "\u00e9" * 500,
        "\u00e9" * 501,
        "x" * 10_001,
    ),
    *(
        "2025-01-31T09:30:00Z",
        "2025-01-31T09:30:00Z\n",
        "2025-01-31t09:30:60.5+23:59",
        "2025-02-30T00:00:00Z",
    ),
    *("2025-01-31T09:30:00", "0000-01-01T00:00:00Z", "\u0662025-01-31T09:30:00Z", "f" * 64, "F" * 64 + "\n"),
    *(
        "1280x720",
        "1280x720\n",
        "\u0661280x720",
        "0x1",
        "99999x99999",
        "100000x1",
        "#a0B1c2",
        "#a0b1c2\n",
        "Dark",
    ),
)
_ODD_NUMBERS = (
    0,
    1,
    -1,
    1.0,
    1.5,
    -0.0,
    0.1,
    99,
    100,
    101,
    1000,
    1001,
    600_000,
    600_001,
    2**53 - 1,
    1e300,
    True,
)
_ODD_NAMES = (
    "x-",
    "x-a",
    "X-a",
    " x-a",
    "a\nx-b",
    "x-\n",
    "x",
    "",
    "title",
    "steps",
    "__proto__",
    "$ref",
    "id",
)
odd_values = (
    st.sampled_from(_ODD_TEXTS)
    | st.sampled_from(_ODD_NUMBERS)
    | st.sampled_from([None, [], {}, [0], {"x-a": 0}])
)


@st.composite
def odd_mutations(draw: st.DrawFn) -> dict[str, Any]:
    """full.json with up to three values at or around a bound, or further members with names like those allowed."""
    document = example("full")
    for path in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3)):
        parent: Any = document
        try:
            for part in path[:-1]:
                parent = parent[part]
            if isinstance(parent, dict) and draw(st.booleans()):
                parent[draw(st.sampled_from(_ODD_NAMES))] = draw(odd_values)
            else:
                parent[path[-1]] = draw(odd_values)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier mutation removed the place
    return document


def resolves(document: object, pointer: str) -> bool:
    """Whether the pointer resolves to a value, or to a member that its parent lacks."""
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")]
    value: Any = document
    for part in parents[1:]:
        value = value[int(part)] if isinstance(value, list) else value[part]
    return pointer == "" or (int(last) < len(value) if isinstance(value, list) else isinstance(value, dict))


def check_report(document: object, violations: list[Violation]) -> None:
    assert len({(item.pointer, item.code, item.found) for item in violations}) == len(violations)
    for item in violations:
        assert resolves(document, item.pointer), item
        assert all(text.isprintable() for text in item.as_json().values()), item
        assert item.message
        assert item.found
        assert item.allowed
    assert len(explain(InvalidPayload(violations))) == 1 + 3 * len(violations)


def shuffled(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shuffled(draw, value[key]) for key in draw(st.permutations(list(value)))}
    if isinstance(value, list):
        return [shuffled(draw, item) for item in value]
    return value


@given(documents)
def test_any_document_is_validated_without_another_exception(document: object) -> None:
    violations = find_violations(document, POLICY)
    assert violations
    check_report(document, violations)


@settings(max_examples=300)
@given(mutations())
def test_pointers_of_any_mutation_resolve(document: dict[str, Any]) -> None:
    violations = find_violations(document, POLICY)
    check_report(document, violations)
    if not violations:
        payload = validate(document, policy=POLICY)
        assert validate(parse_payload(payload.body), policy=POLICY) == payload


@settings(max_examples=300)
@given(documents | mutations() | odd_mutations())
def test_both_schema_validators_accept_the_same_documents(document: object) -> None:
    copied, not_json = copy_as_json(document)
    assume(not not_json)
    assert fits_schema(copied) == (next(schema_violations(copied), None) is None)


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.json")), ids=lambda path: path.stem)
def test_both_schema_validators_accept_the_same_examples(path: Path) -> None:
    document, not_json = copy_as_json(json.loads(path.read_text("utf-8")))
    assert not_json or fits_schema(document) == (next(schema_violations(document), None) is None)


@given(mutations())
def test_text_and_value_of_any_mutation_give_the_same_violations(document: dict[str, Any]) -> None:
    text = json.dumps(document).encode()
    assume(json.loads(text) == document)  # JSON text makes every name a string
    try:
        parsed = parse_payload(text)
    except InvalidPayload as error:
        check_report(document, list(error.violations))
        assert find_violations(document, POLICY)
    else:
        assert find_violations(parsed, POLICY) == find_violations(document, POLICY)


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,\\u0dDeE+-.19naN \n', max_size=60).map(str.encode))
def test_any_bytes_are_an_object_or_an_invalid_payload(raw: bytes) -> None:
    outcome: object
    try:
        outcome = parse_payload(raw)
    except InvalidPayload as error:
        outcome = error.violations
    assert isinstance(outcome, dict) or outcome


@given(st.data())
def test_body_does_not_depend_on_the_order_of_names(data: st.DataObject) -> None:
    reordered = data.draw(st.composite(lambda draw: shuffled(draw, example("full")))())
    assert validate(reordered).body == validate(example("full")).body
    assert validate(reordered).digest == validate(example("full")).digest


@given(st.text(max_size=60) | st.text(alphabet="file:/.%2eE5cdata;base64,imgAa=\\\0~", max_size=40))
def test_any_uri_is_parsed_or_rejected_and_paths_have_no_dots(uri: str) -> None:
    try:
        parsed = parse_uri(uri)
    except UriNotAllowed as error:
        text, parts = error.found, set()
    else:
        text, parts = "", set(parsed.path.parts) if isinstance(parsed, FileUri) else set()
    assert text.isprintable()
    assert not {"..", ".", ""} & parts
