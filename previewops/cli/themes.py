"""``previewops themes``: the themes of PREVIEW_THEMES, and a sample picture of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_err, print_json, print_out
from previewops.cli.shared_options import json_option
from previewops.errors import EXIT_FAILED, PreviewopsError, UsageError
from previewops.theme_names import BUILT_IN_THEMES

if TYPE_CHECKING:
    from previewops.worker.render.text.fontfiles import FontSources
    from previewops.worker.themes.theme_file import ThemeFile


@click.command(
    epilog="""\b
Examples:
  previewops themes
  previewops themes --preview samples
  previewops themes acme --preview samples
  PREVIEW_THEMES=drafts previewops themes --json

\b
Exit codes: 0 all are valid, 1 a theme is not valid or could not be drawn,
2 usage."""
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--preview",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Draw a sample of each theme to DIR/NAME.png.",
)
@json_option
@pass_context
def themes(context: Context, names: tuple[str, ...], folder: Path | None, as_json: bool) -> int:
    """List the built-in themes and those of the folder PREVIEW_THEMES, with every problem of their files.

    NAMEs select themes. --preview draws the frames of a sample storyboard, with the renderer and the fonts of this
    host.
    """
    rows = _rows(context.settings.themes, names)
    if folder is not None:
        rows = _draw(rows, folder, context)
    if as_json:
        print_json({"themes": [row.as_json() for row in rows]})
    else:
        for row in rows:
            row.print()
    return 0 if all(row.valid for row in rows) else EXIT_FAILED


@dataclass(frozen=True, slots=True)
class _ThemeRow:
    """One theme of the list. ``file`` is None for a built-in one, ``error`` why its sample could not be drawn."""

    name: str
    file: ThemeFile | None = None
    preview: Path | None = None
    error: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        return not self.error and (self.file is None or self.file.theme is not None)

    @property
    def source(self) -> str:
        return str(self.file.path) if self.file else "built-in"

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "source": self.source,
            "valid": self.valid,
            "violations": [violation.as_json() for violation in self.file.violations] if self.file else [],
            "error": self.error or None,
            "preview": str(self.preview) if self.preview else None,
            "warnings": list(self.warnings),
        }

    def print(self) -> None:
        state = "valid" if self.valid else "not valid"
        print_out(f"{self.name:<20} {state:<10} {self.preview or self.source}")
        problems = self.file.problems if self.file else ()
        print_out(f"  {problem}" for problem in (*problems, *filter(None, (self.error,))))
        print_err(f"note: {self.name}: {warning}" for warning in self.warnings)


def _rows(folder: Path | None, names: tuple[str, ...]) -> list[_ThemeRow]:
    """Returns a row for each theme of ``names``, or for all.

    Raises:
        UsageError: a name is not that of a theme.
        PreviewopsError: the folder cannot be read.
    """
    from previewops.worker.themes.folder import ThemeFolder

    rows = [_ThemeRow(name) for name in BUILT_IN_THEMES]
    try:
        rows += [_ThemeRow(file.name, file) for file in ThemeFolder(folder).read_all()]
    except OSError as error:
        raise PreviewopsError(
            f"PREVIEW_THEMES: cannot read {folder}: {error.strerror or error}",
            hint="set it to a folder that this user can read",
        ) from error
    known = [row.name for row in rows]
    for name in names:
        if name not in known:
            raise UsageError(
                f"theme: found {name}, allowed {', '.join(known)}",
                hint="PREVIEW_THEMES is the folder of themes",
            )
    return [row for row in rows if not names or row.name in names]


def _draw(rows: list[_ThemeRow], folder: Path, context: Context) -> list[_ThemeRow]:
    """Draws the sample of each valid theme, and returns the rows with the results."""
    from previewops.worker.render.text.fontconfig import find_fonts

    fonts = find_fonts(context.settings.fonts).with_stamps()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_with_sample(row, folder, fonts) if row.valid else row for row in rows]
    except OSError as error:
        raise PreviewopsError(
            f"cannot write to {folder}: {error.strerror or error}", hint="choose another folder"
        ) from error


def _with_sample(row: _ThemeRow, folder: Path, fonts: FontSources) -> _ThemeRow:
    from previewops.job_errors import JobError
    from previewops.worker.themes.sample import draw_sample

    try:
        image, warnings = draw_sample(row.name, row.file.theme if row.file else None, fonts)
    except JobError as error:  # its logo cannot be decoded
        return replace(row, error=error.message)
    path = folder / f"{row.name}.png"
    image.save(path)
    return replace(row, preview=path, warnings=warnings)
