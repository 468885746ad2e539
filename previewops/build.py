"""Identity of the running build: two checkouts of one version are different builds."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parent
_SUFFIXES = (".py", ".lua", ".json", ".service", ".socket", ".target")
_DIGITS = 10


@cache
def build_id() -> str:
    """First hex digits of the SHA-256 over all source files of the package, by path.

    A wheel has the same files as the checkout it was built from, and so the same id. Takes about 15 ms.
    """
    digest = hashlib.sha256()
    # The folders at the top of a checkout are symlinks in the package.
    for folder, folders, names in os.walk(_PACKAGE, followlinks=True):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(name for name in names if name.endswith(_SUFFIXES)):
            path = Path(folder, name)
            content = path.read_bytes()
            digest.update(f"{path.relative_to(_PACKAGE).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:_DIGITS]
