"""Reads a recording: where what is in it, found once, and then any moment of it at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import BinaryIO

from previewops.errors import PreviewopsError
from previewops.recording.chapters import Member, heading_of, members, read_member
from previewops.recording.errors import NotARecording, RecordingBroken
from previewops.recording.format import (
    Decoder,
    Frame,
    Gap,
    Header,
    InvalidLine,
    Tag,
    parse_header,
    tag_of,
)
from previewops.recording.history_index import HistoryIndex
from previewops.recording.writer import rotated_path

MAX_FAULTS = 100
"""So many places that cannot be read are told one by one."""

MOST_LINES = 100_000
"""In a chapter; whoever writes begins a new one long before."""

MOST_TRIES = 20
"""So many looks of a chapter that cannot be read are tried, from its end; then the chapter is taken to have none."""

_STRETCH_MS = 30_000
_PAGES = 2

Progress = Callable[[int, int], None]
"""Told (bytes read, bytes in all). May raise to give up."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A time during which somebody recorded: from and to (server ms)."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class FrameAt:
    """What is known of a moment: the last look up to it, and the gap that it lies in, if it does."""

    frame: Frame | None
    gap: Gap | None


@dataclass(frozen=True, slots=True)
class _Chapter:
    """Where a chapter is, when it begins, the last one up to it with a look, and the events before it."""

    file: int
    offset: int
    start_ms: int
    look: int | None
    events: int


@dataclass(slots=True)
class _Page:
    """A chapter as it was read. One whole look at a time is kept as an object, which takes many times its bytes."""

    entries: list[tuple[Tag, bytes]] = field(default_factory=list)
    _wholes: list[int | None] = field(default_factory=list)
    _decoder: Decoder = field(default_factory=Decoder)
    _whole: int | None = None

    def append(self, tag: Tag, line: bytes) -> None:
        """One line more."""
        before = self._wholes[-1] if self._wholes else None
        self._wholes.append(len(self.entries) if tag.mark == "f" else before)
        self.entries.append((tag, line))

    def latest(self, last: int, troubled: Callable[[int, InvalidLine], object]) -> Frame | None:
        """The last look up to a line that can be read, None if none of ``MOST_TRIES`` can be.

        ``troubled`` is told of each line that could not be.
        """
        tries = 0
        for number in reversed(range(last + 1)):
            if self.entries[number][0].is_look:
                try:
                    return self.look_at(number)
                except InvalidLine as error:
                    troubled(number, error)
                tries += 1
                if tries == MOST_TRIES:
                    break
        return None

    def look_at(self, number: int) -> Frame:
        """The look in that line.

        Raises:
            Unreadable: it is none, or the whole one is that it is a change of.
        """
        whole = self._wholes[number]
        if whole != self._whole:
            self._decoder, self._whole = Decoder(), whole
            if whole is not None and whole != number:
                self._decoder.plain(self.entries[whole][1])
        found = self._decoder.decode(self.entries[number][1])
        if not isinstance(found, Frame):
            raise InvalidLine("it is no look")
        return found


