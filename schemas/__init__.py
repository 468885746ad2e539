"""JSON Schemas and example payloads, as package data. Import name: ``previewops.schemas``."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

_SCHEMA_FILE = "preview-job.schema.json"
_OPENAPI_FILE = "openapi.json"
_THEME_FILE = "theme.schema.json"
_PREVIEW_FILE = "preview.schema.json"


def _read(*parts: str) -> str:
    from importlib.resources import files  # noqa: PLC0415 - costs more to import than all else here

    return files(__name__).joinpath(*parts).read_text(encoding="utf-8")


def schema_text() -> str:
    """Returns the JSON Schema (draft 2020-12) of a preview job as text."""
    return _read(_SCHEMA_FILE)


def openapi_text() -> str:
    """Returns the OpenAPI 3.1 description of the REST API as text."""
    return _read(_OPENAPI_FILE)


@cache
def schema() -> dict[str, Any]:
    """Returns the JSON Schema of a preview job, parsed once. Shared: callers must not change it."""
    parsed: dict[str, Any] = json.loads(schema_text())
    return parsed


@cache
def theme_schema() -> dict[str, Any]:
    """Returns the JSON Schema of a theme file, parsed once. Shared: callers must not change it."""
    parsed: dict[str, Any] = json.loads(_read(_THEME_FILE))
    return parsed


@cache
def preview_schema() -> dict[str, Any]:
    """Returns the JSON Schema of preview.json, parsed once. Shared: callers must not change it."""
    parsed: dict[str, Any] = json.loads(_read(_PREVIEW_FILE))
    return parsed


def example(name: str) -> dict[str, Any]:
    """Returns a new copy of the example payload ``name``: "minimal", "full", "title-card" or "invalid/NN-name".

    Raises:
        FileNotFoundError: there is no example of that name.
    """
    parsed: dict[str, Any] = json.loads(_read("examples", *f"{name}.json".split("/")))
    return parsed
