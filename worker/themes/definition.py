"""A named theme as typed values. Does not import Pillow: a worker passes it to its render processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from previewops.theme_names import BUILT_IN_THEMES


@dataclass(frozen=True, slots=True)
class ThemeDefinition:
    """The content of one theme file.

    ``extends`` is the built-in theme that has the colours it leaves out; ``colours`` are #rrggbb by name. ``spacing``
    and ``corner_radius`` are factors on the lengths of the design. ``logo`` is a ``data:`` uri with the content of
    the theme's logo, ``logo_file`` its path in the folder. ``digest`` is the hex SHA-256 of file and logo.
    """

    name: str
    digest: str
    extends: str = BUILT_IN_THEMES[0]
    colours: Mapping[str, str] = field(default_factory=dict)
    font: str | None = None
    spacing: float = 1.0
    corner_radius: float = 1.0
    logo: str | None = None
    logo_file: str | None = None
    corner: str | None = None
    footer: str = ""

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None) -> ThemeDefinition | None:
        """Decodes ``as_json``. Checks nothing: the worker is trusted."""
        return None if value is None else cls(**value)

    def as_json(self) -> dict[str, Any]:
        """Encodes the theme as JSON values for a render process, which gets its logo from the worker."""
        return asdict(replace(self, logo=self.logo_file))
