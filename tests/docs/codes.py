"""The codes that a job can fail with, gathered from the source: every call that carries one, followed to its word.

A function that hands its own parameter on as the code of an error is a carrier too, so that no helper hides a code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.docs.documents import ROOT

SOURCES = [*sorted((ROOT / "worker").rglob("*.py")), ROOT / "previewops" / "errors.py"]
RECOVERY = ROOT / "previewops" / "queue" / "lua" / "include" / "recover_job.lua"

PERMANENT, TRANSIENT, CRASH, VOID = "permanent", "transient", "crash", "void"
_ERRORS = {"PermanentJobError": PERMANENT, "TransientJobError": TRANSIENT}
_OWN = {"RenderCrashed": CRASH, "StaleToken": VOID}  # errors that name their code themselves
# errorwire.py gives an error that a render process named its code back; execution.py copies that of an error.
_COPIES = {"errorwire.py": "_text(found.get('code'), 'error code')", "execution.py": "error.code"}

Kinds = frozenset[str]


@dataclass(frozen=True, slots=True)
class Saying:
    """One place where a code is given: its word, the kinds of failure, and the call as it is written."""

    code: str
    kinds: Kinds
    call: str


@dataclass
class _Carriers:
    """What carries a code: (the place of the code among its arguments, the kinds of failure), by name."""

    known: dict[str, tuple[int, Kinds]] = field(
        default_factory=lambda: {name: (0, frozenset({kind})) for name, kind in _ERRORS.items()}
    )


def codes_of_the_program() -> dict[str, Kinds]:
    """Every code, with the kinds of failure that it comes with."""
    found = dict[str, set[str]]()
    for saying in _sayings():
        found.setdefault(saying.code, set()).update(saying.kinds)
    return {code: frozenset(kinds) for code, kinds in found.items()}


def sayings_of(code: str) -> list[str]:
    """The calls that give ``code``, as they are written, hints included."""
    return [saying.call for saying in _sayings() if saying.code == code]


@cache
def _sayings() -> frozenset[Saying]:
    modules = [(path, ast.parse(path.read_text("utf-8"))) for path in SOURCES]
    carriers, found = _Carriers(), set[Saying]()
    before = -1
    while len(carriers.known) > before:  # until no more helpers turn up
        before = len(carriers.known)
        found.update(saying for path, module in modules for saying in _codes(path, module, carriers))
    recovery = RECOVERY.read_text("utf-8")
    found.update(
        Saying(code, frozenset({CRASH}), RECOVERY.name)
        for code in re.findall(r"code = '([a-z-]+)'", recovery)
    )
    return frozenset(found)


def _codes(path: Path, module: ast.Module, carriers: _Carriers) -> Iterator[Saying]:
    constants = {
        target.id: node.value
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for owner, function in _functions(module):
        names = {**constants, **_assigned(function)}
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            for place, kinds in _carried(call, owner, names, carriers):
                code = _argument(call, place)
                if code is not None:
                    words = _words(path, code, kinds, function, names, carriers)
                    yield from (Saying(word, kinds, ast.unparse(call)) for word in words)


def _functions(
    module: ast.Module,
) -> Iterator[tuple[ast.ClassDef | None, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            yield from (
                (node, item) for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)
            )
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield None, node


def _assigned(function: ast.AST) -> dict[str, ast.expr]:
    return {
        target.id: node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _carried(
    call: ast.Call, owner: ast.ClassDef | None, names: dict[str, ast.expr], carriers: _Carriers
) -> Iterator[tuple[int, Kinds]]:
    if ast.unparse(call.func) == "super().__init__" and owner is not None:
        bases = [base.id for base in owner.bases if isinstance(base, ast.Name) and base.id in carriers.known]
        yield from (carriers.known[base] for base in bases)
        if owner.name in _OWN:
            yield 0, frozenset({_OWN[owner.name]})
    elif isinstance(call.func, ast.Name):
        meant = names.get(call.func.id, call.func)
        for name in _branches(meant):
            if isinstance(name, ast.Name) and name.id in carriers.known:
                yield carriers.known[name.id]
            elif isinstance(name, ast.Name) and name.id == "Failed":
                yield -1, frozenset({TRANSIENT})


def _argument(call: ast.Call, place: int) -> ast.expr | None:
    named = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
    positional = call.args[place : place + 1] if place >= 0 else []
    return next(iter([*named, *positional]), None)


def _words(
    path: Path,
    code: ast.expr,
    kinds: Kinds,
    function: ast.FunctionDef | ast.AsyncFunctionDef,
    names: dict[str, ast.expr],
    carriers: _Carriers,
) -> Iterator[str]:
    parameters = [argument.arg for argument in function.args.args]
    for branch in _branches(code):
        if isinstance(branch, ast.Constant) and isinstance(branch.value, str):
            yield branch.value
        elif isinstance(branch, ast.Name) and branch.id in parameters:
            if function.name != "__init__":
                carriers.known[function.name] = parameters.index(branch.id), kinds
        elif isinstance(branch, ast.Name) and branch.id in names:
            yield from _words(path, names[branch.id], kinds, function, names, carriers)
        else:
            said = ast.unparse(branch)
            assert _COPIES.get(path.name) == said, f"{path.name} has a code that is not followed: {said}"


def _branches(expression: ast.expr) -> list[ast.expr]:
    if isinstance(expression, ast.IfExp):
        return [*_branches(expression.body), *_branches(expression.orelse)]
    return [expression]
