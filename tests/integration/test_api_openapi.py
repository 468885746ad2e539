"""The OpenAPI document matches the routes and responses."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from previewops.schemas import openapi_text, schema_text
from tests.api_support import ApiUnderTest, document, operations, resolve_reference, serve_api
from tests.docs.write_openapi_schemas import complete_document

pytestmark = pytest.mark.redis


@pytest.fixture
async def api(redis_url: str, tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    async with serve_api(redis_url, tmp_path) as served:
        yield served


async def test_routes_and_document_agree_both_ways(api: ApiUnderTest) -> None:
    served_here = {
        (method, re.sub(r":\w+}", "}", route.path))
        for route in api.routes
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert served_here == set(operations())


async def test_openapi_and_schema_are_served(api: ApiUnderTest) -> None:
    response = await api.client.get("/openapi.json")
    assert response.json() == json.loads(openapi_text())
    schema = await api.client.get("/preview-job.schema.json")
    assert schema.json() == json.loads(schema_text())


def test_document_refers_to_nothing_outside_of_itself() -> None:
    assert {reference[:2] for reference in re.findall(r'"\$ref": "([^"]*)"', openapi_text())} == {"#/"}


def test_payload_components_are_those_of_the_schema() -> None:
    assert complete_document() == document(), "run python -m tests.docs.write_openapi_schemas"
    body = operations()["POST", "/api/preview/jobs"]["requestBody"]["content"]["application/json"]["schema"]
    described = {**body, "components": document()["components"]}
    examples = Path(__file__).parents[2] / "schemas" / "examples"
    for path in examples.rglob("*.json"):
        if not path.name.endswith(".errors.json"):
            instance = json.loads(path.read_text("utf-8"))
            served = Draft202012Validator(described).is_valid(instance)
            assert served == Draft202012Validator(json.loads(schema_text())).is_valid(instance), path


def test_every_reference_resolves_and_every_component_is_used() -> None:
    text = openapi_text()
    named = set(re.findall(r'"#/components/(\w+/\w+)"', text))
    there = {
        f"{kind}/{name}"
        for kind, result in document()["components"].items()
        for name in result
        if kind != "securitySchemes"
    }
    assert named == there


def test_tools_that_lint_the_document_have_nothing_to_report() -> None:
    """What redocly (recommended rules) and openapi-python-client reported once."""
    assert document()["info"]["license"]["identifier"] == "MIT"
    assert all(tag["description"] for tag in document()["tags"])

    def walk(node: Any) -> None:
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            walk(child)
        if isinstance(node, dict) and isinstance(node.get("required"), list):
            assert set(node["required"]) <= set(node.get("properties", {})), node["required"]

    walk(document())
    # A stream of events has no type: some tools take it for a text, others for one event after the other.
    events = operations()["GET", "/api/preview/jobs/{jobId}/events"]["responses"]["200"]["content"]
    assert "type" not in events["text/event-stream"]["schema"]


def test_errors_are_problems_and_responses_have_a_request_id() -> None:
    for operation in operations().values():
        for status, result in operation["responses"].items():
            described = resolve_reference(result)
            assert "X-Request-Id" in described["headers"]
            if status >= "4":
                assert "application/problem+json" in described["content"]
