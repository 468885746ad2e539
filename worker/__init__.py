"""The arq worker, the render sandbox and the renderer. Import name: ``previewops.worker``."""

if __name__ != "previewops.worker":
    # Under a second name every class here would exist twice, and isinstance would fail far from the cause.
    raise ImportError(f"import previewops.worker, not {__name__}: the folder is reached through the package")