class Recording:
    """An opened recording, the old files of it included. ``close`` it."""

    def __init__(self, files: list[tuple[Path, BinaryIO]]) -> None:
        self.header = Header("", 1.0)
        self.intervals: list[Interval] = []
        self.faults: list[RecordingBroken] = []
        self.fault_count = 0
        self._files = files
        self._past = HistoryIndex()
        self._chapters: list[_Chapter] = []
        self._starts: list[int] = []
        self._pages: dict[int, _Page] = {}
        self._known: tuple[tuple[int, int], FrameAt] = ((-1, -1), FrameAt(None, None))

    @classmethod
    def open(cls, path: Path, progress: Progress | None = None) -> Recording:
        """Finds out where what is in ``path`` and, if it is not one itself, in its old files.

        Takes about a second for 7 MB, which is a day of a few workers. What cannot be read is told in ``faults``.

        Raises:
            NotARecording, RecordingTooNew: it is something else.
            RecordingBroken: nothing of it can be read.
            PreviewopsError: the file cannot be opened.
        """
        recording = cls(_open_series(path))
        try:
            recording._find_all(progress or (lambda _done, _total: None))
        except BaseException:
            recording.close()
            raise
        return recording

    def close(self) -> None:
        """Closes the files."""
        for _, file in self._files:
            file.close()

    def frame_at(self, at_ms: int) -> FrameAt:
        """What is known of a moment (server ms), the hour and day before it included; the first one of those before.

        Lines that cannot be read are passed over.

        Raises:
            RecordingBroken: the chapter that it lies in cannot be read any more.
        """
        number = max(0, bisect_right(self._starts, at_ms) - 1)
        page = self._page(number)
        place = max(0, bisect_right([tag.at_ms for tag, _ in page.entries], at_ms) - 1)
        if (number, place) == self._known[0]:
            return self._known[1]
        tag, line = page.entries[place]
        gap = None
        if not tag.is_look:
            with suppress(InvalidLine):
                found = Decoder().decode(line)
                gap = found if isinstance(found, Gap) else None
        moment = FrameAt(self._latest_look(number, place), gap)
        self._known = ((number, place), moment)
        return moment

    def _latest_look(self, number: int, place: int) -> Frame | None:
        """The last look up to a line of a chapter, in an earlier one if need be."""
        page = self._page(number)
        if (look := page.latest(place, lambda _line, _error: None)) is not None:
            return self._behind(look, number)
        before = self._chapters[number - 1].look if number else None
        if before is None:
            return None
        return self._latest_look(before, len(self._page(before).entries) - 1)

    def _behind(self, look: Frame, number: int) -> Frame:
        return replace(look, snapshot=self._past.with_history(look.snapshot, self._chapters[number].events))

    # -- finding ----------------------------------------------------------------------------------------

    def _find_all(self, progress: Progress) -> None:
        total = sum(_size(file) for _, file in self._files)
        before = 0
        for number, (path, file) in enumerate(self._files):
            self.header = heading_of(file, str(path))
            for member in members(file):
                self._take_in(number, member)
                progress(before + member.end, total)
            before += _size(file)
        self._past.build_minutes()
        if not self._chapters:
            if self.faults:
                raise self.faults[0]
            raise RecordingBroken(str(self._files[-1][0]), "its end", "nothing is recorded in it yet")

    def _take_in(self, file: int, member: Member) -> None:
        if member.fault:
            self._fault(file, member.offset, member.fault)
        if not member.lines:
            return  # cut off before its first line was whole
        try:
            heading = parse_header(member.lines[0])
        except InvalidLine as error:
            self._fault(file, member.offset, f"the first line of a chapter: {error}")
            return
        page = self._read(file, member, told=True)
        if not page.entries:
            return
        events = self._past.event_count
        last = self._last_look(file, member.offset, page)
        if last is not None and (left_out := self._past.add(last.snapshot)):
            self._fault(file, member.offset, left_out)
        self._note(file, member.offset, page, events, heading, has_look=last is not None)

    def _note(
        self, file: int, offset: int, page: _Page, events: int, heading: Header, *, has_look: bool
    ) -> None:
        # A server whose clock was set back would have moments come twice; the later account follows the earlier.
        start_ms = max(page.entries[0][0].at_ms, self._starts[-1] if self._starts else 0)
        looks = len(self._chapters) if has_look else self._chapters[-1].look if self._chapters else None
        self._chapters.append(_Chapter(file, offset, start_ms, looks, events))
        self._starts.append(start_ms)
        longest_ms = max(_STRETCH_MS, 3_000 * heading.interval_s)
        for tag, _ in page.entries:
            if self.intervals and tag.at_ms - self.intervals[-1].end_ms <= longest_ms:
                known = self.intervals[-1]
                self.intervals[-1] = Interval(known.start_ms, max(known.end_ms, tag.at_ms))
            else:
                self.intervals.append(Interval(tag.at_ms, tag.at_ms))

    def _last_look(self, file: int, offset: int, page: _Page) -> Frame | None:
        """The last look of a chapter that can be read: it tells all that happened in it."""

        def troubled(number: int, error: InvalidLine) -> None:
            self._fault(file, offset, f"line {number + 2} of the chapter: {error}")

        return page.latest(len(page.entries) - 1, troubled)

    def _read(self, file: int, member: Member, *, told: bool) -> _Page:
        """The entries of a chapter; lines that are none are passed over, and told of once."""
        page = _Page()
        for number, line in enumerate(member.lines[1 : MOST_LINES + 1], 2):
            try:
                tag = tag_of(line)
            except InvalidLine as error:
                if told:
                    self._fault(file, member.offset, f"line {number} of the chapter: {error}")
                continue
            page.append(tag, line)
        return page

    def _page(self, number: int) -> _Page:
        page = self._pages.pop(number, None)
        if page is None:
            chapter = self._chapters[number]
            member = read_member(self._files[chapter.file][1], chapter.offset)
            page = self._read(chapter.file, member, told=False)
            if not page.entries:
                raise self._fault(chapter.file, chapter.offset, "it has changed since it was opened")
        self._pages[number] = page
        while len(self._pages) > _PAGES:
            del self._pages[next(iter(self._pages))]
        return page

    def _fault(self, file: int, offset: int, found: str) -> RecordingBroken:
        fault = RecordingBroken(str(self._files[file][0]), f"byte {offset:,}", found)
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)
        return fault


def read_header(path: Path) -> Header:
    """Of which queue a recording is, without looking through it.

    Raises:
        NotARecording, RecordingTooNew: it is something else.
    """
    file, heading = _open_file(path)
    file.close()
    return heading


def _open_series(path: Path) -> list[tuple[Path, BinaryIO]]:
    """The files of a recording, oldest first: up to one that is none, or of another queue."""
    file, heading = _open_file(path)
    found = [(path, file)]
    for older in _old_files(path):
        try:
            file, its = _open_file(older)
        except PreviewopsError:
            break
        if its.queue != heading.queue:
            file.close()
            break
        found.insert(0, (older, file))
    return found


def _old_files(path: Path) -> Iterator[Path]:
    for number in count(1):
        older = rotated_path(path, number)
        if not older.is_file():
            return
        yield older


def _open_file(path: Path) -> tuple[BinaryIO, Header]:
    try:
        if not path.is_file():
            found = "it is a folder" if path.is_dir() else "there is no such file"
            raise NotARecording(str(path), found, hint="`previewops record FILE` writes one")
        file = path.open("rb")
    except OSError as error:
        raise NotARecording(str(path), f"it cannot be opened: {error.strerror or error}") from error
    try:
        return file, heading_of(file, str(path))
    except BaseException:
        file.close()
        raise


def _size(file: BinaryIO) -> int:
    return file.seek(0, 2)
