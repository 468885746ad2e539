"""Colours of SVG in the syntax of CSS Color 4, with spaces and a slash, rewritten in that with commas for resvg."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

from previewops.worker.render.decode.svg_complexity import local_name

_COLOUR = re.compile(r"\b(rgb|hsl)a?\(([^(),]{1,80})\)", re.ASCII | re.IGNORECASE)
_MEMBERS = ("fill", "stroke", "stop-color", "flood-color", "lighting-color", "color", "style")


def use_commas(root: Element) -> None:
    """Rewrites the colours of all elements and style sheets."""
    for element in root.iter():
        for name in _MEMBERS:
            if "(" in (value := element.get(name, "")):
                element.set(name, _with_commas(value))
        if local_name(element) == "style" and element.text:
            element.text = _with_commas(element.text)


def _with_commas(text: str) -> str:
    return _COLOUR.sub(_rewrite, text)


def _rewrite(match: re.Match[str]) -> str:
    values, _, alpha = match[2].partition("/")
    parts = [part.removesuffix("deg") for part in values.split()]
    if len(parts) != 3:
        return match[0]
    if not alpha.strip():
        return f"{match[1]}({', '.join(parts)})"
    return f"{match[1]}a({', '.join(parts)}, {_as_number(alpha.strip())})"


def _as_number(alpha: str) -> str:
    """Returns an alpha value as a number: resvg reads no percentage there."""
    try:
        return f"{float(alpha[:-1]) / 100:g}" if alpha.endswith("%") else alpha
    except ValueError:
        return alpha
