"""Reads a recording: builds an index of its chapters once, then returns the frame of any moment."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import BinaryIO

from previewops.errors import PreviewopsError
from previewops.recording.alarm_index import AlarmIndex
from previewops.recording.chapters import Chapter, iter_chapters, read_chapter, read_file_header
from previewops.recording.errors import NotARecording, RecordingBroken
from previewops.recording.format import Frame, Gap, Header, InvalidLine, Tag, decode, parse_header, parse_tag
from previewops.recording.history_index import HistoryIndex
from previewops.recording.writer import rotated_path

MAX_FAULTS = 100
"""Faults that are listed one by one; the others are counted."""

MAX_LINES = 100_000
"""Lines of a chapter that are read; a recorder ends a chapter long before."""

MAX_TRIES = 20
"""Invalid frames of a chapter that are tried, from its end; then the chapter counts as one without frames."""

_MAX_PAUSE_MS = 30_000
_CACHED_PAGES = 2

Progress = Callable[[int, int], None]
"""Called with the bytes read and the bytes in total. May raise to stop."""

_Page = list[tuple[Tag, bytes]]
"""Entries of a chapter, each with its line."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A time in which a recorder ran: first and last entry (server ms)."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class FrameAt:
    """The last frame up to a moment, and the gap that the moment is in, if any."""

    frame: Frame | None
    gap: Gap | None


@dataclass(frozen=True, slots=True)
class _IndexEntry:
    """Place of a chapter, its start, the number of the last chapter up to it with a frame, and the events before."""

    file: int
    offset: int
    start_ms: int
    frame_chapter: int | None
    events_before: int


def _last_frame(
    page: _Page, last: int, on_invalid: Callable[[int, InvalidLine], object] = lambda _number, _error: None
) -> Frame | None:
    """Returns the last valid frame up to an entry, None if none of ``MAX_TRIES`` is valid.

    ``on_invalid`` is called with each entry that is not.
    """
    tries = 0
    for number in reversed(range(last + 1)):
        tag, line = page[number]
        if not tag.is_frame:
            continue
        try:
            entry = decode(line)
        except InvalidLine as error:
            on_invalid(number, error)
            tries += 1
            if tries == MAX_TRIES:
                break
        else:
            assert isinstance(entry, Frame)
            return entry
    return None


