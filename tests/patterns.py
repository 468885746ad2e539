"""Every regular expression of the program, found in its source, and texts that make a bad one slow."""

from __future__ import annotations

import ast
import importlib
import itertools
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from re import _constants, _parser  # type: ignore[attr-defined]  # the standard library's own parser
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDERS = {"previewops": "previewops", "worker": "previewops.worker", "tui": "previewops.tui"}

_FLAGS_POSITION = {"compile": 1, "search": 2, "match": 2, "fullmatch": 2, "findall": 2, "finditer": 2}
_FLAGS_POSITION |= {"split": 3, "sub": 4, "subn": 4}
_SCANNING = {"findall": "finditer", "split": "finditer", "sub": "finditer", "subn": "finditer"}
_METHODS = {"search", "match", "fullmatch", "finditer"}

_ALPHABET = "aZ09 \t\n\"'\\/-._:,;=%{[(&?#@+~*!<|é\0"
_MAX_PUMPS = 6
_RANDOM_PUMPS = 150
_ENDINGS = ("", "\0", "!", "\n")


@dataclass(frozen=True)
class UsedPattern:
    """A pattern and the methods that it is used with: search, match, fullmatch, finditer."""

    where: str
    pattern: re.Pattern[Any]
    methods: frozenset[str]


@dataclass(frozen=True)
class LocalPattern:
    """A pattern that only exists inside of a function: its place, and its expression."""

    where: str
    expression: str


def source_files() -> Iterator[tuple[Path, str]]:
    """Yields every source file of the program with the name of its module."""
    for folder, package in FOLDERS.items():
        top = ROOT / folder
        for path in sorted(top.rglob("*.py")):
            inside = path.relative_to(top).with_suffix("").parts
            linked = any(parent.is_symlink() for parent in path.parents if parent != top)
            if not linked and path.name != "__main__.py":
                parts = inside[:-1] if inside[-1] == "__init__" else inside
                yield path, ".".join((package, *parts))


def collect_patterns() -> tuple[list[UsedPattern], list[LocalPattern]]:
    """Returns the patterns of all modules, and those that cannot be evaluated outside of their function."""
    used: list[UsedPattern] = []
    local: list[LocalPattern] = []
    for path, name in source_files():
        text = path.read_text("utf-8")
        if "import re\n" not in text:
            continue
        tree = ast.parse(text)
        namespace = vars(importlib.import_module(name))
        constants = _constant_names(tree)
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call) or (function := _function_of_re(call)) is None:
                continue
            where = f"{path.relative_to(ROOT)}:{call.lineno}"
            try:
                pattern = _evaluate(call, function, namespace)
            except NameError:
                local.append(LocalPattern(str(path.relative_to(ROOT)), ast.unparse(call.args[0])))
                continue
            if function == "compile":
                methods = _methods_of(tree, constants[id(call)]) if id(call) in constants else _METHODS
            else:
                methods = {_SCANNING.get(function, function)}
            used.append(UsedPattern(where, pattern, frozenset(methods)))
    return used, local


def unusual_imports() -> list[str]:
    """Returns files that import regular expressions in a way that ``collect_patterns`` does not follow."""
    return [
        str(path)
        for path, _ in source_files()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.ImportFrom) and node.module in ("re", "regex"))
        or (
            isinstance(node, ast.Import)
            and any(name.name == "regex" or (name.name == "re" and name.asname) for name in node.names)
        )
    ]


def _function_of_re(call: ast.Call) -> str | None:
    function = call.func
    if not isinstance(function, ast.Attribute) or not isinstance(function.value, ast.Name):
        return None
    return function.attr if function.value.id == "re" and function.attr in _FLAGS_POSITION else None


def _evaluate(call: ast.Call, function: str, namespace: dict[str, Any]) -> re.Pattern[Any]:
    position = _FLAGS_POSITION[function]
    flags: list[ast.expr] = [keyword.value for keyword in call.keywords if keyword.arg == "flags"]
    flags += call.args[position : position + 1]

    def value(node: ast.expr) -> Any:
        return eval(compile(ast.Expression(node), "pattern", "eval"), namespace)

    pattern = value(call.args[0])
    return pattern if isinstance(pattern, re.Pattern) else re.compile(pattern, *map(value, flags))


def _constant_names(tree: ast.Module) -> dict[int, str]:
    """Returns the name that each call is assigned to, by the id of the call."""
    return {
        id(node.value): node.targets[0].id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


def _methods_of(tree: ast.Module, name: str) -> set[str]:
    """Returns the methods that a constant is used with; all of them if it is passed on."""
    attributes = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name
    ]
    loads = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
    ]
    if not attributes or len(loads) > len(attributes):
        return _METHODS
    return {_SCANNING.get(node.attr, node.attr) for node in attributes}


