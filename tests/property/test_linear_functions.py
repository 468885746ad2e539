"""Functions that read text from outside take linear time, whatever the text."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.datastructures import QueryParams

from previewops.api.auth import is_same_origin
from previewops.api.dead_letter_routes import _decode_cursor
from previewops.api.errors import ApiError
from previewops.api.ranges import select_range
from previewops.api.request_params import RequestParams, acting_operator
from previewops.contract import find_violations, parse_payload
from previewops.errors import PreviewopsError
from previewops.logs.redaction import sanitize
from previewops.queue.fingerprint import foreign_template, stored_template
from previewops.worker.render.text.bidi import embedding_levels
from previewops.worker.render.text.fontfiles import FontSources
from previewops.worker.render.text.fonts import FontWeight, get_font_chain
from previewops.worker.render.text.line_breaking import LineBreaker
from previewops.worker.render.text.paragraphs import TextAnalyser, normalise
from previewops.worker.render.text.shaping import Shaper
from tests.growth import superlinear_size
from tests.patterns import source_files

READERS = (
    "previewops.api",
    "previewops.contract",
    "previewops.file_kinds",
    "previewops.formatting",
    "previewops.host_patterns",
    "previewops.logs.redaction",
    "previewops.message_formatting",
    "previewops.queue.filter_query",
    "previewops.recording.format",
    "previewops.redis_server.connection",
    "previewops.worker.assets.ip_policy",
    "previewops.worker.render.decode",
    "previewops.worker.render.text.bidi",
    "previewops.worker.render.text.characters",
    "previewops.worker.render.text.languages",
    "previewops.worker.render.text.paragraphs",
    "previewops.worker.render.text.segmentation",
    "previewops.tui.viewmodel",
)
"""Modules and packages whose functions of one text are all tested."""

REJECTIONS = (ApiError, PreviewopsError, ValueError, TypeError, AttributeError, LookupError, Exception)
ADDRESSES = ("http://", "data:image/png;base64,", "file:///")
"""Beginnings of texts for modules that read addresses."""

LARGEST = 3_072
UNITS = (
    *"aZ0 .,:;/\\-_'\"[]{}()@%&=?!~+*#<\n\t\0é",
    *("a ", "a.", "a/", "a:", "a,", "a=", "a@", "a-", "'a", ' "a', '\\"', "%41", "../", "&a=1", "1e", "!a"),
    *("[{", '{"a":'),
    *("\u202e", "\u0301", "\u05d0", "\U0001f469\u200d", "日", "\ud800", "\u00ad"),
    *("a\u05d0", "\u2067\u05d0", "\u2068", "(\u05d0)", "(a", "\u0e01", "\u00a0a"),
)  # fmt: skip

Work = Callable[[Any], object]


def functions_of_one_text() -> Iterator[tuple[str, Work, bool]]:
    """Yields (name, function, whether it takes bytes) of every function of ``READERS`` that needs one text only."""
    for _, module_name in source_files():
        if not any(module_name == name or module_name.startswith(f"{name}.") for name in READERS):
            continue
        for name, function in vars(importlib.import_module(module_name)).items():
            if not inspect.isfunction(function) or function.__module__ != module_name:
                continue
            if inspect.iscoroutinefunction(function):
                continue
            required = [
                parameter
                for parameter in inspect.signature(function).parameters.values()
                if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
            ]
            annotation = str(required[0].annotation) if len(required) == 1 else ""
            if annotation in ("str", "object", "bytes"):
                yield f"{module_name}.{name}", function, annotation == "bytes"


def query_of(text: str) -> QueryParams:
    return QueryParams(text.encode("utf-8", "replace"))


def break_into_lines(text: str) -> object:
    chain, weight = get_font_chain(FontSources()), FontWeight.REGULAR
    paragraphs = [TextAnalyser(chain).paragraph(part, weight) for part in normalise(text).split("\n")]
    return LineBreaker(Shaper(chain), paragraphs, weight, size=20, width=800).lines(stop=10_000)


ADAPTERS: dict[str, Work] = {
    "Range": lambda text: select_range("GET", {"range": "bytes=" + text}, '"x"', 100),
    "If-None-Match": lambda text: select_range("GET", {"if-none-match": text}, '"x"', 100),
    "If-Range": lambda text: select_range("GET", {"if-range": text, "range": "bytes=0-1"}, '"x"', 100),
    "X-Preview-User": lambda text: acting_operator({"x-preview-user": text}),
    "Origin": lambda text: is_same_origin(text, text),
    "levels": lambda text: embedding_levels(text, 1),
    "line breaks": break_into_lines,
    "query": lambda text: RequestParams.from_query(query_of(text)).raise_violations(),
    "cursor": lambda text: _decode_cursor(RequestParams.from_query(query_of("cursor=1~" + text))),
    "foreign_template": lambda text: foreign_template(text, text),
    "stored_template": lambda text: stored_template("render-crashed", text, text),
    "log line": lambda text: sanitize({"event": text, "error": [text] * 3, "exception": text}),
}
"""Functions of several arguments, each by the argument that comes from outside."""


def texts(as_bytes: bool, heads: tuple[str, ...] = ("",)) -> Iterator[Callable[[int], Any]]:
    for head in heads:
        for unit in UNITS:

            def build(n: int, head: str = head, unit: str = unit) -> Any:
                text = head + unit * (n // len(unit)) + "\1"
                return text.encode("utf-8", "replace") if as_bytes else text

            yield build


def tolerant(work: Work) -> Work:
    def run(value: Any) -> None:
        try:
            result = work(value)
            if inspect.isgenerator(result):
                for _ in result:
                    pass
        except REJECTIONS:
            pass

    return run


def assert_linear(work: Work, builds: Iterator[Callable[[int], Any]]) -> None:
    for build in builds:
        size = superlinear_size(tolerant(work), build, LARGEST)
        assert size is None, f"not linear at {size} characters such as {build(24)!r}"


@pytest.mark.parametrize(
    ("function", "as_bytes"),
    [pytest.param(function, as_bytes, id=name) for name, function, as_bytes in functions_of_one_text()],
)
def test_function_of_one_text_is_linear(function: Work, as_bytes: bool) -> None:
    module = str(getattr(function, "__module__", ""))
    reads_addresses = module.startswith(
        ("previewops.contract.ur", "previewops.logs", "previewops.redis_server")
    )
    assert_linear(function, texts(as_bytes, ("", *ADDRESSES) if reads_addresses else ("",)))


@pytest.mark.parametrize("work", [pytest.param(work, id=name) for name, work in ADAPTERS.items()])
def test_reader_is_linear(work: Work) -> None:
    assert_linear(work, texts(as_bytes=False))


def request_with(**members: Any) -> dict[str, Any]:
    return {
        **{"jobId": "a", "projectId": "b", "requestId": "c", "dryRun": False},
        "previewRequest": {"steps": [], "assets": [], "audio": {}, **members},
    }


DOCUMENTS: dict[str, Callable[[int], Any]] = {
    "steps": lambda n: request_with(steps=[{}] * n),
    "unknown names": lambda n: {f"name-{number}": 1 for number in range(n)},
    "unknown names of the request": lambda n: request_with(**{f"name-{number}": 1 for number in range(n)}),
    "names with x-": lambda n: request_with(**{f"x-{number}": 1 for number in range(n)}),
    "numbers as steps": lambda n: request_with(steps=[1] * n),
    "unknown assets": lambda n: request_with(steps=[{"assetIds": [str(i) for i in range(64)]}] * (n // 64)),
    "repeated ids": lambda n: request_with(assets=[{"id": "x", "uri": "a"}] * n),
    "many assets": lambda n: request_with(
        assets=[{"id": str(i), "uri": "a"} for i in range(n // 8)], steps=[{"assetIds": ["y"] * 64}] * (n // 64)
    ),
    "values of metadata": lambda n: request_with(metadata={"x": [0.5] * n}),
    "names of metadata": lambda n: request_with(metadata={str(i): None for i in range(n)}),
    "nesting": lambda n: nested(min(n, 90)),
    "surrogates": lambda n: request_with(metadata={f"\ud800{i}": "\ud800" for i in range(n)}),
}  # fmt: skip


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("build", [pytest.param(build, id=name) for name, build in DOCUMENTS.items()])
def test_validation_is_linear_in_the_document(build: Callable[[int], Any]) -> None:
    assert_linear(find_violations, iter([build]))


@pytest.mark.parametrize("text", [b'{"a":1,"a":1,', b"[1e999,", b"[", b'{"x":{"y":[NaN,'])
def test_parser_is_linear_in_the_document(text: bytes) -> None:
    assert_linear(parse_payload, iter([lambda n: text * (n // len(text))]))


@pytest.mark.parametrize(
    "work",
    [lambda text: sum(a == b for a in text for b in text), lambda text: sorted(text * len(text))],
)
def test_bad_functions_are_detected(work: Work) -> None:
    with pytest.raises(AssertionError, match="not linear"):
        assert_linear(work, texts(as_bytes=False))
