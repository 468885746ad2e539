"""Any input gives a payload, or an InvalidPayload whose pointers resolve; never another exception."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

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
