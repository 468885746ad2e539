"""What ``--filter`` means."""

from __future__ import annotations

from previewops.errors import UsageError
from previewops.terms import Terms, UnknownFields, read_terms


def terms_of(text: str) -> Terms:
    """The filter in an option.

    Raises:
        UsageError: a word names a field that there is not.
    """
    try:
        return read_terms(text)
    except UnknownFields as error:
        raise UsageError(
            error.message,
            hint=f"text with a colon in it goes in double quotes: --filter '\"{error.names[0]}:…\"'",
        ) from None
