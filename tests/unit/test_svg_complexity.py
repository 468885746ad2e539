"""What drawing an SVG costs, with every reference followed."""

from __future__ import annotations

from math import inf
from xml.etree import ElementTree

import pytest

from previewops.worker.render.decode.svg_complexity import drawing_cost


def cost(inner: str) -> float:
    return drawing_cost(ElementTree.fromstring(f'<svg xmlns="http://www.w3.org/2000/svg">{inner}</svg>'))


def group(name: str, inner: str) -> str:
    return f"<g id='{name}'>{inner}</g>"


USES = "<g id='a0'/>" + "".join(group(f"a{n}", f"<use href='#a{n - 1}'/>" * 10) for n in range(1, 9))
MASKS = "".join(
    f"<mask id='m{n}' mask='url(#m{n + 1})'>" + f"<g mask='url(#m{n + 1})'/></mask>" for n in range(40)
)
PATTERNS = "".join(
    f"<pattern id='p{n}'>" + f"<g fill='url(#p{n + 1})'/>" * 9 + "</pattern>" for n in range(40)
)
MARKER = f"<marker id='m'><path d='{'M0 0L1 1' * 1000}'/></marker>"


@pytest.mark.parametrize(
    "inner",
    [
        USES,
        MASKS,
        PATTERNS,
        MARKER + f"<path d='{'M0 0L1 1' * 30_000}' marker-mid='url(#m)'/>",
        MARKER + f"<g style='marker:url(#m)'><path d='{'M0 0L1 1' * 30_000}'/></g>",
        "<filter id='f'>" + "<feGaussianBlur/>" * 2_000 + "</filter><g filter='url(#f)'/>",
        "<style>g{mask:url(#m0)}</style>" + MASKS,
        "<filter id='f'><feMorphology radius='80'/></filter><g filter='url(#f)'/>",
        "<filter id='f'><feConvolveMatrix order='150,120'/></filter><g filter='url(#f)'/>",
        "<filter id='f'><feTurbulence numOctaves='5000'/></filter><g filter='url(#f)'/>",
    ],
    ids=[
        "uses",
        "masks",
        "patterns",
        "marker",
        "inherited marker",
        "filters",
        "style sheet",
        "morphology",
        "matrix",
        "octaves",
    ],
)
def test_repetition_is_counted(inner: str) -> None:
    assert cost(inner) > 500_000


@pytest.mark.parametrize(
    "inner",
    [
        "<g id='a'><use href='#a'/></g>",
        "<g id='a'><use href='#b'/></g><g id='b'><use href='#a'/></g>",
        "<pattern id='p'><g fill='url(#p)'/></pattern><g fill='url(#p)'/>",
        "<a href='#x'/><g id='x'/>",
    ],
    ids=["itself", "each other", "pattern", "link"],
)
def test_elements_that_refer_to_themselves_cost_little(inner: str) -> None:
    assert cost(inner) < 20


def test_nested_groups_with_gradients_cost_what_their_elements_cost() -> None:
    group = "<g fill='url(#g)'>" * 20 + "<path d='M0 0' style='fill:url(#g)'/>" * 1_000 + "</g>" * 20
    assert cost("<linearGradient id='g'><stop/><stop/></linearGradient>" + group) < 1_200


def test_a_chain_of_references_has_an_end() -> None:
    assert cost("".join(f"<g id='a{n}'><use href='#a{n + 1}'/></g>" for n in range(5_000))) == inf


@pytest.mark.parametrize(
    "primitive",
    [
        "<feMorphology radius='3'/>",
        "<feMorphology radius='-1 nan'/>",
        "<feConvolveMatrix order='5'/>",
        "<feTurbulence numOctaves='4'/>",
        "<feGaussianBlur stdDeviation='90'/>",
    ],
)
def test_ordinary_filters_cost_little(primitive: str) -> None:
    assert cost(f"<filter id='f'>{primitive}</filter><g filter='url(#f)'/>") < 15_000
