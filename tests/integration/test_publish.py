"""Publication on a real file system: atomic, also when processes are killed, race or come late."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from previewops.job_errors import StaleToken, TransientJobError
from previewops.stores.folder import publish as publishing
from previewops.stores.folder.paths import bundle_path, fence_path
from previewops.stores.folder.publish import publish
from previewops.stores.port import Publication, PublishResult
from previewops.stores.staging import staging_path, sweep_staging

FILES = 8

PUBLISHER = """
import sys
from pathlib import Path
from previewops.stores.folder.paths import bundle_path, fence_path
from previewops.stores.folder.publish import publish, rename_exchange
from previewops.stores.staging import staging_path

data, token, stop_at, exchange = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]

def observe(step):
    if step == stop_at:
        print(step, flush=True)
        sys.stdin.readline()

publish(
    staging_path(data, "j", token), bundle_path(data, "p", "j"), fence=fence_path(data, "p", "j"),
    token=token, on_step=observe, swap_folders=rename_exchange if exchange == "yes" else lambda one, other:
    False,
)
"""


def stage(data: Path, token: int, text: str) -> Path:
    """A rendered bundle whose files all contain ``text``, and a manifest that reveals a partial bundle."""
    staging = staging_path(data, "j", token)
    (staging / "frames").mkdir(parents=True)
    manifest = {}
    for number in range(FILES):
        name = f"frames/{number}.txt"
        body = f"{text} {number}".encode()
        (staging / name).write_bytes(body)
        manifest[name] = hashlib.sha256(body).hexdigest()
    (staging / "preview.json").write_text(json.dumps({"text": text, "token": token}))
    (staging / "container.json").write_text(json.dumps(manifest))
    return staging


def put(data: Path, token: int, text: str) -> Publication:
    staging = stage(data, token, text)
    return publish(staging, bundle_path(data, "p", "j"), fence=fence_path(data, "p", "j"), token=token)


def read(data: Path) -> str | None:
    """The text of the bundle; None if there is none. Fails on a partial bundle.

    Reads by a descriptor of the folder, and starts again if the path leads to another folder afterwards.
    """
    target = bundle_path(data, "p", "j")
    while True:
        try:
            folder = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return None
        try:
            return _read_whole(folder)
        except (FileNotFoundError, json.JSONDecodeError) as error:
            if _leads_to(target, folder):
                raise AssertionError(f"half a bundle: {error}") from error
        finally:
            os.close(folder)


def _leads_to(target: Path, folder: int) -> bool:
    try:
        return os.path.samestat(target.stat(), os.fstat(folder))
    except FileNotFoundError:
        return False


def _read_whole(folder: int) -> str:
    manifest = json.loads(_bytes_at(folder, "container.json"))
    for name, digest in manifest.items():
        assert hashlib.sha256(_bytes_at(folder, name)).hexdigest() == digest
    text: str = json.loads(_bytes_at(folder, "preview.json"))["text"]
    assert len(manifest) == FILES
    return text


def _bytes_at(folder: int, name: str) -> bytes:
    with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=folder), "rb") as file:
        return file.read()


def start_publisher(
    data: Path, token: int, *, stop_at: str = "-", exchange: bool = True
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, str(data), str(token), stop_at, "yes" if exchange else "no"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stream(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def left_in_staging(data: Path) -> list[str]:
    return sorted(entry.name for entry in (data / ".staging").iterdir())


def test_a_first_bundle(tmp_path: Path) -> None:
    done = put(tmp_path, 1, "one")
    assert done == Publication(str(tmp_path / "previews/p/j"), 1, PublishResult.FIRST)
    assert read(tmp_path) == "one"
    assert left_in_staging(tmp_path) == []


def test_a_bundle_that_replaces_another(tmp_path: Path) -> None:
    put(tmp_path, 1, "one")
    assert put(tmp_path, 2, "two").result is PublishResult.REPLACED
    assert read(tmp_path) == "two"
    assert left_in_staging(tmp_path) == []


def test_the_same_bytes_keep_the_old_bundle_and_move_the_fence(tmp_path: Path) -> None:
    put(tmp_path, 1, "one")
    before = bundle_path(tmp_path, "p", "j").stat().st_ino
    assert put(tmp_path, 3, "one").result is PublishResult.UNCHANGED
    assert bundle_path(tmp_path, "p", "j").stat().st_ino == before
    assert left_in_staging(tmp_path) == []
    with pytest.raises(StaleToken):
        put(tmp_path, 2, "late")


@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_damaged_bundle_is_repaired_by_the_same_bytes(tmp_path: Path, damage: str) -> None:
    put(tmp_path, 1, "one")
    victim = bundle_path(tmp_path, "p", "j") / "frames/3.txt"
    if damage == "missing":
        victim.unlink()
    else:
        victim.write_text("")
    assert put(tmp_path, 2, "one").result is PublishResult.REPLACED
    assert read(tmp_path) == "one"


def test_a_stale_token_is_rejected_and_changes_nothing(tmp_path: Path) -> None:
    put(tmp_path, 2, "two")
    with pytest.raises(StaleToken) as caught:
        put(tmp_path, 1, "one")
    assert (caught.value.found, caught.value.newest) == (1, 2)
    assert read(tmp_path) == "two"
    assert left_in_staging(tmp_path) == []


def test_tokens_are_numbers_not_texts(tmp_path: Path) -> None:
    put(tmp_path, 9, "nine")
    assert put(tmp_path, 10, "ten").result is PublishResult.REPLACED
    with pytest.raises(StaleToken):
        put(tmp_path, 9, "late")


def test_the_same_token_again_is_harmless(tmp_path: Path) -> None:
    put(tmp_path, 1, "one")
    again = publish(
        staging_path(tmp_path, "j", 1),
        bundle_path(tmp_path, "p", "j"),
        fence=fence_path(tmp_path, "p", "j"),
        token=1,
    )
    assert again.result is PublishResult.ALREADY_PUBLISHED
    assert put(tmp_path, 1, "one").result is PublishResult.UNCHANGED
    assert read(tmp_path) == "one"


STEPS_FIRST = ["locked", "flushed", "fenced", "renamed", "durable"]
STEPS_EXCHANGE = ["locked", "flushed", "fenced", "exchanged", "durable", "removed"]
STEPS_TWO_RENAMES = ["locked", "flushed", "fenced", "aside", "exchanged", "durable", "removed"]


@pytest.mark.parametrize(
    ("step", "old", "exchange"),
    [(step, None, True) for step in STEPS_FIRST]
    + [(step, "one", True) for step in STEPS_EXCHANGE]
    + [(step, "one", False) for step in STEPS_TWO_RENAMES],
)
def test_a_publisher_killed_at_any_step_leaves_a_complete_bundle_or_none(
    tmp_path: Path, step: str, old: str | None, exchange: bool
) -> None:
    if old is not None:
        put(tmp_path, 1, old)
    stage(tmp_path, 2, "two")
    with start_publisher(tmp_path, 2, stop_at=step, exchange=exchange) as publisher:
        assert stream(publisher.stdout).readline().strip() == step, stream(publisher.stderr).read()
        publisher.kill()
    reached = step in ("renamed", "exchanged", "durable", "removed")
    expected = "two" if reached else None if step == "aside" else old
    assert read(tmp_path) == expected
    if reached:
        with pytest.raises(StaleToken):  # the fence moved before the bundle
            put(tmp_path, 1, "late")
        assert read(tmp_path) == "two"
    # The next attempt succeeds, and the sweep removes leftovers.
    put(tmp_path, 3, "three")
    assert read(tmp_path) == "three"
    sweep_staging(tmp_path, lambda attempt: False)
    assert left_in_staging(tmp_path) == []


@pytest.mark.parametrize(("exchange", "last"), [(True, 201), (False, 51)])
def test_a_polling_reader_never_sees_a_partial_bundle(tmp_path: Path, exchange: bool, last: int) -> None:
    put(tmp_path, 1, "1")
    script = PUBLISHER.replace("publish(\n", "for token in range(2, token + 1): publish(\n")
    for token in range(2, last + 1):
        stage(tmp_path, token, str(token))
    seen = set()
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), str(last), "-", "yes" if exchange else "no"]
    ) as publisher:
        while publisher.poll() is None:
            seen.add(read(tmp_path))
    assert publisher.returncode == 0
    assert read(tmp_path) == str(last)
    assert len(seen - {None}) > 3, "the reader has not looked while it was published"
    assert exchange is False or None not in seen
    assert left_in_staging(tmp_path) == []


@pytest.mark.parametrize("first", [1, 2])
def test_the_later_token_of_two_racing_attempts_wins(tmp_path: Path, first: int) -> None:
    """One attempt holds the lock while the other starts."""
    stage(tmp_path, 1, "one")
    stage(tmp_path, 2, "two")
    with start_publisher(tmp_path, first, stop_at="locked") as holder:
        assert stream(holder.stdout).readline() == "locked\n"
        with start_publisher(tmp_path, 3 - first) as comer:
            assert comer.poll() is None
            stream(holder.stdin).write("\n")
            stream(holder.stdin).close()
            errors = {first: holder.stderr, 3 - first: comer.stderr}
            stderr = {token: stream(pipe).read() for token, pipe in errors.items()}
    assert read(tmp_path) == "two"
    assert stderr[2] == ""
    assert ("StaleToken" in stderr[1]) is (first == 2)
    assert left_in_staging(tmp_path) == []


def test_a_fence_locked_for_too_long_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "LOCK_TIMEOUT_S", 0.0)
    put(tmp_path, 1, "one")
    with fence_path(tmp_path, "p", "j").open() as fence:
        fcntl.flock(fence, fcntl.LOCK_EX)
        with pytest.raises(TransientJobError) as caught:
            put(tmp_path, 2, "two")
    assert caught.value.code == "publication-locked"
    assert read(tmp_path) == "one"
    assert put(tmp_path, 3, "three").result is PublishResult.REPLACED


def test_without_an_exchange_two_renames_replace(tmp_path: Path) -> None:
    put(tmp_path, 1, "one")
    steps: list[str] = []
    done = publish(
        stage(tmp_path, 2, "two"),
        bundle_path(tmp_path, "p", "j"),
        fence=fence_path(tmp_path, "p", "j"),
        token=2,
        swap_folders=lambda one, other: False,
        on_step=steps.append,
    )
    assert done.result is PublishResult.REPLACED
    assert steps == STEPS_TWO_RENAMES
    assert read(tmp_path) == "two"
    assert left_in_staging(tmp_path) == []


def test_a_failed_second_rename_undoes_the_first(tmp_path: Path) -> None:
    put(tmp_path, 1, "one")
    staging = stage(tmp_path, 2, "two")

    def lose_staging(step: str) -> None:
        if step == "aside":
            shutil.rmtree(staging)

    with pytest.raises(TransientJobError):
        publish(
            staging,
            bundle_path(tmp_path, "p", "j"),
            fence=fence_path(tmp_path, "p", "j"),
            token=2,
            swap_folders=lambda one, other: False,
            on_step=lose_staging,
        )
    assert read(tmp_path) == "one"
    assert left_in_staging(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.ENOSPC, "disk-full"),
        (errno.EDQUOT, "disk-full"),
        (errno.EROFS, "data-dir-unusable"),
        (errno.EACCES, "data-dir-unusable"),
        (errno.EXDEV, "data-dir-unusable"),
    ],
)
def test_file_system_errors_are_typed(tmp_path: Path, code: int, expected: str) -> None:
    put(tmp_path, 1, "one")

    def reject(one: Path, other: Path) -> bool:
        raise OSError(code, os.strerror(code), str(one))

    with pytest.raises(TransientJobError) as caught:
        publish(
            stage(tmp_path, 2, "two"),
            bundle_path(tmp_path, "p", "j"),
            fence=fence_path(tmp_path, "p", "j"),
            token=2,
            swap_folders=reject,
        )
    assert caught.value.code == expected
    assert caught.value.hint
    assert set(caught.value.data) == {"found", "allowed"}
    assert read(tmp_path) == "one"
    assert left_in_staging(tmp_path) == []


def test_a_missing_data_dir_is_not_created(tmp_path: Path) -> None:
    data = tmp_path / "data"
    staging = stage(data, 1, "one")
    shutil.rmtree(data)
    with pytest.raises(TransientJobError) as caught:
        publish(staging, bundle_path(data, "p", "j"), fence=fence_path(data, "p", "j"), token=1)
    assert caught.value.code == "data-dir-unusable"
    assert not data.exists()


def test_a_link_in_a_bundle_is_rejected(tmp_path: Path) -> None:
    put(tmp_path, 1, "one")
    staging = stage(tmp_path, 2, "two")
    (staging / "frames/9.txt").symlink_to("/etc/passwd")
    with pytest.raises(TransientJobError):
        publish(staging, bundle_path(tmp_path, "p", "j"), fence=fence_path(tmp_path, "p", "j"), token=2)
    assert read(tmp_path) == "one"


def test_a_damaged_fence_is_an_error(tmp_path: Path) -> None:
    put(tmp_path, 5, "five")
    fence_path(tmp_path, "p", "j").write_text("garbage")
    with pytest.raises(TransientJobError) as caught:
        put(tmp_path, 6, "six")
    assert caught.value.data["found"] == "garbage"
    assert read(tmp_path) == "five"


def test_this_kernel_supports_rename_exchange(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    assert publishing.rename_exchange(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "b").exists()
    with pytest.raises(FileNotFoundError):
        publishing.rename_exchange(tmp_path / "a", tmp_path / "none")
