"""The words by which people filter jobs, dead letters, workers and events. Pure.

``project:lessons high !timeout`` means: the project has "lessons" in it, some field has "high" in it, and none
has "timeout". Words stand apart by spaces; ``"double quotes"`` keep spaces, and a doubled quote inside them is
one quote. ``field:`` narrows a word to one of :data:`FIELDS`, a leading ``!`` negates it, and a lone ``!`` in
front of everything inverts the whole. ASCII letters match in either case.

Every door reads by :func:`read_terms`, which refuses fields that there are not.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from previewops.errors import UsageError

FILTER_FIELDS = ("id", "project", "priority", "state", "error", "worker", "kind", "who")
"""What a word can be narrowed to."""

_SPACES = " \t\r\n"
_FIELD = re.compile(rf"({'|'.join(FILTER_FIELDS)}):", re.IGNORECASE)
_NAMED = re.compile(r"!?([A-Za-z]+):(?!//)")
_WORD = re.compile(rf'(?:"(?:[^"]|"")*(?:"|\Z)|[^{_SPACES}"])*')
_LOWERED = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@dataclass(frozen=True, slots=True)
class FilterTerm:
    """One word: ``text`` is looked for in ``field``, or in all for None. Without text it holds always.

    Raises:
        ValueError: ``text`` has a NUL, which stands between fields where the scripts look at all.
    """

    text: str
    field: str | None = None
    negated: bool = False

    def __post_init__(self) -> None:
        if "\0" in self.text:
            raise ValueError("a word of a filter has no NUL in it")

    @property
    def folded(self) -> str:
        """The text as it is compared, ASCII letters in lower case."""
        return _folded(self.text)

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Whether the word holds of something with these fields."""
        if not self.text:
            return True
        wanted = self.folded
        looked_at = fields.values() if self.field is None else (fields.get(self.field, ""),)
        return any(wanted in _folded(value) for value in looked_at) is not self.negated

    def __str__(self) -> str:
        """The word as it can be typed."""
        prefix = ("!" if self.negated else "") + ("" if self.field is None else f"{self.field}:")
        return prefix + (_quoted(self.text) if self._needs_quotes() else self.text)

    def _needs_quotes(self) -> bool:
        if any(character in _SPACES or character == '"' for character in self.text):
            return True
        return self.field is None and (
            not self.text
            or self.text.startswith("!")
            or any(named.match(self.text) for named in (_FIELD, _NAMED))
        )


@dataclass(frozen=True, slots=True)
class FilterQuery:
    """A filter: all ``terms`` have to hold, or with ``inverted`` not all of them. Without terms all matches."""

    terms: tuple[FilterTerm, ...] = ()
    inverted: bool = False

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Whether something with these fields, by name, is meant. A field that is absent is empty."""
        if not self:
            return True
        return all(term.matches(fields) for term in self.terms) is not self.inverted

    def script_arguments(self) -> tuple[str, ...]:
        """The filter as the scripts are given it: inverted, the number of terms, then field, negated and text."""
        flat = [part for term in self.terms for part in (term.field or "", "01"[term.negated], term.folded)]
        return ("01"[self.inverted], str(len(self.terms)), *flat)

    def __bool__(self) -> bool:
        """Whether anything is asked."""
        return any(term.text for term in self.terms)

    def __iter__(self) -> Iterator[FilterTerm]:
        return iter(self.terms)

    def __len__(self) -> int:
        return len(self.terms)

    def __str__(self) -> str:
        """The filter as it can be typed: ``read_terms`` makes the same of it."""
        return ("! " if self.inverted else "") + " ".join(map(str, self.terms))


class UnknownFilterFields(UsageError):
    """Words are narrowed to fields that there are not: ``names``. ``rest`` is the filter without these words.

    Taken for text they would find nothing, which reads like good news, and turned round by ``!`` everything.
    """

    def __init__(self, names: tuple[str, ...], known_part: FilterQuery) -> None:
        super().__init__(
            f"no field {', '.join(names)} to filter by; there are {', '.join(FILTER_FIELDS)}",
            hint=f'text with a colon in it goes in double quotes: "{names[0]}:…"',
        )
        self.names = names
        self.known_part = known_part


def parse_filter(text: str) -> FilterQuery:
    """Reads what somebody asks for. A quote that is open ends with the text; addresses and what is quoted are text.

    A ``!`` that stands alone elsewhere than in front is left out, as a word that is just being typed. A NUL is
    a space.

    Raises:
        UnknownFields: something stands before a colon as if it were a field and is none.
    """
    names: list[str] = []

    def known(word: str) -> bool:
        match = _NAMED.match(word)
        if match is None or _folded(match[1]) in FILTER_FIELDS:
            return True
        names.append(match[1])
        return False

    terms = _read(text, known)
    if names:
        raise UnknownFilterFields(tuple(dict.fromkeys(names)), terms)
    return terms


def _read(text: str, meant: Callable[[str], bool]) -> FilterQuery:
    """The filter of the words that are ``meant``."""
    text = text.replace("\0", " ")
    terms: list[FilterTerm] = []
    at, inverted = 0, False
    while True:
        while at < len(text) and text[at] in _SPACES:
            at += 1
        if at == len(text):
            return FilterQuery(tuple(terms), inverted)
        match = _WORD.match(text, at)
        assert match is not None
        word, at = match[0], match.end()
        if word == "!":
            inverted = inverted or (not terms and not text[: match.start()].strip(_SPACES) and at < len(text))
        elif meant(word):
            terms.append(_term(word))


def _term(word: str) -> FilterTerm:
    negated = word.startswith("!")
    rest = word[1:] if negated else word
    named = _FIELD.match(rest)
    field = None if named is None else _folded(named[1])
    return FilterTerm(_unquoted(rest if named is None else rest[named.end() :]), field, negated)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _unquoted(word: str) -> str:
    """The word without the quotes that keep its spaces."""
    kept: list[str] = []
    at, inside = 0, False
    while at < len(word):
        if word[at] != '"':
            kept.append(word[at])
        elif inside and word[at + 1 : at + 2] == '"':
            kept.append('"')
            at += 1
        else:
            inside = not inside
        at += 1
    return "".join(kept)


def _folded(text: str) -> str:
    return text.translate(_LOWERED)
