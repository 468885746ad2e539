"""The operator's screen. Import name: ``previewops.tui``. Knows snapshots and actions, never Redis."""

if __name__ != "previewops.tui":
    # Under a second name every class here would exist twice, and isinstance would fail far from the cause.
    raise ImportError(f"import previewops.tui, not {__name__}: the folder is reached through the package")
