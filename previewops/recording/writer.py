"""Writes a recording: chapters, rotated files, and no file that is not a recording of the queue."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from previewops.recording.chapters import ChapterCompressor, iter_chapters, read_file_header
from previewops.recording.errors import CannotRecord, NotARecording
from previewops.recording.format import Frame, Gap, Header, encode, encode_header
from previewops.snapshot.history import HOUR_S
from previewops.snapshot.model import TEN_SECONDS_MS, QueueEvent, Snapshot

CHAPTER_MS = 60_000
"""Maximum length of a chapter."""

CHAPTER_EVENTS = 64
"""A chapter with more of them ends: each of its frames repeats them."""

CHAPTER_FRAMES = 256
CHAPTER_BYTES = 16 << 20

_MODE = 0o600  # reasons, ids and messages are for their owner


@dataclass(slots=True)
class WriteStats:
    """Totals since the recording was opened. Times in server ms; ``gap_ms`` is the time without frames."""

    frames: int = 0
    gaps: int = 0
    gap_ms: int = 0
    size_bytes: int = 0
    files: int = 1
    first_ms: int | None = None
    last_ms: int | None = None


class RecordingWriter:
    """A recording that is being written, by one process at a time. Call ``close`` at the end.

    An existing recording of the same queue is continued. At ``max_bytes`` the file becomes FILE.1, FILE.1 becomes
    FILE.2, and so on up to ``keep`` rotated files.
    """

    def __init__(self, path: Path, header: Header, *, max_bytes: int, keep: int) -> None:
        """Opens the file.

        Raises:
            NotARecording: the file, or one that it would replace, is something else. Both are left unchanged.
            RecordingTooNew: a later version wrote one of them.
            CannotRecord: one of them holds another queue, another process writes it, or the disk rejects it.
        """
        self.path = path
        self.stats = WriteStats()
        self._header = header
        self._max_bytes = max_bytes
        self._keep = keep
        self._compressor: ChapterCompressor | None = None
        self._events: tuple[QueueEvent, ...] = ()
        self._begun_ms = 0
        self._since_ms = 0
        self._frame_ms = 0
        self._last_ms = 0
        self._frames = 0
        self._chapter_bytes = 0
        self.needs_full_history = True
        """Whether the next frame has to hold the whole hour and day, since it is the first of its file."""
        self._in_gap = False
        for rotated in self._series()[1:]:
            self._check_replaceable(rotated)
        with self._reporting_disk_errors():
            self._file = _open_locked(path)
            try:
                self._size = self._continue()
            except BaseException:
                self._file.close()
                raise

    def write_frame(self, frame: Frame) -> None:
        """Writes a frame. Its events are those since the frame before.

        Raises:
            CannotRecord: the disk rejects it.
        """
        snapshot = frame.snapshot
        has_full_history = snapshot.history_s >= HOUR_S
        if self._frames == 0 or has_full_history or not self._continues_chapter(snapshot):
            # No rotation here: the first frame of a file is one that was asked for the whole history.
            self._end_chapter(rotate=False)
        if self._compressor is None:
            self._begin_chapter(snapshot.now_ms)
        self._events = (*self._events, *snapshot.events)
        self._write(encode(replace(frame, snapshot=replace(snapshot, events=self._events))))
        self._frames += 1
        self._frame_ms = snapshot.now_ms
        self.needs_full_history = False
        self._count(snapshot.now_ms, is_gap=False)
        if has_full_history or self._is_full(snapshot.now_ms):
            self._end_chapter()

    def write_gap(self, gap: Gap) -> None:
        """Writes a gap.

        Raises:
            CannotRecord: the disk rejects it.
        """
        if self._compressor is None:
            self._begin_chapter(gap.at_ms)
        self._write(encode(gap))
        self._count(gap.at_ms, is_gap=True)
        if self._is_full(gap.at_ms):
            self._end_chapter()

    def close(self) -> WriteStats:
        """Ends the recording and returns the totals."""
        try:
            self._end_chapter(rotate=False)
        finally:
            self._file.close()
        return self.stats

    # -- chapters ---------------------------------------------------------------------------------------

    def _continues_chapter(self, snapshot: Snapshot) -> bool:
        """Whether the buckets of a snapshot reach back to the start of the chapter."""
        first_ms = (snapshot.now_ms // TEN_SECONDS_MS + 1) * TEN_SECONDS_MS - snapshot.history_s * 1000
        return first_ms <= self._since_ms and snapshot.now_ms >= self._frame_ms

    def _is_full(self, now_ms: int) -> bool:
        return (
            now_ms - self._begun_ms >= CHAPTER_MS
            or self._frames >= CHAPTER_FRAMES
            or self._chapter_bytes >= CHAPTER_BYTES
            or len(self._events) > CHAPTER_EVENTS
        )

    def _begin_chapter(self, at_ms: int) -> None:
        self._compressor = ChapterCompressor()
        self._events = ()
        self._begun_ms = at_ms
        self._since_ms = self._frame_ms or at_ms
        self._frames = 0
        self._chapter_bytes = 0
        self._write(encode_header(self._header))

    def _end_chapter(self, *, rotate: bool = True) -> None:
        if self._compressor is None:
            return
        compressor, self._compressor = self._compressor, None
        self._append(compressor.end())
        if rotate and self._size >= self._max_bytes:
            self._rotate()

    def _write(self, line: bytes) -> None:
        assert self._compressor is not None
        self._chapter_bytes += len(line)
        self._append(self._compressor.compress(line))

    def _append(self, data: bytes) -> None:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._file.fileno(), rest) :]
        except OSError as error:
            self._compressor = None  # later lines of this chapter could not be read
            raise self._disk_error(error) from error
        self._size += len(data)
        self.stats.size_bytes += len(data)

    def _count(self, at_ms: int, *, is_gap: bool) -> None:
        stats = self.stats
        if self._in_gap:
            stats.gap_ms += max(0, at_ms - self._last_ms)
        stats.frames += not is_gap
        stats.gaps += is_gap and not self._in_gap
        stats.first_ms = at_ms if stats.first_ms is None else stats.first_ms
        stats.last_ms = self._last_ms = at_ms
        self._in_gap = is_gap

    # -- files ------------------------------------------------------------------------------------------

    def _series(self) -> list[Path]:
        """Returns the file and the rotated ones, newest first."""
        return [self.path, *(rotated_path(self.path, number) for number in range(1, self._keep + 1))]

    def _continue(self) -> int:
        """Seeks to the end of the file, completes a last chapter without an end, and returns the size in bytes."""
        file = self._file
        if file.seek(0, os.SEEK_END) == 0:
            return 0
        self._check_queue(file, self.path)
        last = None
        for chapter in iter_chapters(file):
            last = chapter
        if last is not None and not last.complete:
            file.truncate(last.offset)
            file.seek(last.offset)
            compressor = ChapterCompressor()
            if len(last.lines) > 1:
                blocks = [compressor.compress(line + b"\n") for line in last.lines]
                file.write(b"".join(blocks) + compressor.end())
        return file.seek(0, os.SEEK_END)

    def _rotate(self) -> None:
        series = self._series()
        with self._reporting_disk_errors():
            for newer, older in reversed(list(pairwise(series))):
                if newer.exists():
                    self._check_replaceable(older)
                    newer.rename(older)
            if self._keep == 0:
                self.path.unlink()
            new_file = _open_locked(self.path, new=True)
        self._file.close()
        self._file = new_file
        self._size = 0
        self.needs_full_history = True
        self.stats.files += 1

    def _check_replaceable(self, path: Path) -> None:
        """Accepts a missing file, an empty file and a recording of this queue; raises for any other."""
        try:
            status = path.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISREG(status.st_mode):
            raise NotARecording(str(path), "it is not a regular file")
        if status.st_size:
            with path.open("rb") as file:
                self._check_queue(file, path)

    def _check_queue(self, file: BinaryIO, path: Path) -> None:
        existing = read_file_header(file, str(path))
        if existing.queue != self._header.queue:
            problem = f"{path} is a recording of queue {existing.queue}, not of {self._header.queue}"
            raise CannotRecord(problem, hint="name another file")

    @contextmanager
    def _reporting_disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._disk_error(error) from error

    def _disk_error(self, error: OSError) -> CannotRecord:
        return CannotRecord(f"{self.path} cannot be written: {error.strerror or error}")


def rotated_path(path: Path, number: int) -> Path:
    """Returns the name of a rotated file; 1 is the newest."""
    return path.with_name(f"{path.name}.{number}")


def _open_locked(path: Path, *, new: bool = False) -> BinaryIO:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_EXCL if new else 0)
    descriptor = os.open(path, flags, _MODE)
    file = os.fdopen(descriptor, "r+b", buffering=0)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotARecording(str(path), "it is not a regular file")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        hint = "stop it, or name another file for this recording"
        raise CannotRecord(f"another process writes {path}", hint=hint) from None
    except BaseException:
        file.close()
        raise
    return file
