"""Validates payloads and themes against JSON Schemas, with messages. The only module that loads jsonschema."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
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
    fits_in_pointer,
    join_names,
    json_pointer,
    json_type_name,
    quote,
)
from previewops.schemas import schema

_ANNOTATIONS = frozenset({"title", "description", "default", "$schema", "$id", "$defs"})
_TYPE_NAMES = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "an array",
    "object": "an object",
}

Schema = Mapping[str, Any]
Description = tuple[str, str, str, str]  # code, message, found and allowed of a violation


def schema_violations(payload: object, source: Callable[[], Schema] = schema) -> Iterator[Violation]:
    """Yields the schema violations of ``payload``, a value in plain JSON types, in no particular order.

    ``source`` returns the schema.
    """
    for error in _validator(source).iter_errors(payload):  # type: ignore[arg-type]  # any value is allowed
        path = tuple(error.absolute_path)
        if error.validator == "additionalProperties":
            yield from _unknown_properties(error, path)
        else:
            yield Violation(json_pointer(path), *_DESCRIPTIONS[str(error.validator)](error))


@cache
def _validator(source: Callable[[], Schema]) -> Validator:
    formats = FormatChecker(formats=())
    formats.checks("date-time")(lambda value: not isinstance(value, str) or is_rfc3339(value))
    bounded: Callable[..., Validator] = extend(  # type: ignore[no-untyped-call]
        Draft202012Validator,
        {
            "additionalProperties": _additional_properties,
            "items": _items,
            "pattern": _pattern,
            "patternProperties": _pattern_properties,
            "properties": _properties,
            "required": _required,
        },
    )
    definitions = source()["$defs"]
    return bounded(_inlined(source(), definitions), format_checker=formats)


def _inlined(node: Any, definitions: Schema) -> Any:
    """Returns the schema with references replaced and annotations dropped: references are slow to follow."""
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        siblings = {key: value for key, value in node.items() if key != "$ref"}
        node = {**definitions[node["$ref"].removeprefix("#/$defs/")], **siblings}
    inlined = {key: _inlined(value, definitions) for key, value in node.items() if key not in _ANNOTATIONS}
    if "properties" in node:  # names in it are not keywords
        properties = node["properties"].items()
        inlined["properties"] = {key: _inlined(value, definitions) for key, value in properties}
    return inlined


def _items(validator: Any, items: Schema, instance: object, schema: Schema) -> Iterator[ValidationError]:
    """Like the standard keyword, but does not check the items of an array that is too long."""
    if isinstance(instance, list) and len(instance) <= schema["maxItems"]:
        for index, item in enumerate(instance):
            yield from _below(validator, item, items, index)


def _properties(validator: Any, properties: Schema, instance: object, _: Schema) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for name, subschema in properties.items():
            if name in instance:
                yield from _below(validator, instance[name], subschema, name)


_VALIDATORS: dict[int, Any] = {}
"""Validators by the id of their part of the schema, which is never freed."""


def _below(validator: Any, instance: object, subschema: Schema, place: PathPart) -> Iterator[ValidationError]:
    """Yields the errors below ``place``, with a cached validator.

    ``descend`` creates a validator for each value, which takes more than half of the validation time.
    """
    cached = _VALIDATORS.get(id(subschema))
    if cached is None:
        cached = _VALIDATORS[id(subschema)] = validator.evolve(schema=subschema)
    for error in cached.iter_errors(instance):
        error.path.appendleft(place)
        yield error


def _additional_properties(_: Any, __: object, instance: object, schema: Schema) -> Iterator[ValidationError]:
    """Like the standard keyword, whose message lists every unknown name, however many they are."""
    if isinstance(instance, dict) and next(_unknown_names(instance, schema), None) is not None:
        yield ValidationError("additionalProperties")


def _pattern_properties(*_: object) -> Iterator[ValidationError]:
    """Yields nothing: the schema allows any value under the names of ``patternProperties``."""
    return iter(())


def _unknown_names(instance: Mapping[str, object], schema: Schema) -> Iterator[str]:
    extensible = "patternProperties" in schema
    return (
        name
        for name in instance
        if name not in schema["properties"] and not (extensible and name.startswith("x-"))
    )


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


def _unknown_properties(error: Any, path: tuple[PathPart, ...]) -> Iterator[Violation]:
    known = error.schema["properties"]
    extensible = "patternProperties" in error.schema
    allowed = join_names(known) + (", names that start with x-" if extensible else "")
    for name in _unknown_names(error.instance, error.schema):
        value = error.instance[name]
        found = describe_value(value) if fits_in_pointer(name) else f"{quote(name)} as a name"
        pointer = json_pointer((*path, name))
        yield Violation(pointer, "unknown-property", "is not a known property", found, allowed)


def _describe_type(error: Any) -> Description:
    names = [error.validator_value] if isinstance(error.validator_value, str) else error.validator_value
    wanted = " or ".join(_TYPE_NAMES[name] for name in names)
    message = f"must be {wanted}, not {json_type_name(error.instance)}"
    return "type", message, describe_value(error.instance), wanted


def _describe_required(error: Any) -> Description:
    member = error.schema["properties"][error.absolute_path[-1]]
    return "required", "is missing", "nothing", member.get("x-allowed") or _TYPE_NAMES[member["type"]]


def _describe_enum(error: Any) -> Description:
    allowed = ", ".join(map(str, error.validator_value))
    return "enum", "is not an allowed value", describe_value(error.instance), allowed


def _describe_format(error: Any) -> Description:
    found = describe_value(error.instance)
    return error.validator, "has an invalid format", found, str(error.schema["x-allowed"])


def _describe_range(error: Any) -> Description:
    side = "below the minimum" if error.validator == "minimum" else "above the maximum"
    allowed = f"from {error.schema['minimum']} to {error.schema['maximum']}"
    return error.validator, f"is {side}", describe_value(error.instance), allowed


def _describe_length(code: str, message: str, allowed: str, unit: str) -> Callable[[Any], Description]:
    def describe(error: Any) -> Description:
        found = f"{len(error.instance)} {unit}" if unit else describe_value(error.instance)
        return code, message, found, allowed.format(error.validator_value)

    return describe


_DESCRIPTIONS: dict[str, Callable[[Any], Description]] = {
    "type": _describe_type,
    "required": _describe_required,
    "enum": _describe_enum,
    "pattern": _describe_format,
    "format": _describe_format,
    "minLength": _describe_length("min-length", "is empty", "at least {} character", ""),
    "maxLength": _describe_length("max-length", "is too long", "at most {} characters", "characters"),
    "minItems": _describe_length("min-items", "is empty", "at least {} item", ""),
    "maxItems": _describe_length("max-items", "has too many items", "at most {} items", "items"),
    "minimum": _describe_range,
    "maximum": _describe_range,
}
"""By keyword. ``additionalProperties`` is not here: one error may give several violations."""
