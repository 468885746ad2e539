"""Named themes: TOML files in the folder PREVIEW_THEMES."""
