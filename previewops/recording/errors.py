"""What is wrong with a recording, or stands against writing one."""

from __future__ import annotations

from previewops.errors import EXIT_USAGE, PreviewopsError


class NotARecording(PreviewopsError):
    """A file that should hold a recording holds something else. It is left as it is."""

    exit_code = EXIT_USAGE
    code = "not-a-recording"

    def __init__(self, path: str, found: str, *, hint: str | None = None) -> None:
        super().__init__(
            f"{path} is no recording: {found}",
            hint=hint or "recordings are written by `previewops record`; this file was left as it is",
        )
        self.path = path
        self.found = found


class RecordingBroken(PreviewopsError):
    """Part of a recording cannot be read. ``where`` is the place in the file."""

    code = "recording-broken"

    def __init__(self, path: str, where: str, found: str) -> None:
        super().__init__(f"{path}, {where}: {found}", hint="what can be read before and after it is shown")
        self.path = path
        self.where = where
        self.found = found


class RecordingTooNew(PreviewopsError):
    """A later version of this program wrote the recording."""

    exit_code = EXIT_USAGE
    code = "recording-too-new"

    def __init__(self, path: str, version: int, known: int) -> None:
        super().__init__(
            f"{path} is a recording of version {version}; up to {known} is read here",
            hint="read it with the version of previewops that wrote it, or a later one",
        )
        self.path = path
        self.version = version


class CannotRecord(PreviewopsError):
    """A recording cannot be written: the disk is full, or another process writes it."""

    code = "cannot-record"
