"""``python -m previewops``."""

from previewops.cli import main

main()
