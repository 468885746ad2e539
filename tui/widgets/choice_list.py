"""A list of options, one of which is highlighted."""

from __future__ import annotations

from dataclasses import replace

from textual.style import Style
from textual.widgets import OptionList


class ChoiceList(OptionList):
    """An option list whose highlight is reversed where the theme says so.

    Textual 8.2 leaves ``reverse`` out of component styles, so that 16 colours would not show the highlight.
    """

    def get_visual_style(self, *component_classes: str, partial: bool = False) -> Style:
        style = super().get_visual_style(*component_classes, partial=partial)
        parts = (self.get_component_styles(name).text_style for name in component_classes)
        return replace(style, reverse=True) if any(part.reverse for part in parts) else style
