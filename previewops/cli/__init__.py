"""Command line. Importing this package imports no click; a command is imported when it runs."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Runs the command line of this process and exits with its exit code."""
    try:
        from previewops.cli import program
    except ImportError as error:
        from previewops.errors import StartupFailed

        failure = StartupFailed.from_import_error(error)
        sys.stderr.write(f"previewops: {failure.message}\n")
        sys.exit(failure.exit_code)
    program.main()


__all__ = ["main"]
