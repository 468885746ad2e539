"""The id of a DATA_DIR: a random number in a file that the first process writes."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from secrets import token_hex

from previewops.errors import StoreUnavailable
from previewops.regular_files import read_regular
from previewops.stores.port import parse_store_id

ID_FILE = ".id"
_MAX_BYTES = 256
_PUBLIC = 0o644
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})


def identify_folder(data_dir: Path, *, create: bool) -> str | None:
    """Returns the id of ``data_dir``; None if it has none and ``create`` is False, if the file is damaged, or if this
    user may not create it.

    Of several processes that create it at once, on any hosts, one succeeds, and all return its id.

    Raises:
        StoreUnavailable: the file cannot be read or created.
    """
    path = data_dir / ID_FILE
    try:
        store_id = _read(path)
        return _create(path) if store_id is None and create else store_id
    except PermissionError:
        return None  # bundles may be published all the same
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StoreUnavailable(str(data_dir), f"its file {ID_FILE} cannot be used: {reason}") from error


def _read(path: Path) -> str | None:
    try:
        return parse_store_id(read_regular(path, _MAX_BYTES))
    except FileNotFoundError:
        return None


def _create(path: Path) -> str | None:
    """Writes a draft and links it: link(2) fails if the name exists, also between the hosts of a shared mount."""
    draft = path.with_name(f"{ID_FILE}.{token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PUBLIC)
    try:
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, _PUBLIC)
            file.write(f"{token_hex(16)}\n")
            file.flush()
            os.fsync(descriptor)
        _place(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return _read(path)


def _place(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # Two hosts may replace each other's id here. Workers read it again every few minutes.
        draft.rename(path)