def attacks(pattern: re.Pattern[Any]) -> list[Callable[[int], Any]]:
    """Returns functions that make a text of about n characters, which a bad pattern takes long to reject.

    Each repeat of the pattern is pumped behind the shortest text that reaches it, and so is all of that together.
    Short texts of the characters that the pattern tells apart are pumped too.
    """
    as_bytes = isinstance(pattern.pattern, bytes)
    text: str = pattern.pattern.decode("latin-1") if as_bytes else pattern.pattern
    walk = _Walk(set(_ALPHABET) | {character for character in text if character.isprintable()})
    walk.sequence(_parser.parse(text, pattern.flags & ~(re.UNICODE if as_bytes else 0)), "")
    texts: dict[tuple[str, str, str], None] = {}
    for prefix, pump in walk.pumps:
        texts |= {(prefix, pump, ending): None for ending in _ENDINGS}
        texts[("", prefix + pump, "\0")] = None
    rng = random.Random(repr(text))
    classes = walk.representatives()
    short = ["".join(pair) for length in (1, 2) for pair in itertools.product(classes, repeat=length)]
    longer = ["".join(rng.choices(classes, k=rng.randint(3, 4))) for _ in range(_RANDOM_PUMPS)]
    texts |= {("", pump, "\0"): None for pump in short + longer}

    def builder(prefix: str, pump: str, ending: str) -> Callable[[int], Any]:
        def build(n: int) -> Any:
            made = prefix + pump * (n // len(pump)) + ending
            return made.encode("latin-1", "replace") if as_bytes else made

        return build

    return [builder(*parts) for parts in texts]


class _Walk:
    """Walks a parsed pattern and collects (shortest text that reaches a repeat, text to repeat)."""

    def __init__(self, alphabet: set[str]) -> None:
        self.alphabet = sorted(alphabet)
        self.pumps: list[tuple[str, str]] = []
        self.sets: list[frozenset[str]] = []

    def representatives(self) -> list[str]:
        """Returns one character of each class that the pattern tells apart; few letters and digits."""
        by_class = {
            tuple(character in members for members in self.sets): character for character in self.alphabet
        }
        marks = [character for character in by_class.values() if not character.isalnum()]
        return sorted([*marks, *sorted(set(by_class.values()) - set(marks))[::_MAX_PUMPS]])

    def sequence(self, items: Any, prefix: str) -> str:
        """Returns the shortest text of a sequence."""
        made = ""
        for operation, argument in items:
            made += self.item(operation, argument, prefix + made)
        return made

    def item(self, operation: Any, argument: Any, prefix: str) -> str:
        names = _constants
        if operation in (names.MAX_REPEAT, names.MIN_REPEAT, names.POSSESSIVE_REPEAT):
            return self.repeat(*argument, prefix)
        if operation is names.SUBPATTERN:
            return self.sequence(argument[3], prefix)
        if operation is names.ATOMIC_GROUP:
            return self.sequence(argument, prefix)
        if operation is names.BRANCH:
            branches = [self.sequence(branch, prefix) for branch in argument[1]]
            return branches[0]
        if operation in (names.ASSERT, names.ASSERT_NOT):
            self.sequence(argument[1], prefix)
            return ""
        characters = self.characters(operation, argument)
        self.sets.append(frozenset(characters))
        return characters[0] if characters else ""

    def repeat(self, least: int, most: int, body: Any, prefix: str) -> str:
        shortest = self.sequence(body, prefix)
        for pump in self.pumps_of(body) or [shortest]:
            if pump and most > 1:
                self.pumps.append((prefix, pump))
        return shortest * least

    def pumps_of(self, body: Any) -> list[str]:
        """Returns single characters that a body consists of; none for a body of several parts."""
        if len(body) != 1:
            return []
        operation, argument = body[0]
        if operation is _constants.SUBPATTERN:
            return self.pumps_of(argument[3])
        characters = self.characters(operation, argument)
        return characters[:: max(1, len(characters) // _MAX_PUMPS)]

    def characters(self, operation: Any, argument: Any) -> list[str]:
        """Returns characters that match one item."""
        names = _constants
        if operation is names.LITERAL:
            return [chr(argument)]
        if operation is names.NOT_LITERAL:
            return [character for character in self.alphabet if ord(character) != argument]
        if operation is names.ANY:
            return [character for character in self.alphabet if character != "\n"]
        if operation is names.IN:
            return self.members(argument)
        return []

    def members(self, items: Any) -> list[str]:
        negated = items[0][0] is _constants.NEGATE
        kept = items[1:] if negated else items
        return [
            character
            for character in self.alphabet
            if any(_belongs(operation, argument, character) for operation, argument in kept) is not negated
        ]


def _belongs(operation: Any, argument: Any, character: str) -> bool:
    if operation is _constants.LITERAL:
        return ord(character) == argument
    if operation is _constants.RANGE:
        return bool(argument[0] <= ord(character) <= argument[1])
    name = str(argument)  # CATEGORY_NOT_SPACE and the like
    tests: dict[str, Callable[[str], bool]] = {
        "SPACE": str.isspace,
        "DIGIT": str.isdigit,
        "WORD": lambda text: text.isalnum() or text == "_",
    }
    return tests[name.rpartition("_")[2]](character) is not ("_NOT_" in name)
