"""Lists and removes bundles in a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from previewops.stores.folder.paths import PREVIEWS_FOLDER, fence_path
from previewops.stores.folder.trees import remove, size_of
from previewops.stores.manifest import PREVIEW_FILE
from previewops.stores.port import StoredBundle
from previewops.stores.staging import STAGING_FOLDER


def list_bundles(data_dir: Path, project_id: str | None) -> Iterator[StoredBundle]:
    """Yields the published bundles of a project, or of all."""
    for folder in (data_dir / PREVIEWS_FOLDER).glob("*/*"):
        if project_id is not None and folder.parent.name != project_id:
            continue
        with suppress(OSError):  # a folder without this file is not a bundle
            rendered_ns = _rendered_at_ns(folder)
            yield StoredBundle(
                folder.parent.name,
                folder.name,
                str(folder),
                size_of(folder),
                rendered_ns / 1e9,
                str(rendered_ns),
            )


def remove_bundle(data_dir: Path, bundle: StoredBundle) -> bool:
    """Removes a bundle atomically, unless it was or is being published again. Returns whether it was removed.

    Its fence stays, so that no late attempt publishes it again.

    Raises:
        OSError: it cannot be removed.
    """
    folder = data_dir / PREVIEWS_FOLDER / bundle.project_id / bundle.job_id
    with _locked_fence(fence_path(data_dir, bundle.project_id, bundle.job_id)) as unlocked:
        if not unlocked or str(_rendered_at_ns(folder)) != bundle.version:
            return False
        remove(folder, trash_dir=data_dir / STAGING_FOLDER)
        return True


def _rendered_at_ns(bundle: Path) -> int:
    """When the bundle was rendered: preview.json is the file that every job writes, reused or not."""
    return (bundle / PREVIEW_FILE).stat().st_mtime_ns


@contextmanager
def _locked_fence(fence: Path) -> Iterator[bool]:
    """Locks ``fence``. Yields False if another process publishes."""
    try:
        handle = os.open(fence, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield True
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)
