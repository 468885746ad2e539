"""The renderer: from a preview payload to pictures. Knows neither queue nor Redis; usable as a library.

The package can be called, as ``worker.render_api.render`` is: ``from previewops.worker import render`` finds
this package, and what it is asked to do is to render.
"""

import sys
from types import ModuleType
from typing import Any


class _Renderer(ModuleType):
    """This package, with a call to ``render``. Importing it loads no imaging library; calling it does."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from previewops.worker.render_api import render  # noqa: PLC0415

        return render(*args, **kwargs)

    @property
    def __wrapped__(self) -> Any:
        """What is called, for ``help`` and ``inspect.signature``."""
        from previewops.worker.render_api import render  # noqa: PLC0415

        return render


sys.modules[__name__].__class__ = _Renderer
