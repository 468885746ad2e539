"""Texts of job errors hold in every state: a job that is retried and a dead letter store the same text."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import previewops.worker

_WORKER = Path(previewops.worker.__path__[0])
_MAKERS = re.compile(r"\w*(?:Error|Crashed|_error)$")
# What happens to the job depends on the attempts that are left: the state tells it, not the text.
_OUTCOME = re.compile(r"\b(?:retr(?:y|ied|ies)|again|dead letter|attempts? left|later)\b", re.IGNORECASE)
# What a person does with the file or the payload.
_PERSON = re.compile(r"\b(?:export|upload|submit|took|requeue)\b", re.IGNORECASE)


def texts() -> list[tuple[str, str]]:
    """Every text that is passed where the worker makes an error, with its place."""
    found = []
    for path in sorted(_WORKER.rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and _MAKERS.match(ast.unparse(call.func).rpartition(".")[2]):
                found += [
                    (f"{path.relative_to(_WORKER)}:{part.lineno}", part.value)
                    for part in ast.walk(call)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                ]
    return found


def test_texts_are_found() -> None:
    assert len(texts()) > 150
    assert any("its upload has not finished" in text for _, text in texts())


def test_no_text_of_an_error_says_what_becomes_of_the_job() -> None:
    wrong = [entry for entry in texts() if _OUTCOME.search(entry[1]) and not _PERSON.search(entry[1])]
    assert wrong == []
