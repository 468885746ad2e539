"""Errors as lines of text."""

from __future__ import annotations

from previewops.errors import InvalidPayload, PreviewopsError


def format_error_lines(error: PreviewopsError) -> list[str]:
    """Returns the message and the hint of an error, or the violations of an invalid payload."""
    if isinstance(error, InvalidPayload):
        from previewops.contract import explain

        return explain(error)
    lines = [f"previewops: {error.message}"]
    return lines if error.hint is None else [*lines, f"hint: {error.hint}"]
