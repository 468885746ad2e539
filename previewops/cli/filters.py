"""What ``--filter`` means."""

from __future__ import annotations

from previewops.errors import UsageError
from previewops.terms import FIELDS, Terms, parse_terms, unknown_fields


def terms_of(text: str) -> Terms:
    """The filter in an option.

    Raises:
        UsageError: a word names a field that there is not. On a screen it is text to look for, as somebody may be
            typing it still; here it would find nothing, which reads like good news.
    """
    strange = unknown_fields(text)
    if strange:
        raise UsageError(
            f"no field {', '.join(strange)} to filter by; there are {', '.join(FIELDS)}",
            hint=f"text with a colon in it goes in double quotes: --filter '\"{strange[0]}:…\"'",
        )
    return parse_terms(text)
