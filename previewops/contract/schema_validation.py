"""Validates a payload against the JSON Schema, with readable messages. The only module that loads jsonschema."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from previewops.contract.timestamps import is_rfc3339
from previewops.errors import Violation
from previewops.message_formatting import (
    PathPart,
    describe_value,
    is_short_printable,
    join_names,
    json_pointer,
    json_type_name,
    quote,
)
from previewops.schemas import schema

_ANNOTATIONS = frozenset({"title", "description", "default", "$schema", "$id", "$defs"})
_TYPES_IN_WORDS = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "an array",
    "object": "an object",
}

Schema = Mapping[str, Any]


def schema_violations(payload: object) -> Iterator[Violation]:
    """Yields the schema violations of ``payload``, a value in plain JSON types, in no particular order."""
    for error in _validator().iter_errors(payload):  # type: ignore[arg-type]  # any value is allowed
        yield from _SENTENCES[str(error.validator)](error, tuple(error.absolute_path))


@cache
def _validator() -> Validator:
    formats = FormatChecker(formats=())
    formats.checks("date-time")(lambda value: not isinstance(value, str) or is_rfc3339(value))
    bounded: Callable[..., Validator] = extend(  # type: ignore[no-untyped-call]
        Draft202012Validator,
        {"items": _items, "pattern": _pattern, "properties": _properties, "required": _required},
    )
    source = schema()
    return bounded(_inlined(source, source["$defs"]), format_checker=formats)


def _inlined(node: Any, definitions: Schema) -> Any:
    """Returns the schema with references replaced and annotations dropped: references are slow to follow."""
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        siblings = {key: value for key, value in node.items() if key != "$ref"}
        node = {**definitions[node["$ref"].removeprefix("#/$defs/")], **siblings}
    kept = {key: value for key, value in node.items() if key not in _ANNOTATIONS}
    if "properties" in kept:
        named = {key: _inlined(value, definitions) for key, value in kept["properties"].items()}
        return {**{key: _inlined(value, definitions) for key, value in kept.items()}, "properties": named}
    return {key: _inlined(value, definitions) for key, value in kept.items()}


def _items(validator: Any, items: Schema, instance: object, schema: Schema) -> Iterator[ValidationError]:
    """Like the standard keyword, but does not check the items of an array that is too long."""
    if isinstance(instance, list) and len(instance) <= schema["maxItems"]:
        for index, item in enumerate(instance):
            yield from _below(validator, item, items, index)


def _properties(
    validator: Any, properties: Schema, instance: object, schema: Schema
) -> Iterator[ValidationError]:
    """Like the standard keyword."""
    if isinstance(instance, dict):
        for name, subschema in properties.items():
            if name in instance:
                yield from _below(validator, instance[name], subschema, name)


_PREPARED: dict[int, Any] = {}
"""Validators by the id of their part of the schema, which is never freed."""


def _below(validator: Any, instance: object, subschema: Schema, place: PathPart) -> Iterator[ValidationError]:
    """Yields the errors below ``place``, with a cached validator.

    ``descend`` creates a validator for each value, which takes more than half of the validation time.
    """
    prepared = _PREPARED.get(id(subschema))
    if prepared is None:
        prepared = _PREPARED[id(subschema)] = validator.evolve(schema=subschema)
    for error in prepared.iter_errors(instance):
        error.path.appendleft(place)
        yield error


def _pattern(_: Any, pattern: str, instance: object, schema: Schema) -> Iterator[ValidationError]:
    """Like the standard keyword, but $ matches only at the very end, as in ECMA 262, not before a line break."""
    if isinstance(instance, str) and not _compiled(pattern).search(instance):
        yield ValidationError("pattern")


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern.replace("$", r"\Z"))


def _required(_: Any, required: list[str], instance: object, schema: Schema) -> Iterator[ValidationError]:
    """Like the standard keyword, but with the path of the missing member."""
    if isinstance(instance, dict):
        for name in required:
            if name not in instance:
                yield ValidationError("required", path=(name,))


Path = tuple[PathPart, ...]


def _type(error: Any, path: Path) -> Iterator[Violation]:
    names = [error.validator_value] if isinstance(error.validator_value, str) else error.validator_value
    wanted = " or ".join(_TYPES_IN_WORDS[name] for name in names)
    yield Violation(
        json_pointer(path),
        "type",
        f"must be {wanted}, not {json_type_name(error.instance)}",
        describe_value(error.instance),
        wanted,
    )


def _missing(error: Any, path: Path) -> Iterator[Violation]:
    subschema = _member_schema(error, str(path[-1]))
    yield Violation(json_pointer(path), "required", "is missing", "nothing", _in_words(subschema))


def _member_schema(error: Any, name: str) -> Schema:
    properties: Mapping[str, Schema] = error.schema["properties"]
    return properties[name]


def _in_words(subschema: Schema) -> str:
    if "x-allowed" in subschema:
        return str(subschema["x-allowed"])
    return _TYPES_IN_WORDS[subschema["type"]]


def _unknown(error: Any, path: Path) -> Iterator[Violation]:
    subschema: Schema = error.schema
    extension = "patternProperties" in subschema
    known = subschema["properties"]
    allowed = join_names(known) + (", names that start with x-" if extension else "")
    for name, value in error.instance.items():
        if name not in known and not (extension and name.startswith("x-")):
            found = describe_value(value) if is_short_printable(name) else f"{quote(name)} as a name"
            yield Violation(
                json_pointer((*path, name)),
                "unknown-property",
                "is not a known property",
                found,
                allowed,
            )


def _enum(error: Any, path: Path) -> Iterator[Violation]:
    allowed = ", ".join(str(value) for value in error.validator_value)
    yield Violation(
        json_pointer(path),
        "enum",
        "is not an allowed value",
        describe_value(error.instance),
        allowed,
    )


def _form(error: Any, path: Path) -> Iterator[Violation]:
    allowed = str(error.schema["x-allowed"])
    yield Violation(
        json_pointer(path),
        str(error.validator),
        "has an invalid format",
        describe_value(error.instance),
        allowed,
    )


def _too_short(error: Any, path: Path) -> Iterator[Violation]:
    yield Violation(
        json_pointer(path),
        "min-length",
        "is empty",
        describe_value(error.instance),
        f"at least {error.validator_value} character",
    )


def _too_long(error: Any, path: Path) -> Iterator[Violation]:
    found = f"{len(error.instance)} characters"
    yield Violation(
        json_pointer(path), "max-length", "is too long", found, f"at most {error.validator_value} characters"
    )


def _too_many(error: Any, path: Path) -> Iterator[Violation]:
    found = f"{len(error.instance)} items"
    yield Violation(
        json_pointer(path), "max-items", "has too many items", found, f"at most {error.validator_value} items"
    )


def _range(error: Any, path: Path) -> Iterator[Violation]:
    low, high = error.schema["minimum"], error.schema["maximum"]
    code = str(error.validator)
    side = "below the minimum" if code == "minimum" else "above the maximum"
    yield Violation(
        json_pointer(path),
        code,
        f"is {side}",
        describe_value(error.instance),
        f"from {low} to {high}",
    )


_SENTENCES: dict[str, Callable[[Any, Path], Iterable[Violation]]] = {
    "type": _type,
    "required": _missing,
    "additionalProperties": _unknown,
    "enum": _enum,
    "pattern": _form,
    "format": _form,
    "minLength": _too_short,
    "maxLength": _too_long,
    "maxItems": _too_many,
    "minimum": _range,
    "maximum": _range,
}
