"""Errors of reading and writing recordings."""

from __future__ import annotations

from previewops.errors import EXIT_USAGE, PreviewopsError


class NotARecording(PreviewopsError):
    """A file that should hold a recording holds something else. It is left unchanged."""

    exit_code = EXIT_USAGE
    code = "not-a-recording"

    def __init__(self, path: str, found: str, *, hint: str | None = None) -> None:
        hint = hint or "`previewops record` writes recordings; this file is unchanged"
        super().__init__(f"{path} is not a recording: {found}", hint=hint)
        self.path = path
        self.found = found


class RecordingBroken(PreviewopsError):
    """A part of a recording that is invalid. ``where`` is the place in the file."""

    code = "recording-broken"

    def __init__(self, path: str, where: str, found: str) -> None:
        super().__init__(f"{path}, {where}: {found}", hint="the parts before and after it are shown")
        self.path = path
        self.where = where
        self.found = found


class RecordingTooNew(PreviewopsError):
    """A recording of a later version of this program."""

    exit_code = EXIT_USAGE
    code = "recording-too-new"

    def __init__(self, path: str, version: int, supported: int) -> None:
        super().__init__(
            f"{path}: found recording version {version}, supported is {supported}",
            hint="read it with the version of previewops that wrote it, or a later one",
        )
        self.path = path
        self.version = version


class CannotRecord(PreviewopsError):
    """A recording cannot be written: the disk is full, or another process writes it."""

    code = "cannot-record"
