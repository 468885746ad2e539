"""No regular expression of the program takes more than linear time, whatever text it is given."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from previewops.file_kinds import _SIGNATURES
from tests.growth import superlinear_size
from tests.patterns import ROOT, UsedPattern, attacks, collect_patterns, unusual_imports

USED, LOCAL = collect_patterns()

WORK: dict[str, Callable[[re.Pattern[Any]], Callable[[Any], object]]] = {
    "search": lambda pattern: pattern.search,
    "match": lambda pattern: pattern.match,
    "fullmatch": lambda pattern: pattern.fullmatch,
    "finditer": lambda pattern: lambda text: sum(1 for _ in pattern.finditer(text)),
}


def schema_patterns() -> Iterator[str]:
    """Yields the patterns of the published schemas: pattern, and the names of patternProperties."""

    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(pattern := node.get("pattern"), str):
                yield pattern
            yield from node.get("patternProperties", {})
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from walk(child)

    for path in sorted((ROOT / "schemas").glob("*.json")):
        yield from walk(json.loads(path.read_text("utf-8")))


LOCAL_PATTERNS = {
    ("previewops/contract/schema_validation.py", "pattern.replace('$', '\\\\Z')"): [
        UsedPattern("schemas", re.compile(text.replace("$", r"\Z")), frozenset({"search"}))
        for text in sorted(set(schema_patterns()))
    ],
    ("previewops/file_kinds.py", "pattern"): [
        UsedPattern("signatures", pattern, frozenset({"match"})) for pattern, _ in _SIGNATURES
    ],
}
"""The values of patterns that exist inside of functions only."""


def test_every_pattern_of_the_source_is_collected() -> None:
    assert unusual_imports() == [], "import regular expressions by `import re`"
    assert {(item.where, item.expression) for item in LOCAL} == set(LOCAL_PATTERNS)
    assert len({item.where for item in USED}) > 40


def names(patterns: list[UsedPattern]) -> list[Any]:
    return [pytest.param(used, id=f"{used.where} {number}") for number, used in enumerate(patterns)]


@pytest.mark.parametrize(
    "used", names(USED) + [case for listed in LOCAL_PATTERNS.values() for case in names(listed)]
)
def test_pattern_is_linear(used: UsedPattern) -> None:
    slow = superlinear(used)
    assert slow is None, f"{used.where}: {used.pattern.pattern!r} is not linear: {slow}"


def superlinear(used: UsedPattern) -> str | None:
    for method in sorted(used.methods):
        for build in attacks(used.pattern):
            if size := superlinear_size(WORK[method](used.pattern), build):
                return f"{method} of {size} characters such as {build(24)!r}"
    return None


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"\s+$", "search"),
        (r"bytes\s*=\s*([0-9]{0,18})\s*-", "fullmatch"),
        (r"(?<!\w)'[^\n]*?'(?!\w)", "finditer"),
        (r'"(?:[^"\\]|\\.)*"', "finditer"),
        (r"!?([A-Za-z]+):", "search"),
        (r"(?:a+)+!", "match"),
        (r".*foo.*bar", "search"),
    ],
)
def test_bad_patterns_are_detected(pattern: str, method: str) -> None:
    assert superlinear(UsedPattern("here", re.compile(pattern), frozenset({method}))) is not None
