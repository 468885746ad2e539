"""Reads one theme file: TOML, checked against the schema, with readable colours and its logo."""

from __future__ import annotations

import base64
import hashlib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from previewops.contract.json_copy import copy_as_json
from previewops.contract.limits import MAX_INLINE_BYTES
from previewops.contract.schema_validation import schema_violations
from previewops.contract.violations import normalize
from previewops.errors import Violation
from previewops.file_kinds import HEAD_BYTES, PICTURES, SVG, describe_head, detect_kind, list_names
from previewops.message_formatting import join_names, quote
from previewops.regular_files import read_regular
from previewops.schemas import theme_schema
from previewops.theme_names import BUILT_IN_THEMES, is_theme_name
from previewops.worker.render.branding import theme_of
from previewops.worker.render.theme import BODY_CONTRAST, contrast
from previewops.worker.themes.definition import ThemeDefinition

MAX_FILE_BYTES = 65_536
MAX_LOGO_BYTES = MAX_INLINE_BYTES
_STILLS = tuple(kind for kind in PICTURES if not kind.is_heard)
_READABLE = (("ink", "background"), ("muted", "background"), ("muted", "surface"))


@dataclass(frozen=True, slots=True)
class ThemeFile:
    """A theme file. ``theme`` is None if it has ``violations``, whose pointers are those of its keys."""

    path: Path
    theme: ThemeDefinition | None
    violations: tuple[Violation, ...] = ()

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each violation: file, key, found and allowed."""
        return tuple(_describe(self.path.name, violation) for violation in self.violations)


class _InvalidTheme(Exception):
    """A theme file that is not valid."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__()
        self.violations = violations


def read_theme(path: Path) -> ThemeFile:
    """Reads the theme file at ``path``. Every problem becomes a violation."""
    try:
        return ThemeFile(path, _read(path))
    except _InvalidTheme as error:
        return ThemeFile(path, None, tuple(error.violations))


def _read(path: Path) -> ThemeDefinition:
    if path.stem in BUILT_IN_THEMES or not is_theme_name(path.stem):
        allowed = f"1 to 64 of a-z 0-9 -, starting with a letter, except {join_names(BUILT_IN_THEMES)}"
        raise _InvalidTheme([Violation("", "name", "has an invalid name", quote(path.stem), allowed)])
    content = _read_bytes(path, MAX_FILE_BYTES, "")
    values = _parse(content)
    brand = values.get("brand", {})
    logo = _read_logo(path.parent, brand["logo"]) if "logo" in brand else b""
    theme = ThemeDefinition(
        name=path.stem,
        digest=hashlib.sha256(len(content).to_bytes(8) + content + logo).hexdigest(),
        extends=values.get("extends", BUILT_IN_THEMES[0]),
        colours=values.get("colours", {}),
        font=values.get("font"),
        spacing=float(values.get("spacing", 1)),
        corner_radius=float(values.get("cornerRadius", 1)),
        logo=_data_uri(logo) if logo else None,
        logo_file=brand.get("logo"),
        corner=brand.get("corner"),
        footer=brand.get("footer", ""),
    )
    unreadable = list(_unreadable_colours(theme))
    if unreadable:
        raise _InvalidTheme(unreadable)
    return theme


def _parse(content: bytes) -> Mapping[str, Any]:
    """Returns the values of a theme file as plain JSON types."""
    try:
        parsed = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        place = quote(str(error) or type(error).__name__)
        raise _InvalidTheme([Violation("", "toml", "is not TOML", place, "TOML in UTF-8")]) from None
    values, violations = copy_as_json(parsed)
    reported = {violation.pointer for violation in violations}
    found_by_schema = (
        item for item in schema_violations(values, theme_schema) if item.pointer not in reported
    )
    problems = normalize([*violations, *found_by_schema])
    if problems or not isinstance(values, dict):
        raise _InvalidTheme(problems)
    return values


def _read_bytes(path: Path, max_bytes: int, pointer: str) -> bytes:
    try:
        return read_regular(path, max_bytes)
    except OSError as error:
        found, allowed = error.strerror or str(error), f"a file of at most {max_bytes} bytes"
        raise _InvalidTheme([Violation(pointer, "unreadable", "cannot be read", found, allowed)]) from None


def _read_logo(folder: Path, name: str) -> bytes:
    """Returns the content of the logo; a link that leads out of the folder is rejected."""
    pointer, root = "/brand/logo", os.path.realpath(folder)
    real = os.path.realpath(Path(root) / name)
    if not real.startswith(root.rstrip(os.sep) + os.sep):
        allowed = "a file inside the folder of the theme"
        raise _InvalidTheme([Violation(pointer, "outside", "leads out of the folder", quote(name), allowed)])
    content = _read_bytes(Path(real), MAX_LOGO_BYTES, pointer)
    if detect_kind(content[:HEAD_BYTES]) not in _STILLS:
        found, allowed = describe_head(content[:HEAD_BYTES]), list_names(_STILLS)
        raise _InvalidTheme([Violation(pointer, "kind", "is not a picture", found, allowed)])
    return content


def _data_uri(content: bytes) -> str:
    kind = detect_kind(content[:HEAD_BYTES])
    media_type = "image/svg+xml" if kind is SVG else "image/x-logo"  # the content tells the kind
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _unreadable_colours(theme: ThemeDefinition) -> Iterator[Violation]:
    """Yields a violation for each pair of colours, one of them the theme's own, that text would not be read in."""
    colours = theme_of(theme)
    for text, ground in _READABLE:
        ratio = contrast(getattr(colours, text), getattr(colours, ground))
        if ratio < BODY_CONTRAST and theme.colours.keys() & {text, ground}:
            key = text if text in theme.colours else ground
            message, found = "has too little contrast", f"{ratio:.1f}:1 of {text} on {ground}"
            yield Violation(f"/colours/{key}", "contrast", message, found, f"at least {BODY_CONTRAST:g}:1")


def _describe(file: str, violation: Violation) -> str:
    key = violation.pointer.removeprefix("/").replace("/", ".")
    place = f"{file}: {key}" if key else file
    return f"{place} {violation.message}: found {violation.found}, allowed {violation.allowed}"
