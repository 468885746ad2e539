"""Value of ``--filter``."""

from __future__ import annotations

from previewops.errors import UsageError
from previewops.queue.filter_query import FilterQuery, UnknownFilterFields, parse_filter


def parse_filter_option(text: str) -> FilterQuery:
    """Parses the filter of an option.

    Raises:
        UsageError: unknown field.
    """
    try:
        return parse_filter(text)
    except UnknownFilterFields as error:
        raise UsageError(
            error.message,
            hint=f"put text that contains a colon in double quotes: --filter '\"{error.names[0]}:…\"'",
        ) from None
