"""The filter language for jobs, dead letters, workers and events. Pure.

``project:lessons high !timeout`` matches if the project contains "lessons", any field contains "high", and
none contains "timeout". Spaces separate terms. ``"double quotes"`` keep spaces; a doubled quote inside them
is a literal quote. ``field:`` limits a term to one of :data:`FILTER_FIELDS`, ``field:=`` compares the whole
field, a leading ``!`` negates the term, and a ``!`` alone at the start negates the whole filter. ASCII letters
match case-insensitively. :data:`PAYLOAD_FIELDS` are searched only by terms that name them: the payload is read.

All user input is parsed by :func:`parse_filter`, which rejects unknown fields.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from previewops.errors import UsageError

PAYLOAD_FIELDS = ("request", "title")
"""requestId and title of a job's payload."""

FILTER_FIELDS = ("id", "project", "priority", "state", "error", "worker", *PAYLOAD_FIELDS, "kind", "who")
"""Fields that a term can be limited to."""

_EXACT = "="

_SPACES = " \t\r\n"
_FIELD = re.compile(rf"({'|'.join(FILTER_FIELDS)}):", re.IGNORECASE)
_ANY_FIELD = re.compile(r"!?([A-Za-z]+):(?!//)")
_TERM = re.compile(rf'(?:"(?:[^"]|"")*(?:"|\Z)|[^{_SPACES}"])+')
_QUOTED = re.compile(r'"((?:[^"]|"")*)(?:"|\Z)')
_LOWERED = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@dataclass(frozen=True, slots=True)
class FilterTerm:
    """One term: ``text`` is searched in ``field``, or in all fields if None. An empty text always matches.

    ``exact``: the field, or one of its lines, equals ``text``.

    Raises:
        ValueError: ``text`` contains a NUL, which separates fields in the scripts; or ``exact`` without a field.
    """

    text: str
    field: str | None = None
    negated: bool = False
    exact: bool = False

    def __post_init__(self) -> None:
        if "\0" in self.text:
            raise ValueError("a filter term cannot contain a NUL character")
        if self.exact and self.field is None:
            raise ValueError("an exact filter term needs a field")

    @property
    def folded(self) -> str:
        """The text as it is compared: ASCII letters in lower case."""
        return _folded(self.text)

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Whether the term matches these fields."""
        if not self.text:
            return True
        if self.field is None:
            values = [value for name, value in fields.items() if name not in PAYLOAD_FIELDS]
        else:
            values = [fields.get(self.field, "")]
        edge = "\n" if self.exact else ""
        text = f"{edge}{self.folded}{edge}"
        return any(text in f"{edge}{_folded(value)}{edge}" for value in values) is not self.negated

    def __str__(self) -> str:
        """The term in the filter language."""
        prefix = ("!" if self.negated else "") + ("" if self.field is None else f"{self.field}:")
        prefix += _EXACT if self.exact else ""
        return prefix + (_quote(self.text) if self._needs_quotes() else self.text)

    def _needs_quotes(self) -> bool:
        if any(character in _SPACES or character == '"' for character in self.text):
            return True
        if self.field is not None:
            return not self.exact and self.text.startswith(_EXACT)
        return (
            not self.text
            or self.text.startswith("!")
            or _FIELD.match(self.text) is not None
            or _ANY_FIELD.match(self.text) is not None
        )


@dataclass(frozen=True, slots=True)
class FilterQuery:
    """A filter: all ``terms`` must match, or not all of them if ``inverted``. Without terms everything matches."""

    terms: tuple[FilterTerm, ...] = ()
    inverted: bool = False

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Whether the filter matches these fields. An absent field is empty."""
        if not self:
            return True
        return all(term.matches(fields) for term in self.terms) is not self.inverted

    def script_arguments(self) -> tuple[str, ...]:
        """The filter as script arguments: inverted, number of terms, then field, negated and text of each."""
        flat = [
            part
            for term in self.terms
            for part in ((_EXACT if term.exact else "") + (term.field or ""), "01"[term.negated], term.folded)
        ]
        return ("01"[self.inverted], str(len(self.terms)), *flat)

    def __bool__(self) -> bool:
        """Whether any term has a text."""
        return any(term.text for term in self.terms)

    def __iter__(self) -> Iterator[FilterTerm]:
        return iter(self.terms)

    def __len__(self) -> int:
        return len(self.terms)

    def __str__(self) -> str:
        """The filter in the filter language; ``parse_filter`` returns an equal filter."""
        return ("! " if self.inverted else "") + " ".join(map(str, self.terms))


class UnknownFilterFields(UsageError):
    """Terms name fields that do not exist: ``names``. ``known_part`` is the filter without these terms.

    As plain text such a term would match nothing, which looks like good news, and with ``!`` everything.
    """

    def __init__(self, names: tuple[str, ...], known_part: FilterQuery) -> None:
        super().__init__(
            f"unknown filter field: found {', '.join(names)}, allowed {', '.join(FILTER_FIELDS)}",
            hint=f'put text with a colon into double quotes: "{names[0]}:…"',
        )
        self.names = names
        self.known_part = known_part


def parse_filter(text: str) -> FilterQuery:
    """Parses a filter. An open quote ends with the text. URLs and quoted parts are text, not fields.

    A ``!`` alone after the start is ignored: the user is typing a term. A NUL counts as a space.

    Raises:
        UnknownFilterFields: a term names a field that does not exist.
    """
    names: list[str] = []

    def is_known(term: str) -> bool:
        match = _ANY_FIELD.match(term)
        if match is None or _folded(match[1]) in FILTER_FIELDS:
            return True
        names.append(match[1])
        return False

    query = _parse(text, is_known)
    if names:
        raise UnknownFilterFields(tuple(dict.fromkeys(names)), query)
    return query


def _parse(text: str, accept: Callable[[str], bool]) -> FilterQuery:
    text = text.replace("\0", " ")
    terms: list[FilterTerm] = []
    inverted = False
    for match in _TERM.finditer(text):
        raw = match[0]
        if raw == "!":
            is_leading = not text[: match.start()].strip(_SPACES)
            inverted = inverted or (is_leading and match.end() < len(text))
        elif accept(raw):
            terms.append(_parse_term(raw))
    return FilterQuery(tuple(terms), inverted)


def _parse_term(raw: str) -> FilterTerm:
    negated = raw.startswith("!")
    rest = raw[1:] if negated else raw
    match = _FIELD.match(rest)
    if match is None:
        return FilterTerm(_unquote(rest), None, negated)
    text = rest[match.end() :]
    exact = text.startswith(_EXACT)
    return FilterTerm(_unquote(text[1:] if exact else text), _folded(match[1]), negated, exact)


def _quote(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _unquote(raw: str) -> str:
    return _QUOTED.sub(lambda match: match[1].replace('""', '"'), raw)


def _folded(text: str) -> str:
    return text.translate(_LOWERED)
