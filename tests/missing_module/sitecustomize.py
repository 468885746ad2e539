"""On the path of a program under test: no module can be imported there that PYTHON_MISSING_MODULE names.

The name begins as it does so that it reaches the render processes too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class Absence:
    """Finds that one module is not there."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == os.environ.get("PYTHON_MISSING_MODULE"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


sys.meta_path.insert(0, Absence())
