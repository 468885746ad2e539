"""Decides whether a payload fits the JSON Schema, without messages. The only module that loads jsonschema-rs.

Most payloads are valid. A compiled validator accepts one of six steps in 3 us, where ``schema_validation`` takes 130,
and loads in a quarter of the time. A property test compares the two.
"""

from __future__ import annotations

from functools import cache

import jsonschema_rs

from previewops.contract.timestamps import is_rfc3339
from previewops.schemas import schema


def fits_schema(payload: object) -> bool:
    """Whether ``payload``, a value in plain JSON types without lone surrogates, has no schema violation."""
    return _validator().is_valid(payload)


@cache
def _validator() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        schema(), validate_formats=True, formats={"date-time": is_rfc3339}
    )
