"""Dialogs before commands."""
