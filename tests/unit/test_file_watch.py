"""The watch of ``previewops render --watch``: what changes, when it has settled, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from previewops.cli.file_watch import MAX_UNSETTLED_POLLS, FileWatch, Stamp, read_stamp
from previewops.cli.watch_loop import watch_and_render
from previewops.cli.watched_files import watched_files
from previewops.errors import PreviewopsError

A, B = Path("a.json"), Path("b.png")


class Disk:
    """Files whose stamps change at given polls."""

    def __init__(self, *changes: dict[Path, Stamp]) -> None:
        self.stamps: dict[Path, Stamp] = {A: (1, 1, 1), B: (1, 1, 1)}
        self.changes: Iterator[dict[Path, Stamp]] = iter(changes)
        self.polls = 0

    def sleep(self, _seconds: float) -> None:
        self.polls += 1
        change = next(self.changes, None)
        if change is None and self.polls > 200:
            raise KeyboardInterrupt
        self.stamps |= change or {}

    def watch(self) -> FileWatch:
        return FileWatch(self.sleep, self.stamps.get)


def test_a_change_is_reported_after_it_has_settled() -> None:
    disk = Disk({}, {B: (2, 5, 1)}, {B: (3, 9, 1)}, {})
    watch = disk.watch()
    assert watch.wait(watch.read([A, B])) == [B]
    assert disk.polls == 4


def test_a_removed_and_a_new_file_are_changes() -> None:
    disk = Disk({B: None}, {A: (9, 9, 9)}, {})
    watch = disk.watch()
    assert watch.wait(watch.read([A, B])) == [A, B]


def test_a_change_that_was_undone_is_none() -> None:
    disk = Disk({B: (2, 2, 2)}, {B: (1, 1, 1)}, {}, {A: (4, 4, 4)}, {})
    watch = disk.watch()
    assert watch.wait(watch.read([A, B])) == [A]


def test_a_file_that_never_settles_is_reported() -> None:
    disk = Disk(*({B: (number, number, 1)} for number in range(2, 150)))
    watch = disk.watch()
    assert watch.wait(watch.read([A, B])) == [B]
    assert disk.polls <= MAX_UNSETTLED_POLLS + 1


def test_the_stamp_of_a_file_follows_its_content(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert read_stamp(path) is None
    path.write_bytes(b"1")
    first = read_stamp(path)
    path.write_bytes(b"22")
    assert first is not None
    assert read_stamp(path) != first


def test_errors_are_reported_and_waited_out_until_the_interrupt() -> None:
    disk = Disk({A: (2, 2, 2)}, {}, {B: (3, 3, 3)}, {})
    renders, reports, errors = [], list[str](), list[str]()

    def render() -> None:
        renders.append(dict(disk.stamps))
        if len(renders) == 2:
            raise PreviewopsError("the payload is broken")

    code = watch_and_render(
        files=lambda: [A, B],
        render=render,
        watch=disk.watch(),
        report=reports.append,
        report_error=lambda error: errors.append(error.message),
    )
    assert code == 0
    assert len(renders) == 3
    assert errors == ["the payload is broken"]
    assert [line for line in reports if line.startswith("changed")] == ["changed: a.json", "changed: b.png"]


def test_the_payload_and_its_local_files_are_watched() -> None:
    payload = {
        "previewRequest": {
            "assets": [
                {"uri": "b.png"},
                {"uri": "https://host/c.png"},
                {"uri": "/d.png"},
                7,
                {"uri": "../e"},
            ],
            "audio": {"uri": "f.ogg"},
        }
    }
    roots = (Path("/one"), Path("/two"))
    found = watched_files(A, payload, roots)
    assert found == (A, *map(Path, ("/one/b.png", "/two/b.png", "/d.png", "/one/f.ogg", "/two/f.ogg")))
    for broken in (None, [], {"previewRequest": 1}, {"previewRequest": {"assets": 1, "audio": []}}):
        assert watched_files(A, broken, roots) == (A,)
