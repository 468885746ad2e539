"""The look of an organisation: ``options.theme`` and ``options.brand`` as typed values, defaults filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from previewops.job_errors import PermanentJobError
from previewops.message_formatting import join_names
from previewops.theme_names import BUILT_IN_THEMES
from previewops.worker.assets.opener import AssetRef
from previewops.worker.render.theme import (
    BODY_CONTRAST,
    Theme,
    choose_theme,
    contrast,
    format_hex,
    parse_hex,
    with_accent,
)
from previewops.worker.themes.definition import ThemeDefinition

Corner = Literal["top-start", "top-end", "bottom-start", "bottom-end"]
DEFAULT_CORNER: Corner = "top-end"


@dataclass(frozen=True, slots=True)
class Brand:
    """What an organisation adds to the frames.

    ``corner`` holds the logo; start is where text begins: on the right of right-to-left frames. ``font`` is the
    family that precedes all fonts. ``spacing`` and ``corner_radius`` are factors on the lengths of the design.
    ``notes`` are sentences about what is not drawn as the payload wants it.
    """

    logo: AssetRef | None = None
    corner: Corner = DEFAULT_CORNER
    footer: str = ""
    font: str | None = None
    spacing: float = 1.0
    corner_radius: float = 1.0
    notes: tuple[str, ...] = ()


NO_BRAND = Brand()


def read_look(options: Mapping[str, Any], definition: ThemeDefinition | None) -> tuple[Theme, Brand]:
    """Returns colours and brand of valid ``options``. ``definition`` is the named theme that they choose.

    Raises:
        PermanentJobError: theme-unknown: they name a theme and there is no ``definition``.
    """
    name = options.get("theme")
    if name is not None and name not in BUILT_IN_THEMES and definition is None:
        raise unknown_theme(name, ())
    theme = choose_theme(name, options.get("background"))
    brand: Mapping[str, Any] = options.get("brand", {})
    if definition is None and not brand:
        return theme, NO_BRAND
    if definition is not None:
        theme = theme_of(definition, options.get("background"))
    notes: tuple[str, ...] = ()
    if "accent" in brand:
        theme = with_accent(theme, parse_hex(brand["accent"]))
        notes = _accent_notes(theme)
    return theme, _read_brand(brand, definition, notes)


def built_in_name(options: Mapping[str, Any]) -> str:
    """Returns the built-in theme of valid ``options``: that of ``theme``, else of a ``background`` of its name."""
    chosen = options.get("theme", options.get("background"))
    return chosen if chosen in BUILT_IN_THEMES else BUILT_IN_THEMES[0]


def unknown_theme(name: str, names: tuple[str, ...]) -> PermanentJobError:
    """Returns the error of a payload whose theme this host lacks; ``names`` are those in PREVIEW_THEMES."""
    allowed = join_names((*BUILT_IN_THEMES, *names))
    return PermanentJobError(
        "theme-unknown",
        f"options.theme: found {name}, allowed {allowed}",
        hint="put its file into the folder PREVIEW_THEMES of every worker, or correct the name",
        found=name,
        allowed=allowed,
    )


def theme_of(definition: ThemeDefinition, background: str | None = None) -> Theme:
    """Returns the colours of a named theme. ``background`` (#RRGGBB) replaces all of them except the accent."""
    own = {name: parse_hex(value) for name, value in definition.colours.items()}
    accent = own.pop("accent", None)
    if background is not None and background.startswith("#"):
        theme = choose_theme(None, background)
    else:
        theme = choose_theme(definition.extends, definition.colours.get("background"))
        theme = replace(theme, **own)
    return theme if accent is None else with_accent(theme, accent)


def _accent_notes(theme: Theme) -> tuple[str, ...]:
    if theme.accent == theme.accent_ink:
        return ()
    ratio = contrast(theme.accent, theme.background)
    return (
        f"brand.accent: {format_hex(theme.accent)} has a contrast of {ratio:.1f}:1 to the background, text needs "
        f"{BODY_CONTRAST:g}:1; text and progress bar are drawn in {format_hex(theme.accent_ink)}",
    )


def _read_brand(
    brand: Mapping[str, Any], definition: ThemeDefinition | None, notes: tuple[str, ...]
) -> Brand:
    logo = brand.get("logo")
    own = AssetRef("logo", logo["uri"], logo.get("sha256")) if logo else None
    if definition is None:
        return Brand(
            own,
            cast("Corner", brand.get("corner", DEFAULT_CORNER)),
            brand.get("footer", ""),
            brand.get("font"),
            notes=notes,
        )
    default = AssetRef("logo", definition.logo) if definition.logo else None
    return Brand(
        own or default,
        cast("Corner", brand.get("corner", definition.corner or DEFAULT_CORNER)),
        brand.get("footer", definition.footer),
        brand.get("font", definition.font),
        definition.spacing,
        definition.corner_radius,
        notes,
    )
