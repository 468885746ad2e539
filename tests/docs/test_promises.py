"""What the documents promise: each promise names a test that exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.documents import README, ROOT, prose

PAGES = [README, *sorted(set((ROOT / "docs").glob("*.md")) - {ROOT / "docs" / "fault-report.md"})]
_PROMISE = re.compile(
    r"\b(?:never|always|guarantees?|guaranteed|loses no|the same bytes|all or none)\b", re.IGNORECASE
)
_LINK_OR_HEADING = re.compile(r"\[[^]]*\]\([^)]*\)|^#.*", re.MULTILINE)
_NAMED = re.compile(r"\btest_\w+")
_ADVICE = "<!-- advice -->"  # tells the reader what to do, and promises nothing


def statements(page: Path) -> Iterator[str]:
    """Yields each paragraph, list item, heading and row of a table, with the comment behind it."""
    for paragraph in re.split(r"\n\s*\n", prose(page)):
        if paragraph.lstrip().startswith("|"):
            yield from paragraph.splitlines()
        else:
            yield from re.split(r"\n(?=\s*(?:- |[0-9]+\. ))", paragraph)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_promise_names_its_test(page: Path) -> None:
    unproved = [
        statement
        for statement in statements(page)
        if _PROMISE.search(_LINK_OR_HEADING.sub("", statement))
        and not _NAMED.search(statement)
        and _ADVICE not in statement
    ]
    assert unproved == []


def test_the_tests_that_prove_promises_exist() -> None:
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    for page in PAGES:
        for comment in re.findall(r"<!-- test: (.*?) -->", page.read_text("utf-8")):
            assert set(_NAMED.findall(comment)) <= defined, page.name
