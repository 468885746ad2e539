"""Accent colours of a brand: whatever an organisation chooses, text stays readable."""

from __future__ import annotations

from itertools import product

import pytest

from previewops.job_errors import PermanentJobError
from previewops.worker.render.branding import NO_BRAND, read_look, theme_of
from previewops.worker.render.theme import (
    BODY_CONTRAST,
    DARK,
    LIGHT,
    choose_theme,
    contrast,
    format_hex,
    parse_hex,
    with_accent,
)
from previewops.worker.themes.definition import ThemeDefinition

STEPS = (0, 51, 102, 153, 204, 255)
BACKGROUNDS = ("#FFFFFF", "#000000", "#7F7F7F", "#183A38", "#F2D7B6", "#777777")


def test_every_accent_is_readable_as_text_and_below_text() -> None:
    themes = [LIGHT, DARK, *(choose_theme(None, background) for background in BACKGROUNDS)]
    for red, green, blue in product(STEPS, repeat=3):
        for theme in themes:
            accented = with_accent(theme, (red, green, blue))
            assert accented.accent == (red, green, blue)
            assert contrast(accented.accent_ink, accented.background) >= BODY_CONTRAST
            assert contrast(accented.on_accent, accented.accent) >= BODY_CONTRAST


def test_an_adjusted_accent_is_reported_with_both_colours() -> None:
    theme, brand = read_look({"brand": {"accent": "#FFCC00"}}, None)
    (note,) = brand.notes
    assert "#ffcc00" in note
    assert format_hex(theme.accent_ink) in note
    assert read_look({"brand": {"accent": "#1F54D6"}}, None)[1].notes == ()


def test_options_without_theme_and_brand_look_as_before() -> None:
    for options in ({}, {"theme": "dark"}, {"background": "#183A38"}):
        theme, brand = read_look(options, None)
        assert theme == choose_theme(options.get("theme"), options.get("background"))
        assert brand == NO_BRAND
        assert theme.accent_ink == theme.accent


def test_the_payload_overrides_the_theme_and_the_theme_the_defaults() -> None:
    definition = ThemeDefinition(
        "acme", "0" * 64, extends="dark", colours={"accent": "#00AA77"}, font="Lora", spacing=1.2,
        corner_radius=0.0, logo="data:image/png;base64,", corner="bottom-start", footer="Acme",
    )  # fmt: skip
    theme, brand = read_look({"theme": "acme"}, definition)
    assert (theme.background, theme.accent) == (DARK.background, parse_hex("#00AA77"))
    assert (brand.corner, brand.footer, brand.font) == ("bottom-start", "Acme", "Lora")
    assert (brand.spacing, brand.corner_radius) == (1.2, 0.0)
    assert brand.logo is not None
    own = {
        "accent": "#AA0077",
        "corner": "top-start",
        "footer": "",
        "logo": {"uri": "own.png"},
        "font": "Inter",
    }
    theme, brand = read_look({"theme": "acme", "brand": own}, definition)
    assert theme.accent == parse_hex("#AA0077")
    assert (brand.corner, brand.footer, brand.font) == ("top-start", "", "Inter")
    assert brand.logo is not None
    assert brand.logo.uri == "own.png"
    assert brand.spacing == 1.2


def test_a_background_replaces_the_colours_of_a_theme_except_the_accent() -> None:
    definition = ThemeDefinition("acme", "0" * 64, colours={"ink": "#440000", "accent": "#00AA77"})
    theme = theme_of(definition, "#101010")
    assert theme.background == parse_hex("#101010")
    assert theme.ink == (255, 255, 255)
    assert theme.accent == parse_hex("#00AA77")


def test_a_named_theme_without_its_definition_is_an_error() -> None:
    with pytest.raises(PermanentJobError) as error:
        read_look({"theme": "acme"}, None)
    assert error.value.code == "theme-unknown"
    assert "light, dark" in error.value.message
