"""Error codes of jobs, collected from the source: every call with a code, traced to its literal.

A function that passes its own parameter on as an error's code is traced too, so that no helper hides a code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.docs.documents import ROOT

SOURCES = [
    *sorted((ROOT / "worker").rglob("*.py")),
    *sorted((ROOT / "previewops" / "stores").rglob("*.py")),
    ROOT / "previewops" / "errors.py",
    ROOT / "previewops" / "job_errors.py",
]
RECOVERY = ROOT / "previewops" / "queue" / "lua" / "include" / "recover_job.lua"

PERMANENT, TRANSIENT, CRASH, VOID = "permanent", "transient", "crash", "void"
_ERRORS = {"PermanentJobError": PERMANENT, "TransientJobError": TRANSIENT}
_OWN = {"RenderCrashed": CRASH, "StaleToken": VOID}  # errors that name their code themselves
# error_codec.py restores the code of a render process's error; execution.py copies that of an error.
_COPIES = {"error_codec.py": "_code(encoded.get('code'))", "execution.py": "error.code"}

Kinds = frozenset[str]


@dataclass(frozen=True, slots=True)
class CodeUse:
    """One use of a code: the code, the kinds of failure, and the source of the call."""

    code: str
    kinds: Kinds
    call: str


@dataclass
class _Carriers:
    """Callables that take a code, by name: (position of the code among the arguments, kinds of failure)."""

    known: dict[str, tuple[int, Kinds]] = field(
        default_factory=lambda: {name: (0, frozenset({kind})) for name, kind in _ERRORS.items()}
    )


def codes_of_the_program() -> dict[str, Kinds]:
    """Returns every code with its kinds of failure."""
    kinds_by_code = dict[str, set[str]]()
    for use in _code_uses():
        kinds_by_code.setdefault(use.code, set()).update(use.kinds)
    return {code: frozenset(kinds) for code, kinds in kinds_by_code.items()}


def uses_of(code: str) -> list[str]:
    """Returns the source of every call with ``code``, hints included."""
    return [use.call for use in _code_uses() if use.code == code]


@cache
def _code_uses() -> frozenset[CodeUse]:
    modules = [(path, ast.parse(path.read_text("utf-8"))) for path in SOURCES]
    carriers, uses = _Carriers(), set[CodeUse]()
    before = -1
    while len(carriers.known) > before:  # until no more helpers are discovered
        before = len(carriers.known)
        uses.update(use for path, module in modules for use in _codes(path, module, carriers))
    recovery = RECOVERY.read_text("utf-8")
    uses.update(
        CodeUse(code, frozenset({CRASH}), RECOVERY.name)
        for code in re.findall(r"code = '([a-z-]+)'", recovery)
    )
    return frozenset(uses)


def _codes(path: Path, module: ast.Module, carriers: _Carriers) -> Iterator[CodeUse]:
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
            for place, kinds in _carried(path, call, owner, names, carriers):
                code = _argument(call, place)
                if code is not None:
                    texts = _literal_codes(path, code, kinds, function, names, carriers)
                    yield from (CodeUse(text, kinds, ast.unparse(call)) for text in texts)


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
    path: Path, call: ast.Call, owner: ast.ClassDef | None, names: dict[str, ast.expr], carriers: _Carriers
) -> Iterator[tuple[int, Kinds]]:
    if ast.unparse(call.func) == "super().__init__" and owner is not None:
        bases = [base.id for base in owner.bases if isinstance(base, ast.Name) and base.id in carriers.known]
        yield from (carriers.known[base] for base in bases)
        if owner.name in _OWN:
            yield 0, frozenset({_OWN[owner.name]})
    elif isinstance(call.func, ast.Name):
        value = names.get(call.func.id, call.func)
        for name in _branches(value):
            if isinstance(name, ast.Name) and _key(path, name.id) in carriers.known:
                yield carriers.known[_key(path, name.id)]
            elif isinstance(name, ast.Name) and name.id == "Failed":
                yield -1, frozenset({TRANSIENT})


def _key(path: Path, function: str) -> str:
    """Returns the name of a function, with its module if it is private."""
    return f"{path.stem}.{function}" if function.startswith("_") else function


def _argument(call: ast.Call, place: int) -> ast.expr | None:
    named = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
    positional = call.args[place : place + 1] if place >= 0 else []
    return next(iter([*named, *positional]), None)


def _literal_codes(
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
                carriers.known[_key(path, function.name)] = parameters.index(branch.id), kinds
        elif isinstance(branch, ast.Name) and branch.id in names:
            yield from _literal_codes(path, names[branch.id], kinds, function, names, carriers)
        else:
            expression = ast.unparse(branch)
            assert _COPIES.get(path.name) == expression, (
                f"{path.name} has a code that cannot be traced: {expression}"
            )


def _branches(expression: ast.expr) -> list[ast.expr]:
    if isinstance(expression, ast.IfExp):
        return [*_branches(expression.body), *_branches(expression.orelse)]
    return [expression]
