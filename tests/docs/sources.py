"""Reads what tests do out of their source: which functions they name, and which words they give to a program."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import TypeGuard

from tests.docs.documents import ROOT


def definition(place: str) -> ast.AST:
    """What stands at ``file``, ``file::function`` or ``file::Class::method``; of a file all of it.

    Raises:
        LookupError: nothing does.
    """
    file, *names = place.split("::")
    path = ROOT / file
    if not path.is_file():
        raise LookupError(f"{place}: there is no file {file}")
    found: ast.Module | ast.stmt = ast.parse(path.read_text("utf-8"))
    for name in names:
        body: Sequence[ast.stmt] = getattr(found, "body", ())
        meant = [each for each in body if _defines(each, name)]
        if not meant:
            raise LookupError(f"{place}: nothing there is called {name}")
        (found,) = meant
    return found


def _defines(statement: ast.stmt, name: str) -> bool:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return isinstance(statement, kinds) and statement.name == name


def leads_to(source: ast.AST, place: str) -> bool:
    """Whether a source uses what stands at a place: by its name, as a fixture, or as a module that it runs."""
    file, *names = place.split("::")
    if not names:
        return file.removesuffix(".py").replace("/", ".") in _texts(source)
    return any(names[-1] == used for used in _uses(source))


def _uses(source: ast.AST) -> Iterator[str]:
    for node in ast.walk(source):
        match node:
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name


def _texts(source: ast.AST) -> set[str]:
    return {each.value for each in ast.walk(source) if _is_text(each)}


def gives(source: ast.AST, words: Sequence[str]) -> bool:
    """Whether a source hands on these words, side by side: as arguments of a call, or in a list or tuple."""
    return any(_side_by_side(row, words) for row in _rows(source))


def _rows(source: ast.AST) -> Iterator[list[ast.expr]]:
    for node in ast.walk(source):
        match node:
            case ast.Call(args=row) | ast.List(elts=row) | ast.Tuple(elts=row):
                yield row


def _side_by_side(row: Sequence[ast.expr], words: Sequence[str]) -> bool:
    said = [each.value if _is_text(each) else None for each in row]
    return any(said[n : n + len(words)] == list(words) for n in range(len(said)))


def _is_text(node: ast.AST) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