class Recording:
    """An open recording with its rotated files. Call ``close`` at the end."""

    def __init__(self, files: list[tuple[Path, BinaryIO]]) -> None:
        self.header = Header("", 1.0)
        self.intervals: list[Interval] = []
        self.faults: list[RecordingBroken] = []
        self.fault_count = 0
        self._files = files
        self.alarms = AlarmIndex()
        self._history = HistoryIndex()
        self._chapters: list[_IndexEntry] = []
        self._starts: list[int] = []
        self._pages: dict[int, _Page] = {}
        self._cached: tuple[tuple[int, int], FrameAt] = ((-1, -1), FrameAt(None, None))

    @classmethod
    def open(cls, path: Path, progress: Progress | None = None) -> Recording:
        """Opens a file and the rotated files before it, and builds the index. Invalid parts are in ``faults``.

        Raises:
            NotARecording, RecordingTooNew: the file is something else.
            RecordingBroken: no part of it is valid.
            PreviewopsError: the file cannot be opened.
        """
        recording = cls(_open_series(path))
        try:
            recording._build_index(progress or (lambda _done, _total: None))
        except BaseException:
            recording.close()
            raise
        return recording

    def close(self) -> None:
        for _, file in self._files:
            file.close()

    def frame_at(self, at_ms: int) -> FrameAt:
        """Returns the frame at a moment (server ms) with the hour and day before it; before the first, the first.

        Invalid lines are skipped.

        Raises:
            RecordingBroken: the file has changed since it was opened.
        """
        number = max(0, bisect_right(self._starts, at_ms) - 1)
        page = self._page(number)
        place = max(0, bisect_right([tag.at_ms for tag, _ in page], at_ms) - 1)
        if (number, place) == self._cached[0]:
            return self._cached[1]
        tag, line = page[place]
        gap = None
        if not tag.is_frame:
            with suppress(InvalidLine):
                entry = decode(line)
                gap = entry if isinstance(entry, Gap) else None
        result = FrameAt(self._latest_frame(number, place), gap)
        self._cached = ((number, place), result)
        return result

    def _latest_frame(self, number: int, place: int) -> Frame | None:
        """Returns the last frame up to an entry of a chapter, from an earlier chapter if necessary."""
        if (frame := _last_frame(self._page(number), place)) is not None:
            events = self._chapters[number].events_before
            return replace(frame, snapshot=self._history.with_history(frame.snapshot, events))
        before = self._chapters[number - 1].frame_chapter if number else None
        if before is None:
            return None
        return self._latest_frame(before, len(self._page(before)) - 1)

    # -- index ------------------------------------------------------------------------------------------

    def _build_index(self, progress: Progress) -> None:
        sizes = [file.seek(0, os.SEEK_END) for _, file in self._files]
        for number, (path, file) in enumerate(self._files):
            self.header = read_file_header(file, str(path))
            for chapter in iter_chapters(file):
                self._index_chapter(number, chapter)
                progress(sum(sizes[:number]) + chapter.end, sum(sizes))
        self._history.build_minutes()
        if not self._chapters:
            if self.faults:
                raise self.faults[0]
            raise RecordingBroken(str(self._files[-1][0]), "its end", "no frame is recorded yet")

    def _index_chapter(self, file: int, chapter: Chapter) -> None:
        def report(found: object) -> None:
            self._fault(file, chapter.offset, str(found))

        def report_line(number: int, error: InvalidLine) -> None:
            report(f"line {number} of the chapter: {error}")

        if chapter.fault:
            report(chapter.fault)
        if not chapter.lines:
            return  # its end is missing, and its first line is incomplete
        try:
            header = parse_header(chapter.lines[0])
        except InvalidLine as error:
            report(f"the first line of a chapter: {error}")
            return
        page = _parse_page(chapter, report_line)
        if not page:
            return
        for tag, line in page:
            if tag.is_frame:
                self.alarms.add_frame(tag.at_ms, line)
            else:
                self.alarms.add_gap(tag.at_ms)
        events_before = self._history.event_count
        # The last frame has all that happened in its chapter.
        last = _last_frame(page, len(page) - 1, lambda index, error: report_line(index + 2, error))
        if last is not None and (left_out := self._history.add(last.snapshot)):
            report(left_out)
        self._add_chapter(file, chapter.offset, page, events_before, has_frame=last is not None)
        self._extend_intervals(page, max(_MAX_PAUSE_MS, 3_000 * header.interval_s))

    def _add_chapter(
        self, file: int, offset: int, page: _Page, events_before: int, *, has_frame: bool
    ) -> None:
        # Of a server whose clock was set back, the later entries of a moment follow the earlier.
        start_ms = max(page[0][0].at_ms, self._starts[-1] if self._starts else 0)
        previous = self._chapters[-1].frame_chapter if self._chapters else None
        frame_chapter = len(self._chapters) if has_frame else previous
        self._chapters.append(_IndexEntry(file, offset, start_ms, frame_chapter, events_before))
        self._starts.append(start_ms)

    def _extend_intervals(self, page: _Page, max_pause_ms: float) -> None:
        for tag, _ in page:
            if self.intervals and tag.at_ms - self.intervals[-1].end_ms <= max_pause_ms:
                last = self.intervals[-1]
                self.intervals[-1] = Interval(last.start_ms, max(last.end_ms, tag.at_ms))
            else:
                self.intervals.append(Interval(tag.at_ms, tag.at_ms))

    def _page(self, number: int) -> _Page:
        page = self._pages.pop(number, None)
        if page is None:
            entry = self._chapters[number]
            page = _parse_page(read_chapter(self._files[entry.file][1], entry.offset))
            if not page:
                raise self._fault(entry.file, entry.offset, "it has changed since it was opened")
        self._pages[number] = page
        while len(self._pages) > _CACHED_PAGES:
            del self._pages[next(iter(self._pages))]
        return page

    def _fault(self, file: int, offset: int, found: str) -> RecordingBroken:
        fault = RecordingBroken(str(self._files[file][0]), f"byte {offset:,}", found)
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)
        return fault


def _parse_page(
    chapter: Chapter, on_invalid: Callable[[int, InvalidLine], object] = lambda _line, _error: None
) -> _Page:
    """Returns the entries of a chapter. Lines that are not entries are skipped."""
    page = []
    for number, line in enumerate(chapter.lines[1 : MAX_LINES + 1], 2):
        try:
            page.append((parse_tag(line), line))
        except InvalidLine as error:
            on_invalid(number, error)
    return page


def read_header(path: Path) -> Header:
    """Returns the header of a recording, without its index.

    Raises:
        NotARecording, RecordingTooNew: the file is something else.
    """
    file, header = _open_file(path)
    file.close()
    return header


def _open_series(path: Path) -> list[tuple[Path, BinaryIO]]:
    """Opens the files of a recording, oldest first, back to one that is not of this queue."""
    file, header = _open_file(path)
    series = [(path, file)]
    for number in count(1):
        older = rotated_path(path, number)
        if not older.is_file():
            break
        try:
            file, older_header = _open_file(older)
        except PreviewopsError:
            break
        if older_header.queue != header.queue:
            file.close()
            break
        series.insert(0, (older, file))
    return series


def _open_file(path: Path) -> tuple[BinaryIO, Header]:
    try:
        if not path.is_file():
            problem = "it is a folder" if path.is_dir() else "there is no such file"
            raise NotARecording(str(path), problem, hint="`previewops record FILE` writes one")
        file = path.open("rb")
    except OSError as error:
        raise NotARecording(str(path), f"it cannot be opened: {error.strerror or error}") from error
    try:
        return file, read_file_header(file, str(path))
    except BaseException:
        file.close()
        raise
