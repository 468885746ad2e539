"""Writes a recording: chapters, files that take turns, and nothing that is not its own."""

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

from previewops.recording.chapters import Packer, heading_of, members
from previewops.recording.errors import CannotRecord, NotARecording
from previewops.recording.format import Encoder, Frame, Gap, Header, heading_line
from previewops.snapshot.history import HOUR_S
from previewops.snapshot.model import TEN_SECONDS_MS, QueueEvent, Snapshot

CHAPTER_MS = 60_000
"""How long a chapter gets at the most."""

CHAPTER_EVENTS = 64
"""A chapter that has more of them ends: each of its looks repeats them."""

CHAPTER_LOOKS = 256
CHAPTER_BYTES = 4 << 20

_MODE = 0o600  # reasons, ids and messages may be nobody else's business


@dataclass(slots=True)
class WriteStats:
    """What was written since the recording was opened. Times in server ms; ``gap_ms`` is how long looks failed."""

    frames: int = 0
    gaps: int = 0
    gap_ms: int = 0
    size_bytes: int = 0
    files: int = 1
    first_ms: int | None = None
    last_ms: int | None = None


class RecordingWriter:
    """A recording that is being written. One process at a time; ``close`` ends it.

    An existing recording of the same queue is continued. At ``most_bytes`` the file becomes FILE.1, FILE.1 becomes
    FILE.2, and so on up to ``keep`` old ones.
    """

    def __init__(self, path: Path, header: Header, *, max_bytes: int, keep: int) -> None:
        """Opens the file.

        Raises:
            NotARecording: it, or one that it would replace in turn, is something else; it is left as it is.
            RecordingTooNew: a later version wrote it.
            CannotRecord: one of these holds another queue, another process writes it, or the disk refuses.
        """
        self.path = path
        self.stats = WriteStats()
        self._heading = header
        self._most_bytes = max_bytes
        self._keep = keep
        self._packer: Packer | None = None
        self._encoder = Encoder()
        self._events: tuple[QueueEvent, ...] = ()
        self._begun_ms = 0
        self._since_ms = 0
        self._look_ms = 0
        self._last_ms = 0
        self._looks = 0
        self._chapter_bytes = 0
        self._wants_past = True
        self._in_gap = False
        for old in self._series()[1:]:
            self._check_replaceable(old)
        with self._telling():
            self._file = _opened(path)
            try:
                self._size = self._continue()
            except BaseException:
                self._file.close()
                raise

    @property
    def needs_full_history(self) -> bool:
        """Whether the next look has to bring the whole hour and day: a file can be read without the ones before."""
        return self._wants_past

    def write_frame(self, frame: Frame) -> None:
        """Writes a look. Its events are those since the one before.

        Raises:
            CannotRecord: the disk refuses.
        """
        snapshot = frame.snapshot
        whole = snapshot.history_s >= HOUR_S
        if self._looks == 0 or whole or not self._fits(snapshot):
            # No turn of files here: the first look of a file is one that was asked to bring the whole past.
            self._end_chapter(turn=False)
        if self._packer is None:
            self._begin_chapter(snapshot.now_ms)
        self._events = (*self._events, *snapshot.events)
        self._write(self._encoder.encode(replace(frame, snapshot=replace(snapshot, events=self._events))))
        self._looks += 1
        self._look_ms = snapshot.now_ms
        self._wants_past = False
        self._note(snapshot.now_ms, failed=False)
        if whole or self._is_full(snapshot.now_ms):
            self._end_chapter()

    def write_gap(self, gap: Gap) -> None:
        """Writes that there was no look, and why.

        Raises:
            CannotRecord: the disk refuses.
        """
        if self._packer is None:
            self._begin_chapter(gap.at_ms)
        self._write(self._encoder.encode(gap))
        self._note(gap.at_ms, failed=True)
        if self._is_full(gap.at_ms):
            self._end_chapter()

    def close(self) -> WriteStats:
        """Ends the recording, and says what was written."""
        try:
            self._end_chapter(turn=False)
        finally:
            self._file.close()
        return self.stats

    # -- chapters ---------------------------------------------------------------------------------------

    def _fits(self, snapshot: Snapshot) -> bool:
        """Whether a look goes on where the chapter began: its buckets reach back behind all of it."""
        first_ms = (snapshot.now_ms // TEN_SECONDS_MS + 1) * TEN_SECONDS_MS - snapshot.history_s * 1000
        return first_ms <= self._since_ms and snapshot.now_ms >= self._look_ms

    def _is_full(self, now_ms: int) -> bool:
        return (
            now_ms - self._begun_ms >= CHAPTER_MS
            or self._looks >= CHAPTER_LOOKS
            or self._chapter_bytes >= CHAPTER_BYTES
            or len(self._events) > CHAPTER_EVENTS
        )

    def _begin_chapter(self, at_ms: int) -> None:
        self._packer = Packer()
        self._encoder = Encoder()
        self._events = ()
        self._begun_ms = at_ms
        self._since_ms = self._look_ms or at_ms
        self._looks = 0
        self._chapter_bytes = 0
        self._write(heading_line(self._heading))

    def _end_chapter(self, *, turn: bool = True) -> None:
        if self._packer is None:
            return
        packer, self._packer = self._packer, None
        self._put(packer.end())
        if turn and self._size >= self._most_bytes:
            self._turn()

    def _write(self, line: bytes) -> None:
        assert self._packer is not None
        self._chapter_bytes += len(line)
        self._put(self._packer.pack(line))

    def _put(self, data: bytes) -> None:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._file.fileno(), rest) :]
        except OSError as error:
            self._packer = None  # what follows in this chapter could not be read
            raise self._told(error) from error
        self._size += len(data)
        self.stats.size_bytes += len(data)

    def _note(self, at_ms: int, *, failed: bool) -> None:
        said = self.stats
        if self._in_gap:
            said.gap_ms += max(0, at_ms - self._last_ms)
        said.frames += not failed
        said.gaps += failed and not self._in_gap
        said.first_ms = at_ms if said.first_ms is None else said.first_ms
        said.last_ms = self._last_ms = at_ms
        self._in_gap = failed

    # -- files ------------------------------------------------------------------------------------------

    def _series(self) -> list[Path]:
        """The file and the old ones, newest first."""
        return [self.path, *(rotated_path(self.path, number) for number in range(1, self._keep + 1))]

    def _continue(self) -> int:
        """Goes to the end of what is there, whose last chapter may be cut off; returns its size in bytes."""
        file = self._file
        if file.seek(0, os.SEEK_END) == 0:
            return 0
        self._check_queue(file, self.path)
        last = None
        for member in members(file):
            last = member
        if last is not None and not last.complete:
            file.truncate(last.offset)
            file.seek(last.offset)
            packer = Packer()
            if len(last.lines) > 1:
                file.write(b"".join(packer.pack(line + b"\n") for line in last.lines) + packer.end())
        return file.seek(0, os.SEEK_END)

    def _turn(self) -> None:
        series = self._series()
        with self._telling():
            for newer, older in reversed(list(pairwise(series))):
                if newer.exists():
                    self._check_replaceable(older)
                    newer.rename(older)
            if self._keep == 0:
                self.path.unlink()
            fresh = _opened(self.path, new=True)
        self._file.close()
        self._file = fresh
        self._size = 0
        self._wants_past = True
        self.stats.files += 1

    def _check_replaceable(self, path: Path) -> None:
        """Lets pass what is not there, what is empty, and recordings of this queue."""
        try:
            found = path.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISREG(found.st_mode):
            raise NotARecording(str(path), "it is no file with contents of its own")
        if found.st_size:
            with path.open("rb") as file:
                self._check_queue(file, path)

    def _check_queue(self, file: BinaryIO, path: Path) -> None:
        known = heading_of(file, str(path))
        if known.queue != self._heading.queue:
            raise CannotRecord(
                f"{path} is a recording of queue {known.queue}, not of {self._heading.queue}",
                hint="name another file",
            )

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._told(error) from error

    def _told(self, error: OSError) -> CannotRecord:
        return CannotRecord(f"{self.path} cannot be written: {error.strerror or error}")


def rotated_path(path: Path, number: int) -> Path:
    """The name of an old file; 1 is the newest of them."""
    return path.with_name(f"{path.name}.{number}")


def _opened(path: Path, *, new: bool = False) -> BinaryIO:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_EXCL if new else 0)
    handle = os.open(path, flags, _MODE)
    file = os.fdopen(handle, "r+b", buffering=0)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise NotARecording(str(path), "it is no file with contents of its own")
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise CannotRecord(
            f"another process writes {path}", hint="end it, or name another file for this recording"
        ) from None
    except BaseException:
        file.close()
        raise
    return file
