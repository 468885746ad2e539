"""The shipped examples are valid or invalid as named, and together exercise every rule."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from previewops.contract import AssetPolicy, find_violations, parse_payload
from previewops.contract import json_copy as plain_module
from previewops.contract import output_rules as outputs_module
from previewops.contract import semantics as semantics_module
from previewops.contract import uris as uris_module
from previewops.contract.schema_validation import _ANNOTATIONS, _DESCRIPTIONS
from previewops.host_patterns import HostPattern
from previewops.schemas import example, schema, schema_text

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"
POLICY = AssetPolicy(
    (Path("/srv/previews/assets"),), webhook_hosts=(HostPattern("app.example"),), themes=lambda: ("acme",)
)
VALID = sorted(path.stem for path in EXAMPLES.glob("*.json"))
INVALID = sorted(
    f"invalid/{path.stem}" for path in EXAMPLES.glob("invalid/*.json") if ".errors" not in path.name
)


def expected(name: str) -> list[dict[str, str]]:
    loaded: list[dict[str, str]] = json.loads((EXAMPLES / f"{name}.errors.json").read_text("utf-8"))
    return loaded


def nodes(schema_node: Any) -> Iterator[dict[str, Any]]:
    """Yields every subschema; names in ``properties``, ``patternProperties`` and ``$defs`` are not keywords."""
    if not isinstance(schema_node, dict):
        return
    yield schema_node
    for keyword, value in schema_node.items():
        if keyword in ("properties", "patternProperties", "$defs"):
            for member in value.values():
                yield from nodes(member)
        elif keyword == "items":
            yield from nodes(value)


def property_paths(node: dict[str, Any], at: str = "") -> set[str]:
    """Paths of all properties of the schema, with [] for array items."""
    if "$ref" in node:
        node = {**schema()["$defs"][node["$ref"].removeprefix("#/$defs/")], **node}
    paths: set[str] = set()
    for name, member in node.get("properties", {}).items():
        paths |= {f"{at}/{name}"} | property_paths(member, f"{at}/{name}")
    if "items" in node:
        paths |= property_paths(node["items"], f"{at}[]")
    return paths


def used_paths(value: Any, at: str = "") -> set[str]:
    paths: set[str] = set()
    if isinstance(value, dict):
        for name, member in value.items():
            paths |= {f"{at}/{name}"} | used_paths(member, f"{at}/{name}")
    if isinstance(value, list):
        for member in value:
            paths |= used_paths(member, f"{at}[]")
    return paths


def literal_codes(module: ModuleType) -> set[str]:
    """Literal codes of violations in the module's source."""
    places = {"Violation": 1, "UriNotAllowed": 0}
    codes = set()
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in places:
            argument = node.args[places[node.func.id]]
            if isinstance(argument, ast.Constant):
                codes.add(str(argument.value))
    return codes


def test_valid_examples_are_documented() -> None:
    assert VALID == ["full", "minimal", "title-card"]
    assert len(INVALID) >= 14


@pytest.mark.parametrize("name", VALID)
def test_a_valid_example_has_no_violation(name: str) -> None:
    assert find_violations(parse_payload((EXAMPLES / f"{name}.json").read_bytes()), POLICY) == []


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_example_gives_exactly_its_violations(name: str) -> None:
    assert [item.as_json() for item in find_violations(example(name), POLICY)] == expected(name)


@pytest.mark.parametrize("name", INVALID)
def test_no_message_leaks_the_schema_library(name: str) -> None:
    text = json.dumps(expected(name))
    for leak in ("is not valid under", "does not match", "was unexpected", "is a required property"):
        assert leak not in text


def test_every_errors_file_belongs_to_an_example() -> None:
    owners = {path.name.removesuffix(".errors.json") for path in (EXAMPLES / "invalid").glob("*.errors.json")}
    assert {name.removeprefix("invalid/") for name in INVALID} == owners


def test_full_uses_every_property_of_the_schema() -> None:
    excluded = {"/previewRequest/audio/uri", "/previewRequest/options/outputs"}  # assetId and format instead
    assert property_paths(schema()) - used_paths(example("full")) == excluded


def test_schema_is_valid_described_and_bounded() -> None:
    Draft202012Validator.check_schema(schema())
    assert json.loads(schema_text()) == schema()
    for node in nodes(schema()):
        if node.get("type") == "string":
            assert "maxLength" in node, node
        if node.get("type") == "array":
            assert "maxItems" in node, node
        if node.get("type") in ("integer", "number"):
            assert {"minimum", "maximum"} <= set(node), node
        if "pattern" in node or "format" in node:
            assert "x-allowed" in node, node
        if "properties" in node:
            assert node["additionalProperties"] is False, node
            for member in node["properties"].values():
                target = {**schema()["$defs"].get(member.get("$ref", "")[8:], {}), **member}
                assert {"title", "description"} <= set(target), member


def test_stock_validator_agrees_on_the_schema() -> None:
    stock = Draft202012Validator(schema())
    assert all(stock.is_valid(example(name)) for name in VALID)
    rejected = {name for name in INVALID if not stock.is_valid(example(name))}
    shape_codes = set(CODE_OF_KEYWORD.values()) - {"format"}  # an annotation to a stock validator
    ours = {name for name in INVALID if shape_codes & {item["code"] for item in expected(name)}}
    assert rejected == ours


CODE_OF_KEYWORD = {
    "type": "type",
    "required": "required",
    "additionalProperties": "unknown-property",
    "enum": "enum",
    "pattern": "pattern",
    "format": "format",
    "minLength": "min-length",
    "maxLength": "max-length",
    "minItems": "min-items",
    "maxItems": "max-items",
    "minimum": "minimum",
    "maximum": "maximum",
}


def test_every_schema_keyword_has_a_description_and_an_example() -> None:
    applicators = {"properties", "patternProperties", "items", "$ref", "x-allowed"}
    keywords = set().union(*(set(node) for node in nodes(schema()))) - _ANNOTATIONS - applicators
    assert keywords == set(CODE_OF_KEYWORD) == {"additionalProperties", *_DESCRIPTIONS}
    seen = {item["code"] for name in INVALID for item in expected(name)}
    assert set(CODE_OF_KEYWORD.values()) <= seen


def test_every_semantic_code_has_an_example() -> None:
    seen = {item["code"] for name in INVALID for item in expected(name)}
    assert (
        literal_codes(semantics_module) | literal_codes(uris_module) | literal_codes(outputs_module) <= seen
    )
    # JSON text cannot represent these; the unit tests create them from Python values and large ones.
    made_elsewhere = {"not-finite", "not-json-value", "too-large"}
    assert literal_codes(plain_module) - made_elsewhere <= seen
