"""The renderer: makes the pictures of a preview payload. It depends on neither queue nor Redis.

The package is callable: ``from previewops.worker import render`` imports this package, and ``render(...)`` calls
``previewops.worker.render_api.render``.
"""

import sys
from types import ModuleType
from typing import Any


class _Renderer(ModuleType):
    """This package as a callable. Importing it loads no imaging library; calling it does."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from previewops.worker.render_api import render  # noqa: PLC0415

        return render(*args, **kwargs)

    @property
    def __wrapped__(self) -> Any:
        """The function behind the call, for ``help`` and ``inspect.signature``."""
        from previewops.worker.render_api import render  # noqa: PLC0415

        return render


sys.modules[__name__].__class__ = _Renderer
