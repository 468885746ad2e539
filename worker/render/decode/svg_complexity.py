"""What drawing an SVG costs: in a few lines each level may repeat the one below ten times. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import inf, isfinite
from xml.etree.ElementTree import Element

_MAX_CHAIN = 300
"""References and elements inside each other; resvg follows them by recursion."""

_HREFS = ("href", "{http://www.w3.org/1999/xlink}href")
_URL = re.compile(r"url\(\s*+[\"']?#([^\"')]{1,200})")
_GRADIENTS = ("linearGradient", "radialGradient", "stop")
_INHERITED = ("fill", "stroke", "style", "marker", "marker-start", "marker-mid", "marker-end")
"""Attributes whose references may be drawn once for everything inside of the element."""

_FILTER_COST = 500.0  # each primitive computes all pixels
_IMAGE_COST = 1_000.0  # each is decoded
_CHARACTERS = 50  # of a path or a text cost as much as an element


def local_name(element: Element) -> str:
    """Returns the name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def drawing_cost(root: Element) -> float:
    """Returns about how many simple elements are drawn, with every reference followed; ``inf`` for endless chains."""
    costs = _Costs(root)
    return costs.of(root) * (1.0 + costs.of_style_sheets(root))


class _Costs:
    """Costs of the elements of one drawing. Each is computed once, so that the time is linear."""

    def __init__(self, root: Element) -> None:
        self._costs: dict[Element, float] = {}
        self._by_id: dict[str, Element] = {}
        self._vertices = 1.0
        for element in root.iter():
            if (name := element.get("id")) is not None:
                self._by_id.setdefault(name, element)
            self._vertices += _vertices(element)

    def of(self, element: Element, depth: int = 0) -> float:
        """Returns the cost of an element. One that refers to itself is not drawn, and costs nothing there."""
        known = self._costs.get(element)
        if known is not None:
            return known
        if depth > _MAX_CHAIN:
            return inf
        self._costs[element] = 0.0
        cost = _own_cost(element) + sum(self.of(child, depth + 1) for child in element)
        cost += sum(self.of(target, depth + 1) for target in self._targets(_references(element)))
        factor = 1.0
        for name, value in element.items():
            price = sum(self.of(target, depth + 1) for target in self._targets(_URL.findall(value)))
            if "marker" in name or "marker" in value:
                price *= _vertices(element) or self._vertices
            factor += price if name in _INHERITED else 0.0
            cost += 0.0 if name in _INHERITED else price
        self._costs[element] = cost = min(cost * factor, inf)
        return cost

    def of_style_sheets(self, root: Element) -> float:
        """Returns the cost of what style sheets refer to: they may do so for every element."""
        sheets = (element.text or "" for element in root.iter() if local_name(element) == "style")
        return sum(self.of(target) for sheet in sheets for target in self._targets(_URL.findall(sheet)))

    def _targets(self, names: list[str]) -> Iterator[Element]:
        for name in names:
            target = self._by_id.get(name)
            if target is not None and local_name(target) not in _GRADIENTS:
                yield target


def _references(element: Element) -> list[str]:
    if local_name(element) == "a":
        return []
    values = (element.get(name, "").strip() for name in _HREFS)
    return [value[1:] for value in values if value.startswith("#")]


def _own_cost(element: Element) -> float:
    name = local_name(element)
    if name.startswith("fe") and name not in ("feMergeNode",) and not name.startswith("feFunc"):
        return _FILTER_COST * _filter_factor(element)
    if name == "image":
        return _IMAGE_COST
    return 1.0 + (len(element.text or "") + len(element.get("d", ""))) / _CHARACTERS


def _filter_factor(element: Element) -> float:
    """Returns how much more a filter primitive computes for each pixel than a blur, measured with resvg."""
    name = local_name(element)
    if name == "feMorphology":  # every pixel of a box around each
        across, down = _numbers(element.get("radius"), 0.0)
        return max(1.0, (2 * across + 1) * (2 * down + 1) / 20)
    if name == "feConvolveMatrix":
        across, down = _numbers(element.get("order"), 3.0)
        return max(1.0, across * down / 10)
    if name == "feTurbulence":
        return 6.0 + _numbers(element.get("numOctaves"), 1.0)[0]
    return 1.0


def _numbers(text: str | None, default: float) -> tuple[float, float]:
    """Returns the two numbers of an attribute, of which the second may be left out."""
    try:
        values = [abs(float(part)) for part in (text or "").replace(",", " ").split()[:2]]
    except ValueError:
        values = []
    values = [min(value, 1e6) for value in values if isfinite(value)] or [default]
    return values[0], values[-1]


def _vertices(element: Element) -> float:
    return (len(element.get("d", "")) + len(element.get("points", ""))) / 4
