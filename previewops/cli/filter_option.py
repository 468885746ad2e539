"""What ``--filter`` means."""

from __future__ import annotations

from previewops.errors import UsageError
from previewops.queue.filter_query import FilterQuery, UnknownFilterFields, parse_filter


def parse_filter_option(text: str) -> FilterQuery:
    """The filter in an option.

    Raises:
        UsageError: a word names a field that there is not.
    """
    try:
        return parse_filter(text)
    except UnknownFilterFields as error:
        raise UsageError(
            error.message,
            hint=f"text with a colon in it goes in double quotes: --filter '\"{error.names[0]}:…\"'",
        ) from None
