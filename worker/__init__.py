"""The arq worker, the render sandbox and the renderer. Import name: ``previewops.worker``.

``from previewops.worker import render`` imports the render function, see ``previewops.worker.render_api``.
Importing this package loads neither arq nor the imaging library.
"""

from typing import TYPE_CHECKING, Any

if __name__ != "previewops.worker":
    # Under a second name every class would exist twice, and isinstance would fail far from the cause.
    raise ImportError(
        f"import previewops.worker, not {__name__}: this folder is part of the package previewops"
    )

if TYPE_CHECKING:
    from previewops.worker.render_api import render as render
else:

    def __getattr__(name: str) -> Any:
        if name == "render":
            from importlib import import_module  # noqa: PLC0415

            return import_module("previewops.worker.render")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
