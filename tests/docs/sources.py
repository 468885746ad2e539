"""Analyses the source of tests: the functions they name, and the arguments they pass to a program."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import TypeGuard

from tests.docs.documents import ROOT


def definition(place: str) -> ast.AST:
    """Returns the syntax tree of ``file``, ``file::function`` or ``file::Class::method``.

    Raises:
        LookupError: it does not exist.
    """
    file, *names = place.split("::")
    path = ROOT / file
    if not path.is_file():
        raise LookupError(f"{place}: file {file} does not exist")
    node: ast.Module | ast.stmt = ast.parse(path.read_text("utf-8"))
    for name in names:
        body: Sequence[ast.stmt] = getattr(node, "body", ())
        matches = [statement for statement in body if _defines(statement, name)]
        if not matches:
            raise LookupError(f"{place}: nothing there is called {name}")
        (node,) = matches
    return node


def _defines(statement: ast.stmt, name: str) -> bool:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return isinstance(statement, kinds) and statement.name == name


def leads_to(source: ast.AST, place: str) -> bool:
    """Returns whether a source uses the definition at a place: by name, as a fixture, or as a module that it runs."""
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
    return {node.value for node in ast.walk(source) if _is_text(node)}


def gives(source: ast.AST, arguments: Sequence[str]) -> bool:
    """Returns whether a source passes these arguments side by side: in a call, a list or a tuple."""
    return any(_side_by_side(row, arguments) for row in _rows(source))


def _rows(source: ast.AST) -> Iterator[list[ast.expr]]:
    for node in ast.walk(source):
        match node:
            case ast.Call(args=row) | ast.List(elts=row) | ast.Tuple(elts=row):
                yield row


def _side_by_side(row: Sequence[ast.expr], arguments: Sequence[str]) -> bool:
    texts = [element.value if _is_text(element) else None for element in row]
    return any(texts[n : n + len(arguments)] == list(arguments) for n in range(len(texts)))


def _is_text(node: ast.AST) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
