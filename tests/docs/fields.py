"""Descriptions of the contract's fields, from its JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from previewops.schemas import schema

Schema = Mapping[str, Any]

_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field: name, allowed values, presence or default, and meaning."""

    name: str
    allowed: str
    presence: str  # "required", "default …" or "optional"
    meaning: str


def objects() -> Iterator[tuple[str, str, list[Field]]]:
    """Yields (place in the document, description, fields) of every object of the contract, outermost first."""
    definitions = schema()["$defs"]
    options = definitions["options"]["properties"]
    yield "the document", schema()["description"].partition(". ")[0] + ".", fields(schema())
    for place, node in (
        ("previewRequest", definitions["previewRequest"]),
        ("previewRequest.steps[]", definitions["step"]),
        ("previewRequest.assets[]", definitions["asset"]),
        ("previewRequest.assets[].focus", definitions["asset"]["properties"]["focus"]),
        ("previewRequest.audio", definitions["audio"]),
        ("previewRequest.options", definitions["options"]),
        ("previewRequest.options.stepsRange", options["stepsRange"]),
        ("previewRequest.options.brand", options["brand"]),
        ("previewRequest.options.brand.logo", options["brand"]["properties"]["logo"]),
        ("previewRequest.options.thumbnails", options["thumbnails"]),
    ):
        yield place, node["description"], fields(node)


def fields(node: Schema) -> list[Field]:
    """The fields of one object of the schema."""
    required = node.get("required", [])
    return [_field(name, _resolved(entry), name in required) for name, entry in node["properties"].items()]


def _field(name: str, entry: Schema, required: bool) -> Field:
    presence = "optional"
    if required:
        presence = "required"
    elif "default" in entry:
        presence = f"default {_word(entry['default'])}"
    return Field(name, allowed(entry), presence, entry["description"])


def allowed(entry: Schema) -> str:
    """Returns a description of a field's allowed values."""
    if "enum" in entry:
        return ", ".join(map(_word, entry["enum"]))
    if "x-allowed" in entry:
        return str(entry["x-allowed"])
    kind = entry["type"]
    if isinstance(kind, list):
        return " or ".join(_KINDS[name] for name in kind)
    if kind == "array":
        return f"up to {entry['maxItems']}{_items(_resolved(entry['items']))}"
    if kind in ("integer", "number"):
        return f"{_KINDS[kind]} from {entry['minimum']} to {entry['maximum']}"
    if kind == "string":
        return f"{_KINDS[kind]} of {entry['minLength']} to {entry['maxLength']} characters"
    return _KINDS[kind]


def _items(entry: Schema) -> str:
    if "enum" in entry:
        return f" of {allowed(entry)}"
    return " objects" if entry["type"] == "object" else f", each of {allowed(entry)}"


def _resolved(entry: Schema) -> Schema:
    """Returns an entry merged with the definition that it refers to."""
    if "$ref" not in entry:
        return entry
    entry_schema: Schema = {**schema()["$defs"][entry["$ref"].removeprefix("#/$defs/")], **entry}
    return entry_schema


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
