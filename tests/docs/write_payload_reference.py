"""Writes fields and output of docs/payload-reference.md: ``python -m tests.docs.write_payload_reference``.

An example is a block of JSON, shell or Python below "## Errors"; the block of text after it is the output of
the program.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from previewops.contract import AssetPolicy, explain, parse_payload, validate
from previewops.errors import InvalidPayload, Violation
from previewops.host_patterns import HostPattern
from previewops.schemas import example
from tests.docs.documents import ROOT
from tests.docs.fields import objects

DOCUMENT = ROOT / "docs" / "payload-reference.md"
ROOTS = "/srv/previews/assets"
PIPED = " | previewops validate -"

_FIELDS = re.compile(r"(?<=<!-- fields -->\n).*(?=<!-- end of fields -->)", re.DOTALL)
_EXAMPLE = re.compile(
    r"^#### `(?P<code>[a-z0-9-]+)`\n\n(?P<description>.+?)\n\n"
    r"```(?P<language>json|sh|python)\n(?P<source_text>.*?)```\n\n"
    r"```text\n(?P<output>.*?)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Example:
    """An error code of the document: its description, an example payload and the output of the program."""

    code: str
    description: str
    language: str
    source_text: str
    output: str

    @property
    def source(self) -> str:
        """Name of the payload in the output."""
        return {"json": "job.json", "sh": "stdin", "python": "payload"}[self.language]

    def content(self) -> bytes:
        """Returns the payload of a JSON or shell example, as read from the file or the pipe."""
        if self.language == "json":
            return json.dumps(merged(example("minimal"), json.loads(self.source_text))).encode()
        before, pipe, _ = self.source_text.partition(PIPED)
        assert pipe, self.source_text
        return subprocess.run(["bash", "-c", before], capture_output=True, check=True).stdout

    def error(self) -> InvalidPayload:
        """The error that the example causes."""
        if self.language == "python":
            names: dict[str, Any] = {}
            exec(self.source_text, names)
            violations: list[Violation] = names["found"]
            return InvalidPayload(violations, source=self.source)
        try:
            validate(parse_payload(self.content(), source=self.source), policy=POLICY, source=self.source)
        except InvalidPayload as error:
            return error
        raise AssertionError(f"the example of {self.code} is valid")


WEBHOOK_HOST = "app.example"
POLICY = AssetPolicy((Path(ROOTS),), webhook_hosts=(HostPattern(WEBHOOK_HOST),), themes=lambda: ("acme",))


def merged(base: Mapping[str, Any], fragment: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the members of ``fragment`` in it, objects member by member."""
    result = dict(base)
    for name, value in fragment.items():
        known = result.get(name)
        both = isinstance(known, dict) and isinstance(value, dict)
        result[name] = merged(known, value) if both else value
    return result


def examples(text: str) -> list[Example]:
    """Every example of the document."""
    return [Example(**match.groupdict()) for match in _EXAMPLE.finditer(text)]


def rewrite(text: str) -> str:
    """Returns the document with fields from the schema and output from the program."""
    text = _FIELDS.sub(lambda _: "\n".join(_tables()), text)
    for entry in examples(text):
        shown = f"```{entry.language}\n{entry.source_text}```\n\n```text\n"
        output = "\n".join(explain(entry.error())) + "\n"
        text = text.replace(f"{shown}{entry.output}```", f"{shown}{output}```")
    return text


def _tables() -> Iterator[str]:
    for place, meaning, fields in objects():
        yield f"\n### {place[0].upper()}{place[1:]}\n" if place == "the document" else f"\n### `{place}`\n"
        yield f"{meaning}\n"
        yield "| field | allowed | | meaning |"
        yield "|---|---|---|---|"
        for field in fields:
            yield f"| `{field.name}` | {field.allowed} | {field.presence} | {field.meaning} |"
    yield "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(rewrite(DOCUMENT.read_text("utf-8")), "utf-8")
