"""Writes fields and output of docs/payload-reference.md: ``python -m tests.docs.write_payload_reference``.

An example is a block of JSON, shell or Python below "## Errors"; the answer is the block of text after it, which is
what the program says.
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
from previewops.schemas import example
from tests.docs.documents import ROOT
from tests.docs.fields import objects

DOCUMENT = ROOT / "docs" / "payload-reference.md"
ROOTS = "/srv/previews/assets"
PIPED = " | previewops validate -"

_FIELDS = re.compile(r"(?<=<!-- fields -->\n).*(?=<!-- end of fields -->)", re.DOTALL)
_EXAMPLE = re.compile(
    r"^#### `(?P<code>[a-z0-9-]+)`\n\n(?P<words>.+?)\n\n```(?P<language>json|sh|python)\n(?P<given>.*?)```\n\n"
    r"```text\n(?P<answer>.*?)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Example:
    """One error of the document: its code, what is said of it, the example and the answer."""

    code: str
    words: str
    language: str
    given: str
    answer: str

    @property
    def source(self) -> str:
        """What the answer calls the payload."""
        return {"json": "job.json", "sh": "stdin", "python": "payload"}[self.language]

    def content(self) -> bytes:
        """The payload that an example of JSON or shell makes, as it lies in the file or comes through the pipe."""
        if self.language == "json":
            return json.dumps(merged(example("minimal"), json.loads(self.given))).encode()
        before, pipe, _ = self.given.partition(PIPED)
        assert pipe, self.given
        return subprocess.run(["bash", "-c", before], capture_output=True, check=True).stdout

    def refusal(self) -> InvalidPayload:
        """The error that the example gives."""
        if self.language == "python":
            names: dict[str, Any] = {}
            exec(self.given, names)
            found: list[Violation] = names["found"]
            return InvalidPayload(found, source=self.source)
        try:
            validate(parse_payload(self.content(), source=self.source), policy=POLICY, source=self.source)
        except InvalidPayload as error:
            return error
        raise AssertionError(f"the example of {self.code} is valid")


POLICY = AssetPolicy((Path(ROOTS),))


def merged(base: Mapping[str, Any], fragment: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the members of ``fragment`` in it, objects member by member."""
    found = dict(base)
    for name, value in fragment.items():
        known = found.get(name)
        both = isinstance(known, dict) and isinstance(value, dict)
        found[name] = merged(known, value) if both else value
    return found


def examples(text: str) -> list[Example]:
    """Every example of the document."""
    return [Example(**found.groupdict()) for found in _EXAMPLE.finditer(text)]


def written_anew(text: str) -> str:
    """The document with its fields out of the schema and its answers out of the program."""
    text = _FIELDS.sub(lambda _: "\n".join(_tables()), text)
    for each in examples(text):
        shown = f"```{each.language}\n{each.given}```\n\n```text\n"
        answer = "\n".join(explain(each.refusal())) + "\n"
        text = text.replace(f"{shown}{each.answer}```", f"{shown}{answer}```")
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
    DOCUMENT.write_text(written_anew(DOCUMENT.read_text("utf-8")), "utf-8")
