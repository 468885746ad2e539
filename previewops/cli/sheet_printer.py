"""Shows the contact sheet of a bundle in the terminal."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from previewops.cli.output import print_err
from previewops.errors import PreviewopsError
from previewops.worker.render.manifest import PREVIEW

_LINES_FOR_TEXT = 4


class SheetPrinter:
    """Prints contact sheets if standard output is a terminal, in the best way that it has (PREVIEW_IMAGES)."""

    def __init__(self) -> None:
        """Raises UsageError for an unknown mode in PREVIEW_IMAGES."""
        from previewops.tui.terminal.capabilities import ImageMode, detect_image_mode, is_image_mode_forced
        from previewops.tui.terminal.graphics import prepare_graphics

        mode, is_forced = detect_image_mode(os.environ), is_image_mode_forced(os.environ)
        is_terminal = sys.stdout is not None and sys.stdout.isatty()
        self._images = prepare_graphics(mode, forced=is_forced) if is_terminal else ImageMode.OFF

    def print(self, bundle: Path) -> None:
        """Prints the contact sheet of ``bundle``; one that cannot be shown is reported.

        A bundle without a sheet shows its poster, else its first frame.
        """
        from rich.console import Console

        from previewops.stores.port import ArtifactFile
        from previewops.tui.terminal.printed_picture import print_picture

        manifest = json.loads((bundle / PREVIEW).read_text("utf-8"))
        picture = manifest["sheet"] or manifest["poster"] or next(iter(manifest["frames"]), None)
        if picture is None:
            print_err("note: options.only leaves no sheet, poster or frame to show")
            return
        console = Console(highlight=False)
        rows = max(1, console.height - _LINES_FOR_TEXT)
        try:
            print_picture(console, ArtifactFile.at(bundle / picture["path"]), self._images, max_rows=rows)
        except PreviewopsError as error:
            print_err(f"note: {error.message}")
