"""Writes the payload's schema into the OpenAPI document: ``python -m tests.docs.write_openapi_schemas``.

Each definition of preview-job.schema.json is a component of schemas/openapi.json, named like the definition with a
capital, so that the document refers to nothing outside of itself.
"""

from __future__ import annotations

import json
from typing import Any

from previewops.schemas import openapi_text, schema
from tests.docs.documents import ROOT

DOCUMENT = ROOT / "schemas" / "openapi.json"
PAYLOAD = "PreviewJob"

_DEFINITION = "#/$defs/"
_COMPONENT = "#/components/schemas/"
_OF_DOCUMENT = frozenset({"$schema", "$id", "$defs"})


def component_name(definition: str) -> str:
    """Returns the component's name of a definition: "step" is "Step"."""
    return definition[0].upper() + definition[1:]


def payload_components() -> dict[str, Any]:
    """Returns the components that describe a payload, by name."""
    payload = schema()
    whole = {key: value for key, value in payload.items() if key not in _OF_DOCUMENT}
    definitions = {component_name(name): definition for name, definition in payload["$defs"].items()}
    return {name: _component(node) for name, node in {PAYLOAD: whole, **definitions}.items()}


def complete_document() -> dict[str, Any]:
    """Returns the OpenAPI document with the payload's components as the schema has them."""
    document: dict[str, Any] = json.loads(openapi_text())
    document["components"]["schemas"] |= payload_components()
    return document


def _component(node: Any, *, named: bool = False) -> Any:
    """Returns a part of the schema as a part of the OpenAPI document.

    Titles are dropped, except of properties called so: generators would name types by them instead of by component.
    """
    if isinstance(node, list):
        return [_component(item) for item in node]
    if not isinstance(node, dict):
        return node
    if named:
        return {name: _component(value) for name, value in node.items()}
    kept = {key: value for key, value in node.items() if key != "title"}
    if "$ref" in kept:
        name = component_name(kept.pop("$ref").removeprefix(_DEFINITION))
        return {"$ref": _COMPONENT + name, **kept}
    return {
        key: _component(value, named=key in ("properties", "patternProperties"))
        for key, value in kept.items()
    }


def main() -> None:
    """Rewrites the document."""
    DOCUMENT.write_text(json.dumps(complete_document(), indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
