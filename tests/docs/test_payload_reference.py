"""docs/payload-reference.md agrees with the schema and with the output of the program."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from previewops import contract
from previewops.cli import program
from previewops.contract import explain, output_rules, semantics, uris
from previewops.errors import EXIT_INVALID
from previewops.stores import asset_import
from tests.contract.test_payload_examples import CODE_OF_KEYWORD
from tests.docs.documents import blocks, table
from tests.docs.write_payload_reference import DOCUMENT, ROOTS, WEBHOOK_HOST, Example, examples, rewrite

TEXT = DOCUMENT.read_text("utf-8")
EXAMPLES = {example.code: example for example in examples(TEXT)}
VALIDATED = [example for example in EXAMPLES.values() if example.language != "python"]
CARRIERS = {"Violation": 1, "UriNotAllowed": 0, "_ImportProblem": 0}


def codes_in(path: Path) -> set[str]:
    """The codes of a module's violations and rejections."""
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    arguments = [
        call.args[CARRIERS[call.func.id]]
        for call in calls
        if isinstance(call.func, ast.Name)
        and call.func.id in CARRIERS
        and len(call.args) > CARRIERS[call.func.id]
    ]
    return {
        node.value for node in arguments if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def module_path(module: object) -> Path:
    return Path(str(module.__file__))  # type: ignore[attr-defined]


def test_the_document_is_as_the_schema_and_the_program_have_it() -> None:
    assert rewrite(TEXT) == TEXT, "run python -m tests.docs.write_payload_reference, and review the changes"


def test_every_code_of_the_contract_has_an_example_that_gives_it() -> None:
    sources = module_path(contract).parent.glob("*.py")
    assert set(EXAMPLES) == set(CODE_OF_KEYWORD.values()).union(*map(codes_in, sources))
    for code, example in EXAMPLES.items():
        assert code in {violation.code for violation in example.error().violations}, code


def test_every_rule_beyond_the_schema_is_listed() -> None:
    listed = [code for _, code in table(DOCUMENT, "## Rules beyond the schema")]
    assert len(set(listed)) == len(listed)
    modules = (semantics, output_rules, uris)
    assert set(listed) == set().union(*(codes_in(module_path(module)) for module in modules))


def test_every_error_of_an_import_is_listed() -> None:
    listed = {code for code, *_ in table(DOCUMENT, "## Errors of an import")}
    assert listed == codes_in(module_path(asset_import))


@pytest.mark.parametrize("command", ["validate", "submit"])
@pytest.mark.parametrize("example", VALIDATED, ids=[example.code for example in VALIDATED])
def test_each_command_prints_the_documented_output(
    example: Example,
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREVIEW_ASSET_ROOTS", ROOTS)
    monkeypatch.setenv("PREVIEW_WEBHOOK_HOSTS", WEBHOOK_HOST)
    monkeypatch.delenv("PREVIEW_ASSET_HOSTS", raising=False)
    monkeypatch.setenv("PREVIEW_THEMES", "themes")
    Path("themes").mkdir()
    Path("themes/acme.toml").touch()
    # No server listens there: the program rejects the payload without a request.
    monkeypatch.setenv("REDIS_URL", f"unix://{tmp_path}/nobody.sock")
    Path("job.json").write_bytes(example.content())
    with Path("job.json").open(encoding="utf-8") as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        code = program.run([command, "-" if example.source == "stdin" else example.source])
    output = capsys.readouterr()
    assert code == EXIT_INVALID
    assert (output.out if command == "validate" else output.err) == example.output


def test_the_documented_json_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = json.loads(blocks(DOCUMENT, "json")[0].text)
    payload = json.loads(EXAMPLES["unknown-asset"].content())
    payload["previewRequest"]["assets"] = []
    Path("job.json").write_text(json.dumps(payload), "utf-8")
    assert program.run(["validate", "job.json", "--json"]) == EXIT_INVALID
    assert json.loads(capsys.readouterr().out) == shown


def test_python_examples_have_the_documented_output() -> None:
    of_python = [example for example in EXAMPLES.values() if example.language == "python"]
    assert of_python
    for example in of_python:
        assert "\n".join(explain(example.error())) + "\n" == example.output
