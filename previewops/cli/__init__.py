"""The command line. Importing it imports nothing; running it imports click, and each command when it is used."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Runs the command that the process was started with, and ends the process with its exit code."""
    try:
        from previewops.cli import program
    except ImportError as error:
        from previewops.errors import StartupFailed

        failure = StartupFailed.from_import_error(error)
        sys.stderr.write(f"previewops: {failure.message}\n")
        sys.exit(failure.exit_code)
    program.main()


__all__ = ["main"]
