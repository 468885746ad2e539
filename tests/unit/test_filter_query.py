"""Filter language: parsing, matching, and printing in a form that parses to the same filter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewops.queue.filter_query import (
    FILTER_FIELDS,
    FilterQuery,
    FilterTerm,
    UnknownFilterFields,
    parse_filter,
)

JOB = {
    "id": "lesson-1",
    "project": "Lessons",
    "priority": "high",
    "state": "dead",
    "error": "asset-missing: no 'a b.png'",
}

texts = st.text(st.sampled_from('aB! \t":éproject'), max_size=8) | st.text(
    st.characters(exclude_characters="\0"), max_size=8
)
fields_of_terms = st.sampled_from(FILTER_FIELDS)
terms = st.builds(FilterTerm, texts, st.none() | fields_of_terms, st.booleans()) | st.builds(
    FilterTerm, texts, fields_of_terms, st.booleans(), st.just(True)
)
filters = st.builds(FilterQuery, st.lists(terms, max_size=4).map(tuple), st.booleans())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("  \t ", ()),
        ("high", (FilterTerm("high"),)),
        (
            "project:lessons high !timeout",
            (FilterTerm("lessons", "project"), FilterTerm("high"), FilterTerm("timeout", negated=True)),
        ),
        ("PROJECT:Lessons", (FilterTerm("Lessons", "project"),)),
        ("!state:dead", (FilterTerm("dead", "state", negated=True),)),
        ('"colour:red"', (FilterTerm("colour:red"),)),
        ("http://x", (FilterTerm("http://x"),)),
        ('error:"no file"', (FilterTerm("no file", "error"),)),
        ('"no file" "project:x" "!x"', (FilterTerm("no file"), FilterTerm("project:x"), FilterTerm("!x"))),
        ('a" "b', (FilterTerm("a b"),)),
        ('"a ""quoted"" word"', (FilterTerm('a "quoted" word'),)),
        ('error:"still typing', (FilterTerm("still typing", "error"),)),
        ("error:", (FilterTerm("", "error"),)),
        ("error:!x", (FilterTerm("!x", "error"),)),
        ("project:=Kids", (FilterTerm("Kids", "project", exact=True),)),
        ('!title:="two words"', (FilterTerm("two words", "title", negated=True, exact=True),)),
        ('error:"=x" =y', (FilterTerm("=x", "error"), FilterTerm("=y"))),
        ('"a\0b"', (FilterTerm("a b"),)),
        ("a ! b", (FilterTerm("a"), FilterTerm("b"))),
        ("!", ()),
        ("a !", (FilterTerm("a"),)),
    ],
)
def test_parse_filter(text: str, expected: tuple[FilterTerm, ...]) -> None:
    assert parse_filter(text) == FilterQuery(expected)


@pytest.mark.parametrize("text", ["! high", "  ! high", "! ! high"])
def test_leading_mark_negates_the_whole_filter(text: str) -> None:
    assert parse_filter(text) == FilterQuery((FilterTerm("high"),), inverted=True)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("LESSON", True),
        ("missing", True),
        ("id:missing", False),
        ("project:lessons high", True),
        ("project:lessons low", False),
        ("!low", True),
        ("!high", False),
        ("!state:waiting error:'a", True),
        ('"a b.png"', True),
        ("worker:w", False),
        ("!worker:w", True),
        ("! high", False),
        ("! low", True),
        ("! high low", True),
        ("! !low", False),
        ("error:", True),
        ("!error:", True),
        ("! ", True),
        ("! error:", True),
    ],
)
def test_all_terms_must_match(text: str, matches: bool) -> None:
    assert parse_filter(text).matches(JOB) is matches


def test_only_ascii_letters_match_case_insensitively() -> None:
    assert parse_filter("STRASSE").matches({"id": "strasse"})
    assert not parse_filter("ÉTÉ").matches({"id": "été"})
    assert parse_filter("éTé").matches({"id": "étÉ été"})


def test_term_rejects_nul() -> None:
    with pytest.raises(ValueError, match="NUL"):
        FilterTerm("a\0b")


@given(filters)
def test_printed_filter_parses_to_the_same(query: FilterQuery) -> None:
    assert parse_filter(str(query)) == query


@given(st.text())
def test_any_text_parses_and_prints_stably(text: str) -> None:
    try:
        once = parse_filter(text)
    except UnknownFilterFields as error:
        once = error.known_part
    assert parse_filter(str(once)) == once
    assert str(parse_filter(str(once))) == str(once)


@given(filters)
def test_script_arguments_carry_the_whole_filter(query: FilterQuery) -> None:
    inverted, count, *rest = query.script_arguments()
    assert (inverted == "1", int(count)) == (query.inverted, len(query))
    assert len(rest) == 3 * len(query)


@pytest.mark.parametrize(
    ("text", "strange", "rest"),
    [
        ("proj:lessons high !timeout", ("proj",), "high !timeout"),
        ("!Foo:x bar:y Foo:z", ("Foo", "bar"), ""),
        ("! state:dead\0kin:x", ("kin",), "! state:dead"),
        ("foo:", ("foo",), ""),
    ],
)
def test_unknown_fields_are_rejected(text: str, strange: tuple[str, ...], rest: str) -> None:
    with pytest.raises(UnknownFilterFields) as caught:
        parse_filter(text)
    assert (caught.value.names, str(caught.value.known_part)) == (strange, rest)
    assert f"found {', '.join(strange)}, allowed id, project" in caught.value.message


@pytest.mark.parametrize("text", ['project:a ERROR:"x:y" "foo:bar"', "https://example.org 12:30 :x", ""])
def test_urls_times_and_quotes_are_not_fields(text: str) -> None:
    parse_filter(text)
